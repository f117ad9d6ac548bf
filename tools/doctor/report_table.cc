#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tenon/tools/doctor/report.h"
#include "tenon/tools/text/table.h"

namespace tenon::doctor {
namespace {

using text::AlignColumns;
using Rows = std::vector<std::vector<std::string>>;

constexpr char kUnknown[] = "unknown";

// "8 MiB", "1.5 MiB", "123 B".
std::string Bytes(uint64_t bytes) {
  const struct {
    uint64_t size;
    const char* unit;
  } units[] = {{uint64_t{1} << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}};
  for (const auto& [size, unit] : units) {
    if (bytes < size) continue;
    const double value = static_cast<double>(bytes) / static_cast<double>(size);
    return absl::StrFormat("%.*f %s", bytes % size == 0 ? 0 : 1, value, unit);
  }
  return absl::StrCat(bytes, " B");
}

std::string Limit(std::optional<uint64_t> value, absl::string_view unit) {
  if (!value.has_value()) return kUnknown;
  if (*value == kUnlimited) return "unlimited";
  return unit == "bytes" ? Bytes(*value) : absl::StrCat(*value);
}

const char* Filter(SystemCallFilter filter) {
  switch (filter) {
    case SystemCallFilter::kUnknown:
      return kUnknown;
    case SystemCallFilter::kNone:
      return "none";
    case SystemCallFilter::kStrict:
      return "seccomp, strict mode";
    case SystemCallFilter::kFilter:
      return "seccomp filter";
  }
  return kUnknown;
}

std::string HostTable(const HostFindings& host) {
  return AlignColumns({
      {"kernel", host.kernel.empty() ? kUnknown : host.kernel},
      {"machine", absl::StrCat(host.machine, ", ", host.processors, " processors")},
      {"system call filter", Filter(host.filter)},
      {"cgroup", absl::StrCat("memory ", Limit(host.control_group.memory_bytes, "bytes"),
                              ", threads ", Limit(host.control_group.threads, ""))},
  });
}

std::string LimitsTable(const HostFindings& host) {
  Rows rows = {{"limit", "soft", "hard", ""}};
  for (const ResourceLimit& limit : host.limits) {
    rows.push_back(
        {limit.name, Limit(limit.soft, limit.unit), Limit(limit.hard, limit.unit), limit.what});
  }
  return AlignColumns(rows);
}

std::string SettingsTable(const HostFindings& host) {
  Rows rows = {{"sysctl", "value", ""}};
  for (const KernelSetting& setting : host.settings) {
    rows.push_back({setting.name, setting.value.value_or("absent"), setting.what});
  }
  return AlignColumns(rows);
}

// Names of what is declared.
std::string Capabilities(const BackendCapabilities& capabilities) {
  std::vector<absl::string_view> names;
  if (capabilities.native_files) names.push_back("native_files");
  if (capabilities.multishot) names.push_back("multishot");
  if (capabilities.provided_buffers) names.push_back("provided_buffers");
  if (capabilities.zero_copy_send) names.push_back("zero_copy_send");
  return names.empty() ? "none" : absl::StrJoin(names, ", ");
}

std::string BackendsTable(const Findings& findings) {
  if (findings.backends.empty()) {
    return "no backend is linked; point the label_flag @tenon//:backends at a tenon_backend_set\n";
  }
  Rows rows = {{"backend", "runs", "descriptors", "embedding", "threads", "reserved", "resident",
                "capabilities"}};
  for (const BackendFindings& backend : findings.backends) {
    if (!backend.cost.has_value()) {
      rows.push_back({backend.name, "no", "-", "-", "-", "-", "-", "-"});
      continue;
    }
    const LoopCost& cost = *backend.cost;
    rows.push_back(
        {backend.name, "yes", absl::StrCat(cost.descriptors),
         backend.embeddable ? absl::StrCat("+", cost.embedding_descriptors) : std::string("no"),
         absl::StrCat(cost.threads), Bytes(cost.reserved_bytes), Bytes(cost.resident_bytes),
         Capabilities(backend.capabilities)});
  }
  return AlignColumns(rows);
}

std::string FeaturesTable(const BackendFindings& backend) {
  if (backend.features.empty()) return "";
  Rows rows = {{absl::StrCat(backend.name, ": kernel feature"), "since", "here", "without it"}};
  for (const Feature& feature : backend.features) {
    rows.push_back(
        {feature.name, feature.since, feature.available ? "yes" : "no", feature.without});
  }
  return absl::StrCat("\n", AlignColumns(rows));
}

std::string Refusals(const Findings& findings) {
  std::string out;
  for (const BackendFindings& backend : findings.backends) {
    if (backend.status.ok()) continue;
    absl::StrAppend(&out, "\n", backend.name, " cannot run (", backend.failed_step,
                    "): ", Reason(backend.status), "\n");
  }
  return out;
}

}  // namespace

std::string Reason(const absl::Status& status) {
  if (!status.message().empty()) return std::string(status.message());
  return status.code() == absl::StatusCode::kResourceExhausted
             ? "out of memory; raise the memory limit of the host or of the control group"
             : absl::StatusCodeToString(status.code());
}

std::string FormatTable(const Findings& findings) {
  std::string out = absl::StrCat(HostTable(findings.host), "\n", LimitsTable(findings.host), "\n",
                                 SettingsTable(findings.host), "\n", BackendsTable(findings));
  for (const BackendFindings& backend : findings.backends) {
    absl::StrAppend(&out, FeaturesTable(backend));
  }
  const AutomaticChoice& automatic = findings.automatic;
  absl::StrAppend(
      &out, Refusals(findings), "\nauto takes ",
      automatic.status.ok() ? automatic.backend : absl::StrCat("none: ", Reason(automatic.status)),
      "\n");
  for (const std::string& sentence : findings.advice) {
    absl::StrAppend(&out, "advice: ", sentence, "\n");
  }
  return out;
}

}  // namespace tenon::doctor
