#include "tenon/conformance/runner/verdict.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tenon/conformance/runner/process_end.h"
#include "tenon/conformance/runner/record_pipe.h"
#include "tenon/conformance/runner/rule_child.h"

namespace tenon::conformance {
namespace {

// What ended the process, when it was not its own return from main(). A sanitizer that reports and
// then aborts is named before its signal.
std::string NameOfEnd(const ChildEvidence& evidence) {
  if (evidence.killed_after_s > 0)
    return absl::StrCat("hang after ", evidence.killed_after_s, " s");
  std::string report = FindSanitizerReport(evidence.output);
  return report.empty() ? DescribeProcessEnd(evidence.wait_status) : report;
}

Judgement Named(std::string verdict, std::string reason) {
  for (const Verdict known : {Verdict::kPass, Verdict::kUnsupported, Verdict::kInconclusive}) {
    if (verdict == VerdictName(known)) return {known, std::move(reason)};
  }
  return {Verdict::kFail, absl::StrCat("reported an unknown verdict: ", verdict)};
}

}  // namespace

Judgement Judge(const ChildEvidence& evidence) {
  std::vector<std::string> lines;
  std::string verdict, reason;
  for (Record& record : ParseRecords(evidence.records)) {
    if (record.type == kFailureRecord) lines.push_back(std::move(record.payload));
    if (record.type == kReasonRecord) reason = std::move(record.payload);
    if (record.type == kVerdictRecord) verdict = std::move(record.payload);
  }
  const std::string end = NameOfEnd(evidence);
  if (!end.empty()) {
    lines.insert(lines.begin(), end);
    const std::string_view output = absl::StripAsciiWhitespace(evidence.output);
    if (!output.empty()) lines.push_back(std::string(output));
  }
  if (!lines.empty()) return {Verdict::kFail, absl::StrJoin(lines, "\n")};
  if (verdict.empty()) {
    return {Verdict::kFail, "exited with status 0 without having reported a verdict"};
  }
  if (verdict == VerdictName(Verdict::kFail)) return {Verdict::kFail, "failed without a message"};
  return Named(std::move(verdict), std::move(reason));
}

Judgement ApplyKnownFailures(Judgement judgement, const Rule& rule, const KnownFailures& known) {
  const auto found = known.find(std::string(rule.id));
  if (found == known.end()) return judgement;
  if (judgement.verdict == Verdict::kFail) {
    return {Verdict::kExpectedFail, absl::StrCat(found->second, "\n", judgement.detail)};
  }
  if (judgement.verdict == Verdict::kPass) {
    return {Verdict::kFail,
            absl::StrCat("passes, but is listed as a known failure: ", found->second)};
  }
  return judgement;
}

}  // namespace tenon::conformance
