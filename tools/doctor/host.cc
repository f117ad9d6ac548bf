#include "tenon/tools/doctor/host.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tenon/core/loop/loop_options.h"

namespace tenon::doctor {
namespace {

// Fewer pending connections than this are lost in a burst that a server would survive.
constexpr uint64_t kLowBacklog = 1024;

std::optional<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path);
  if (!file.is_open()) return std::nullopt;
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) return std::nullopt;
  return text;
}

std::optional<uint64_t> ParseNumber(absl::string_view text) {
  uint64_t number = 0;
  if (!absl::SimpleAtoi(text, &number)) return std::nullopt;
  return number;
}

ResourceLimit ReadLimit(__rlimit_resource_t resource, absl::string_view name,
                        absl::string_view unit, absl::string_view what) {
  rlimit limit = {};
  ::getrlimit(resource, &limit);
  const auto value = [](rlim_t number) { return number == RLIM_INFINITY ? kUnlimited : number; };
  return {.name = std::string(name),
          .soft = value(limit.rlim_cur),
          .hard = value(limit.rlim_max),
          .unit = std::string(unit),
          .what = std::string(what)};
}

std::vector<ResourceLimit> ReadLimits() {
  return {
      ReadLimit(RLIMIT_NOFILE, "RLIMIT_NOFILE", "", "descriptors of this process"),
      ReadLimit(RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK", "bytes",
                "locked memory, which some kernels count rings of io_uring against"),
      ReadLimit(RLIMIT_NPROC, "RLIMIT_NPROC", "", "threads of this user"),
  };
}

std::vector<KernelSetting> ReadSettings(const std::string& root) {
  constexpr std::pair<absl::string_view, absl::string_view> kSettings[] = {
      {"kernel.io_uring_disabled", "who may use io_uring: 0 everyone, 1 a group, 2 nobody"},
      {"kernel.io_uring_group", "that group; -1 is none"},
      {"fs.epoll.max_user_watches", "descriptors that all epoll instances of a user may watch"},
      {"fs.file-max", "open files of the system"},
      {"fs.nr_open", "the highest RLIMIT_NOFILE there can be"},
      {"net.core.somaxconn", "connections that may wait for one listener to accept them"},
      {"net.ipv4.tcp_max_syn_backlog", "connections of one listener that are being made"},
      {"kernel.threads-max", "threads of the system"},
      {"vm.max_map_count", "memory mappings of one process"},
  };
  std::vector<KernelSetting> settings;
  for (const auto& [name, what] : kSettings) {
    std::optional<std::string> value =
        ReadFile(absl::StrCat(root, "/proc/sys/", absl::StrReplaceAll(name, {{".", "/"}})));
    if (value.has_value()) absl::StripAsciiWhitespace(&*value);
    settings.push_back(
        {.name = std::string(name), .value = std::move(value), .what = std::string(what)});
  }
  return settings;
}

SystemCallFilter ReadFilter(const std::string& root) {
  const std::optional<std::string> status = ReadFile(root + "/proc/self/status");
  constexpr absl::string_view kKey = "Seccomp:";
  for (const absl::string_view line : absl::StrSplit(status.value_or(""), '\n')) {
    if (line.substr(0, kKey.size()) != kKey) continue;
    const absl::string_view mode = absl::StripAsciiWhitespace(line.substr(kKey.size()));
    if (mode == "0") return SystemCallFilter::kNone;
    if (mode == "1") return SystemCallFilter::kStrict;
    if (mode == "2") return SystemCallFilter::kFilter;
  }
  return SystemCallFilter::kUnknown;
}

// The lowest of the limits in `file` of a group and its ancestors, below `mount`. Version 1 writes
// no limit as a number near 2^63.
std::optional<uint64_t> LowestLimit(const std::string& mount, absl::string_view group,
                                    absl::string_view file) {
  constexpr uint64_t kNoLimitOfVersion1 = uint64_t{1} << 62;
  std::optional<uint64_t> lowest;
  std::vector<absl::string_view> parts = absl::StrSplit(group, '/', absl::SkipEmpty());
  while (true) {
    parts.push_back(file);
    const std::optional<std::string> text =
        ReadFile(absl::StrCat(mount, "/", absl::StrJoin(parts, "/")));
    parts.pop_back();
    if (text.has_value()) {
      const absl::string_view value = absl::StripAsciiWhitespace(*text);
      const uint64_t limit = ParseNumber(value).value_or(kUnlimited);
      lowest =
          std::min(lowest.value_or(kUnlimited), limit >= kNoLimitOfVersion1 ? kUnlimited : limit);
    }
    if (parts.empty()) return lowest;
    parts.pop_back();
  }
}

