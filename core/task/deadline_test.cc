#include "tenon/core/task/deadline.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/task/operations.h"
#include "tenon/core/task/task_fixture.h"

namespace tenon {
namespace {

using DeadlineTest = TaskTest;
using IntTask = Task<absl::StatusOr<int>>;

// Gives 7 after a wait, or the status of the wait.
IntTask GiveAfter(Loop& loop, int64_t delay_ns) {
  if (absl::Status status = co_await Sleep(loop, delay_ns); !status.ok()) co_return status;
  co_return 7;
}

IntTask GiveBefore(Loop& loop, int64_t delay_ns, int64_t deadline_ns) {
  co_return co_await WithDeadline(loop, deadline_ns, GiveAfter(loop, delay_ns));
}

TEST_F(DeadlineTest, ATaskInTimeHasItsResult) {
  EXPECT_EQ(*RunToCompletion(loop(), GiveBefore(loop(), 0, loop().Now() + 3600 * kSecondNs)), 7);
  EXPECT_EQ(loop().Stats().pending, 0u) << "the timer is left behind";
  EXPECT_EQ(*RunToCompletion(loop(), GiveBefore(loop(), 0, kForeverNs)), 7);
}

TEST_F(DeadlineTest, ATaskTooLateIsStoppedAndAwaited) {
  const int64_t deadline_ns = loop().Now() + 2 * kMillisecondNs;
  const absl::Status status =
      RunToCompletion(loop(), GiveBefore(loop(), 3600 * kSecondNs, deadline_ns)).status();
  EXPECT_EQ(status, absl::DeadlineExceededError(""));
  EXPECT_GE(loop().Now(), deadline_ns);
  EXPECT_EQ(loop().Stats().pending, 0u);
}

TEST_F(DeadlineTest, ADeadlineInThePastStopsBeforeTheFirstOperation) {
  const uint64_t submitted = loop().Stats().submitted[static_cast<size_t>(Opcode::kTimer)];
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      RunToCompletion(loop(), GiveBefore(loop(), 1, loop().Now())).status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(RunToCompletion(loop(), GiveBefore(loop(), 1, 0)).status()));
  EXPECT_EQ(loop().Stats().submitted[static_cast<size_t>(Opcode::kTimer)], submitted);
}

// The task ends in the same turn in which the deadline passes; whoever is first decides, and
// nothing is lost or delivered twice.
TEST_F(DeadlineTest, EndAndDeadlineInTheSameTurn) {
  for (const int64_t offset_ns : {int64_t{-1}, int64_t{0}, int64_t{1}}) {
    const auto body = [](Loop& loop, int64_t offset_ns) -> IntTask {
      const int64_t when_ns = loop.Now() + kMillisecondNs;
      const auto inner = [](Loop& loop, int64_t when_ns) -> IntTask {
        if (absl::Status status = co_await SleepUntil(loop, when_ns); !status.ok()) {
          co_return status;
        }
        co_return 7;
      };
      co_return co_await WithDeadline(loop, when_ns, inner(loop, when_ns + offset_ns));
    };
    TaskRoot<absl::StatusOr<int>> root(loop(), body(loop(), offset_ns));
    root.Start();
    // Both have passed when the loop turns next.
    const int64_t until_ns = loop().Now() + 2 * kMillisecondNs;
    while (loop().Now() < until_ns) {
    }
    Finish(root);
    const absl::StatusOr<int> result = root.TakeResult();
    EXPECT_TRUE(result.ok() ? *result == 7 : absl::IsDeadlineExceeded(result.status()))
        << result.status();
    EXPECT_EQ(loop().Stats().pending, 0u);
  }
}

TEST_F(DeadlineTest, SuccessAfterTheDeadlineIsKept) {
  const auto body = [](Loop& loop) -> IntTask {
    const auto stubborn = [](Loop& loop) -> IntTask {
      EXPECT_TRUE(absl::IsCancelled(co_await SleepUntil(loop, kForeverNs)));
      co_return 7;
    };
    co_return co_await WithDeadline(loop, loop.Now() + 1, stubborn(loop));
  };
  EXPECT_EQ(*RunToCompletion(loop(), body(loop())), 7);
}

TEST_F(DeadlineTest, AnErrorAfterTheDeadlineIsKept) {
  const auto body = [](Loop& loop) -> IntTask {
    const auto failing = [](Loop& loop) -> IntTask {
      EXPECT_TRUE(absl::IsCancelled(co_await SleepUntil(loop, kForeverNs)));
      co_return absl::DataLossError("half of it");
    };
    co_return co_await WithDeadline(loop, loop.Now() + 1, failing(loop));
  };
  EXPECT_EQ(RunToCompletion(loop(), body(loop())).status(), absl::DataLossError("half of it"));
}

TEST_F(DeadlineTest, AStopBeforeTheDeadlineIsCancelled) {
  TaskRoot<absl::StatusOr<int>> root(
      loop(), GiveBefore(loop(), 3600 * kSecondNs, loop().Now() + 3600 * kSecondNs));
  root.Start();
  loop().Poll();
  ASSERT_FALSE(root.done());
  root.RequestStop();
  Finish(root);
  EXPECT_EQ(root.TakeResult().status(), absl::CancelledError(""));
}

TEST_F(DeadlineTest, TheEarlierOfTwoDeadlinesCounts) {
  const auto body = [](Loop& loop, int64_t outer_ns, int64_t inner_ns) -> IntTask {
    co_return co_await WithDeadline(loop, outer_ns, GiveBefore(loop, 3600 * kSecondNs, inner_ns));
  };
  for (const bool outer_first : {false, true}) {
    const int64_t soon_ns = loop().Now() + kMillisecondNs;
    const int64_t late_ns = loop().Now() + 3600 * kSecondNs;
    const absl::Status status =
        RunToCompletion(
            loop(), body(loop(), outer_first ? soon_ns : late_ns, outer_first ? late_ns : soon_ns))
            .status();
    EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  }
}

TEST_F(DeadlineTest, WithoutAFrameTheResultIsResourceExhausted) {
  const auto body = [](Loop& loop, alloc::FaultAllocator* fault) -> IntTask {
    fault->FailNth(1);
    co_return co_await WithDeadline(loop, kForeverNs, GiveAfter(loop, 0));
  };
  EXPECT_TRUE(absl::IsResourceExhausted(RunToCompletion(loop(), body(loop(), &fault_)).status()));
}

}  // namespace
}  // namespace tenon
