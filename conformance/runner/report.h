// What a run of the suite found.

#ifndef TENON_CONFORMANCE_RUNNER_REPORT_H_
#define TENON_CONFORMANCE_RUNNER_REPORT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/conformance/rules/rule.h"

namespace tenon::conformance {

enum class Verdict {
  kPass,
  kFail,
  // Declared not to be there; the detail says by whom.
  kUnsupported,
  // Fails, and is listed as a known failure; the detail begins with the reason given there.
  kExpectedFail,
  // What the rule is about could not be brought about. Never a pass.
  kInconclusive,
};

// "pass", "fail", "unsupported", "expected_fail", "inconclusive".
std::string_view VerdictName(Verdict verdict);

struct RuleResult {
  const Rule* rule = nullptr;
  Verdict verdict = Verdict::kInconclusive;
  int64_t milliseconds = 0;
  // Why it is not a pass, the most telling first; may have many lines. Empty for a pass.
  std::string detail = {};
  // A command line that runs this rule on this subject again with the same seed.
  std::string replay = {};
};

struct SubjectReport {
  std::string name;
  std::string facet;
  std::vector<RuleResult> rules;
};

// The machine and the build, since both decide what can hold.
struct Host {
  std::string system;
  std::string kernel;
  std::string machine;
  int processors = 0;
  std::string compiler;
  // "debug", "release", with the sanitizer after a space.
  std::string build;
};

Host ThisHost();

// Tenon's version.
std::string_view Version();

struct Report {
  Host host;
  std::vector<SubjectReport> subjects;
};

struct Summary {
  int pass = 0;
  int fail = 0;
  int expected_fail = 0;
  int unsupported = 0;
  int inconclusive = 0;
};

Summary Summarize(const SubjectReport& subject);
Summary Summarize(const Report& report);

// Whether every subject is as it declares to be: no fail, nothing inconclusive, and at least one
// rule judged, since a run of nothing proves nothing.
bool MatchesDeclarations(const Report& report);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RUNNER_REPORT_H_