// /proc/self/cgroup has a line `0::PATH` for version 2, and `N:CONTROLLER,…:PATH` for version 1.
ControlGroup ReadControlGroup(const std::string& root) {
  ControlGroup group;
  const std::optional<std::string> memberships = ReadFile(root + "/proc/self/cgroup");
  const std::string mount = root + "/sys/fs/cgroup";
  for (const absl::string_view line : absl::StrSplit(memberships.value_or(""), '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    if (fields[1].empty()) {
      if (!group.memory_bytes) group.memory_bytes = LowestLimit(mount, fields[2], "memory.max");
      if (!group.threads) group.threads = LowestLimit(mount, fields[2], "pids.max");
      continue;
    }
    for (const absl::string_view controller : absl::StrSplit(fields[1], ',')) {
      const std::string controller_mount = absl::StrCat(mount, "/", controller);
      if (controller == "memory") {
        group.memory_bytes = LowestLimit(controller_mount, fields[2], "memory.limit_in_bytes");
      } else if (controller == "pids") {
        group.threads = LowestLimit(controller_mount, fields[2], "pids.max");
      }
    }
  }
  return group;
}

const ResourceLimit* FindLimit(const HostFindings& host, absl::string_view name) {
  for (const ResourceLimit& limit : host.limits) {
    if (limit.name == name) return &limit;
  }
  return nullptr;
}

// The number that a setting has, if it is there and is one.
std::optional<uint64_t> FindSetting(const HostFindings& host, absl::string_view name) {
  for (const KernelSetting& setting : host.settings) {
    if (setting.name == name && setting.value.has_value()) return ParseNumber(*setting.value);
  }
  return std::nullopt;
}

}  // namespace

HostFindings ReadHost(const std::string& root) {
  HostFindings host;
  utsname names = {};
  if (::uname(&names) == 0) {
    host.kernel = absl::StrCat(names.sysname, " ", names.release);
    host.machine = names.machine;
  }
  host.processors = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  host.filter = ReadFilter(root);
  host.control_group = ReadControlGroup(root);
  host.limits = ReadLimits();
  host.settings = ReadSettings(root);
  return host;
}

std::vector<std::string> Advise(const HostFindings& host) {
  std::vector<std::string> advice;
  const uint64_t handles = LoopOptions().max_handles;
  const ResourceLimit* descriptors = FindLimit(host, "RLIMIT_NOFILE");
  if (descriptors != nullptr && descriptors->soft < handles) {
    advice.push_back(absl::StrCat(
        "RLIMIT_NOFILE is ", descriptors->soft, ", and one loop takes up to ", handles,
        " descriptors (LoopOptions::max_handles): accepting is held back at the limit; raise it "
        "(ulimit -n, LimitNOFILE=)",
        descriptors->hard > descriptors->soft
            ? absl::StrCat(", without privileges up to ", descriptors->hard == kUnlimited
                                                              ? std::string("any value")
                                                              : absl::StrCat(descriptors->hard))
            : ""));
  }
  const std::optional<uint64_t> watches = FindSetting(host, "fs.epoll.max_user_watches");
  if (watches.has_value() && *watches < handles) {
    advice.push_back(absl::StrCat("fs.epoll.max_user_watches is ", *watches,
                                  ", for all loops of a user that work by epoll together, and one "
                                  "takes up to ",
                                  handles, ": Adopt fails at the limit; raise the sysctl"));
  }
  const std::optional<uint64_t> backlog = FindSetting(host, "net.core.somaxconn");
  if (backlog.has_value() && *backlog < kLowBacklog) {
    advice.push_back(absl::StrCat("net.core.somaxconn is ", *backlog,
                                  ": bursts of connections beyond it are dropped whatever a "
                                  "listener asks for; raise the sysctl"));
  }
  return advice;
}

}  // namespace tenon::doctor
