// The child process that runs one rule: the side inside it.

#ifndef TENON_CONFORMANCE_RUNNER_RULE_CHILD_H_
#define TENON_CONFORMANCE_RUNNER_RULE_CHILD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "tenon/conformance/runner/subject.h"

namespace tenon::conformance {

// Which rule a child is to run, and with what.
struct ChildRequest {
  std::string facet;
  std::string subject;
  std::string rule;
  uint64_t seed = 0;
  std::string temporary_directory = {};
};

// Types of the records that a child sends.
inline constexpr char kFailureRecord = 'F';  // the message of a failure, as it happens
inline constexpr char kVerdictRecord = 'V';  // a verdict's name, once, at the end
inline constexpr char kReasonRecord = 'R';   // why not judged, or what was measured

// Arguments, without the program's name, that make a binary with RunRuleChild() at the top of its
// main() run `request` and report to the descriptor `report_fd`.
std::vector<std::string> ChildArguments(const ChildRequest& request, int report_fd);

// Whether the arguments are ChildArguments.
bool IsRuleChild(int argc, char** argv);

// Runs the rule that the arguments name and returns what main() is to return: 0 once a verdict has
// been sent, whichever. `make_subjects` is called once. Only for processes that do nothing else.
// REQUIRES: IsRuleChild(argc, argv).
int RunRuleChild(int argc, char** argv, absl::FunctionRef<std::vector<Subject>()> make_subjects);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RUNNER_RULE_CHILD_H_
