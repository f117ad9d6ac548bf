// The suite as a test that Bazel can shard, filter and read.

#ifndef TENON_CONFORMANCE_RUNNER_TEST_PROGRAM_H_
#define TENON_CONFORMANCE_RUNNER_TEST_PROGRAM_H_

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "tenon/conformance/rules/rule.h"
#include "tenon/conformance/runner/subject.h"

namespace tenon::conformance {

// What main() is to do and return: runs the subjects, or, in a child, one rule of one of them.
// `rules` are those of their facet, for lists of known failures.
int RunTestProgram(int argc, char** argv, absl::Span<const Rule> rules,
                   absl::FunctionRef<std::vector<Subject>()> make_subjects);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RUNNER_TEST_PROGRAM_H_
