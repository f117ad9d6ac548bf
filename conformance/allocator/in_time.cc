#include "tenon/conformance/allocator/in_time.h"

#include <unistd.h>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "tenon/conformance/allocator/sanitizers.h"
#include "tenon/conformance/faults/run_in_child.h"

namespace tenon::conformance {
namespace {

// Hundreds of times what the work takes, and less than the watchdog of a rule gives.
constexpr unsigned kPatience_s = kSanitized ? 20 : 6;

ChildOutcome RunWithAlarm(absl::FunctionRef<void()> work) {
  return RunInChild([&] {
    alarm(kPatience_s);
    work();
    alarm(0);
    return absl::OkStatus();
  });
}

}  // namespace

void ExpectEnds(const char* what, absl::FunctionRef<void()> work) {
  if (kThreadSanitizer) {
    // In a child it takes for held the locks that a library has made anew after the fork; here the
    // rule's own watchdog ends what hangs.
    return work();
  }
  const ChildOutcome outcome = RunWithAlarm(work);
  if (outcome.death == "SIGALRM") {
    ADD_FAILURE() << what << " never ended: a lock is held";
  } else {
    EXPECT_TRUE(outcome.returned) << what << " ended the process: " << outcome.Describe();
  }
}

void ExpectExits(const char* what, absl::FunctionRef<void()> work) {
  const ChildOutcome outcome = RunWithAlarm(work);
  if (outcome.death == "SIGALRM") {
    ADD_FAILURE() << what << " never ended: a lock is held";
  } else {
    EXPECT_EQ(outcome.death, "exit 0") << what << ": " << outcome.Describe();
  }
}

}  // namespace tenon::conformance
