// Running a part of a rule in a process of its own: what is irreversible, or meant to die.

#ifndef TENON_CONFORMANCE_FAULTS_RUN_IN_CHILD_H_
#define TENON_CONFORMANCE_FAULTS_RUN_IN_CHILD_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace tenon::conformance {

// How a child ended.
struct ChildOutcome {
  // True when the callable returned, and the child ended by itself afterwards.
  bool returned = false;
  // What it returned. Unknown when it did not.
  absl::Status status = absl::UnknownError("the child did not report");
  // What ended it otherwise: "SIGABRT", "exit 3". Empty when `returned`.
  std::string death;
  // The messages of EXPECT_* and ASSERT_* that failed in it.
  std::vector<std::string> failures;
  // The tail of what it wrote to standard error.
  std::string standard_error;

  // For messages: "returned OK", "SIGABRT: <last line of standard_error>".
  std::string Describe() const;
};

// Runs `callable` in a forked child and waits for it. The child has this thread alone, inherits
// descriptors and memory, ends with this process at the latest, and runs no exit handlers.
// Failures of EXPECT_* in it are failures here too, unless it died; a death is for the caller to
// judge:
//
//   const ChildOutcome outcome = RunInChild([&] { misuse(); return absl::OkStatus(); });
//   EXPECT_EQ(outcome.death, "SIGABRT") << outcome.Describe();
//   EXPECT_THAT(outcome.standard_error, testing::HasSubstr("foreign thread"));
ChildOutcome RunInChild(absl::FunctionRef<absl::Status()> callable);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_FAULTS_RUN_IN_CHILD_H_
