// What must end: in a child process with an alarm, because a lock that is held never tells.

#ifndef TENON_CONFORMANCE_ALLOCATOR_IN_TIME_H_
#define TENON_CONFORMANCE_ALLOCATOR_IN_TIME_H_

#include "absl/functional/function_ref.h"

namespace tenon::conformance {

// Runs `work` in a forked child; under the thread sanitizer in this process. A failure of the rule
// when it does not end within some seconds: "`what` never ended: a lock is held", and when it dies.
// Failures of EXPECT_* in it are failures here.
void ExpectEnds(const char* what, absl::FunctionRef<void()> work);

// In a child in every build: as ExpectEnds, for work that ends the process by exit(3), whose
// handlers run.
void ExpectExits(const char* what, absl::FunctionRef<void()> work);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_ALLOCATOR_IN_TIME_H_
