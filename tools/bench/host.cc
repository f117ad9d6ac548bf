// Reading what a benchmark runs on.

#include "tenon/tools/bench/host.h"

#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "tenon/tools/bench/report.h"

namespace tenon::bench {
namespace {

constexpr char kTenonVersion[] = "0.1.0";

// Above this the server and the client have not had their processors to themselves.
constexpr double kBusyLoadAverage = 0.5;

std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const absl::string_view text(line);
    if (absl::string_view key = "model name"; text.substr(0, key.size()) != key) continue;
    const size_t colon = text.find(':');
    if (colon == absl::string_view::npos) continue;
    return std::string(absl::StripAsciiWhitespace(text.substr(colon + 1)));
  }
  return "unknown";
}

std::string Compiler() {
#if defined(__clang__)
  return absl::StrCat("clang ", __clang_major__, ".", __clang_minor__, ".", __clang_patchlevel__);
#elif defined(__GNUC__)
  return absl::StrCat("gcc ", __GNUC__, ".", __GNUC_MINOR__, ".", __GNUC_PATCHLEVEL__);
#else
  return "unknown";
#endif
}

std::string BuildMode() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return "sanitized";
#else
  return IsOptimizedBuild() ? "opt" : "not optimised";
#endif
}

}  // namespace

bool IsOptimizedBuild() {
#if defined(NDEBUG) && defined(__OPTIMIZE__)
  return true;
#else
  return false;
#endif
}

Host DescribeHost(std::vector<std::pair<std::string, std::string>> libraries) {
  Host host;
  utsname names;
  host.kernel = uname(&names) == 0 ? names.release : "unknown";
  host.cpu_model = CpuModel();
  host.cores = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  host.compiler = Compiler();
  host.build_mode = BuildMode();
  host.versions = std::move(libraries);
  host.versions.insert(host.versions.begin(), {"tenon", kTenonVersion});
  return host;
}

std::vector<std::string> HostNotes() {
  std::vector<std::string> notes;
  if (!IsOptimizedBuild()) {
    notes.push_back(
        "this build is not optimised: the figures mean nothing; build it with --config=opt (or -c "
        "opt)");
  }
  double load = 0;
  if (getloadavg(&load, 1) == 1 && load > kBusyLoadAverage) {
    notes.push_back(absl::StrFormat(
        "the machine was busy before the run (load average %.2f): expect noise", load));
  }
  return notes;
}

}  // namespace tenon::bench
