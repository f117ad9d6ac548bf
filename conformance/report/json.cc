#include <string>

#include "absl/strings/str_cat.h"
#include "tenon/conformance/report/escape.h"
#include "tenon/conformance/report/formats.h"

namespace tenon::conformance {
namespace {

std::string HostJson(const Host& host) {
  return absl::StrCat(
      "{\"system\": ", JsonString(host.system), ", \"kernel\": ", JsonString(host.kernel),
      ", \"machine\": ", JsonString(host.machine), ", \"processors\": ", host.processors,
      ", \"compiler\": ", JsonString(host.compiler), ", \"build\": ", JsonString(host.build), "}");
}

std::string RuleJson(const RuleResult& result) {
  return absl::StrCat("{\"id\": ", JsonString(result.rule->id),
                      ", \"level\": ", JsonString(LevelName(*result.rule)),
                      ", \"verdict\": ", JsonString(VerdictName(result.verdict)),
                      ", \"ms\": ", result.milliseconds,
                      ", \"detail\": ", JsonString(result.detail),
                      ", \"replay\": ", JsonString(result.replay), "}");
}

std::string SummaryJson(const Summary& summary) {
  return absl::StrCat("{\"pass\": ", summary.pass, ", \"fail\": ", summary.fail,
                      ", \"expected_fail\": ", summary.expected_fail,
                      ", \"unsupported\": ", summary.unsupported,
                      ", \"inconclusive\": ", summary.inconclusive, "}");
}

}  // namespace

std::string FormatJson(const Report& report) {
  std::string json =
      absl::StrCat("{\n  \"tool\": \"conform\",\n  \"version\": ", JsonString(Version()),
                   ",\n  \"host\": ", HostJson(report.host), ",\n  \"subjects\": [");
  const char* subject_separator = "\n";
  for (const SubjectReport& subject : report.subjects) {
    absl::StrAppend(&json, subject_separator, "    {\"name\": ", JsonString(subject.name),
                    ", \"facet\": ", JsonString(subject.facet), ", \"rules\": [");
    subject_separator = ",\n";
    const char* rule_separator = "\n";
    for (const RuleResult& result : subject.rules) {
      absl::StrAppend(&json, rule_separator, "      ", RuleJson(result));
      rule_separator = ",\n";
    }
    absl::StrAppend(&json, "\n    ]}");
  }
  absl::StrAppend(&json, "\n  ],\n  \"summary\": ", SummaryJson(Summarize(report)), "\n}\n");
  return json;
}

}  // namespace tenon::conformance
