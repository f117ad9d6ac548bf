#include "tenon/conformance/faults/run_in_child.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(RunInChildTest, ReturnsTheStatus) {
  const ChildOutcome outcome = RunInChild([] { return absl::NotFoundError("no such thing"); });
  EXPECT_TRUE(outcome.returned);
  EXPECT_EQ(outcome.status, absl::NotFoundError("no such thing"));
  EXPECT_EQ(outcome.death, "");
  EXPECT_EQ(outcome.Describe(), "returned NOT_FOUND: no such thing");
}

TEST(RunInChildTest, IsAnotherProcess) {
  int changed = 0;
  const pid_t parent = getpid();
  const ChildOutcome outcome = RunInChild([&] {
    changed = 1;
    return getpid() == parent ? absl::InternalError("same process") : absl::OkStatus();
  });
  EXPECT_TRUE(outcome.status.ok()) << outcome.Describe();
  EXPECT_EQ(changed, 0);
}

TEST(RunInChildTest, NamesASignal) {
  const ChildOutcome outcome = RunInChild([]() -> absl::Status {
    std::fputs("about to die\n", stderr);
    raise(SIGKILL);
    return absl::OkStatus();
  });
  EXPECT_FALSE(outcome.returned);
  EXPECT_EQ(outcome.death, "SIGKILL");
  EXPECT_THAT(outcome.standard_error, HasSubstr("about to die"));
  EXPECT_EQ(outcome.Describe(), "SIGKILL: about to die");
}

TEST(RunInChildTest, AnExitIsNoReturn) {
  const ChildOutcome outcome = RunInChild([]() -> absl::Status { _exit(0); });
  EXPECT_FALSE(outcome.returned);
  EXPECT_EQ(outcome.death, "exit 0");
  EXPECT_EQ(RunInChild([]() -> absl::Status { _exit(7); }).death, "exit 7");
}

TEST(RunInChildTest, FailuresReachTheParent) {
  // Two levels: the middle one has the failure and dies, so that it is not one of this test.
  const ChildOutcome outcome = RunInChild([]() -> absl::Status {
    (void)RunInChild([]() -> absl::Status {
      ADD_FAILURE() << "seen in the child";
      return absl::OkStatus();
    });
    _exit(9);
  });
  EXPECT_EQ(outcome.death, "exit 9");
  EXPECT_THAT(outcome.failures,
              ElementsAre(AllOf(HasSubstr("in a child: "), HasSubstr("seen in the child"))));
}

TEST(RunInChildTest, KeepsTheTailOfMuchOutput) {
  const ChildOutcome outcome = RunInChild([] {
    for (int i = 0; i < 20'000; ++i) std::fprintf(stderr, "line %d\n", i);
    return absl::OkStatus();
  });
  EXPECT_TRUE(outcome.returned) << outcome.Describe();
  EXPECT_LT(outcome.standard_error.size(), 64u * 1024);
  EXPECT_THAT(outcome.standard_error, HasSubstr("line 19999\n"));
}

}  // namespace
}  // namespace tenon::conformance
