#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tenon/tools/doctor/report.h"
#include "tenon/tools/text/json.h"

namespace tenon::doctor {
namespace {

using text::JsonArray;
using text::JsonObject;
using text::JsonString;

std::string Bool(bool value) { return value ? "true" : "false"; }

std::string Limit(std::optional<uint64_t> value) {
  if (!value.has_value()) return "null";
  return *value == kUnlimited ? JsonString("unlimited") : absl::StrCat(*value);
}

std::string Filter(SystemCallFilter filter) {
  switch (filter) {
    case SystemCallFilter::kUnknown:
      return "null";
    case SystemCallFilter::kNone:
      return JsonString("none");
    case SystemCallFilter::kStrict:
      return JsonString("strict");
    case SystemCallFilter::kFilter:
      return JsonString("filter");
  }
  return "null";
}

std::string HostJson(const HostFindings& host) {
  std::vector<std::string> limits;
  for (const ResourceLimit& limit : host.limits) {
    limits.push_back(JsonObject({{"name", JsonString(limit.name)},
                                 {"soft", Limit(limit.soft)},
                                 {"hard", Limit(limit.hard)},
                                 {"unit", JsonString(limit.unit)},
                                 {"what", JsonString(limit.what)}}));
  }
  std::vector<std::string> settings;
  for (const KernelSetting& setting : host.settings) {
    settings.push_back(
        JsonObject({{"name", JsonString(setting.name)},
                    {"value", setting.value.has_value() ? JsonString(*setting.value) : "null"},
                    {"what", JsonString(setting.what)}}));
  }
  return JsonObject(
      {{"kernel", JsonString(host.kernel)},
       {"machine", JsonString(host.machine)},
       {"processors", absl::StrCat(host.processors)},
       {"system_call_filter", Filter(host.filter)},
       {"cgroup", JsonObject({{"memory_bytes", Limit(host.control_group.memory_bytes)},
                              {"threads", Limit(host.control_group.threads)}})},
       {"limits", JsonArray(limits)},
       {"settings", JsonArray(settings)}});
}

std::string CapabilitiesJson(const BackendCapabilities& capabilities) {
  return JsonObject({{"native_files", Bool(capabilities.native_files)},
                     {"multishot", Bool(capabilities.multishot)},
                     {"provided_buffers", Bool(capabilities.provided_buffers)},
                     {"zero_copy_send", Bool(capabilities.zero_copy_send)}});
}

std::string CostJson(const std::optional<LoopCost>& cost) {
  if (!cost.has_value()) return "null";
  return JsonObject({{"descriptors", absl::StrCat(cost->descriptors)},
                     {"embedding_descriptors", absl::StrCat(cost->embedding_descriptors)},
                     {"threads", absl::StrCat(cost->threads)},
                     {"reserved_bytes", absl::StrCat(cost->reserved_bytes)},
                     {"resident_bytes", absl::StrCat(cost->resident_bytes)}});
}

std::string BackendJson(const BackendFindings& backend) {
  std::vector<std::string> features;
  for (const Feature& feature : backend.features) {
    features.push_back(JsonObject({{"name", JsonString(feature.name)},
                                   {"since", JsonString(feature.since)},
                                   {"available", Bool(feature.available)},
                                   {"without", JsonString(feature.without)}}));
  }
  const bool runs = backend.status.ok();
  // No loop, no capabilities.
  const bool made = backend.failed_step != "probe" && backend.failed_step != "create";
  return JsonObject({{"name", JsonString(backend.name)},
                     {"runs", Bool(runs)},
                     {"failed_step", runs ? "null" : JsonString(backend.failed_step)},
                     {"code", JsonString(absl::StatusCodeToString(backend.status.code()))},
                     {"reason", runs ? "null" : JsonString(Reason(backend.status))},
                     {"capabilities", made ? CapabilitiesJson(backend.capabilities) : "null"},
                     {"embeddable", made ? Bool(backend.embeddable) : "null"},
                     {"cost", CostJson(backend.cost)},
                     {"features", JsonArray(features)}});
}

}  // namespace

std::string FormatJson(const Findings& findings) {
  std::vector<std::string> backends;
  for (const BackendFindings& backend : findings.backends) {
    backends.push_back(BackendJson(backend));
  }
  std::vector<std::string> advice;
  for (const std::string& sentence : findings.advice) advice.push_back(JsonString(sentence));
  const AutomaticChoice& automatic = findings.automatic;
  return absl::StrCat(
      "{\n  \"tool\":\"doctor\",\n  \"host\":", HostJson(findings.host),
      ",\n  \"backends\":", JsonArray(backends), ",\n  \"automatic\":",
      JsonObject(
          {{"backend", automatic.status.ok() ? JsonString(automatic.backend) : "null"},
           {"reason", automatic.status.ok() ? "null" : JsonString(Reason(automatic.status))}}),
      ",\n  \"advice\":", JsonArray(advice), "\n}\n");
}

}  // namespace tenon::doctor
