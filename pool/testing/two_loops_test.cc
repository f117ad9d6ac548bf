// The shared pool and a second loop, both turned by hand: what happens between an answer and the
// turn of the loop that is told of it.

#include <memory>
#include <optional>
#include <source_location>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/pool/testing/pool_fixture.h"

namespace tenon::pool {
namespace {

class TwoLoopsTest : public PoolTest {
 protected:
  TwoLoopsTest() {
    absl::StatusOr<Owned<Loop>> loop = Loop::Create(VirtualClockFactory(), {}, system_);
    CHECK_OK(loop.status());
    other_ = *std::move(loop);
  }

  std::unique_ptr<Acquirer> AcquireOnOther(
      int64_t deadline_ns = kForeverNs,
      std::source_location site = std::source_location::current()) {
    return std::make_unique<Acquirer>(*other_, pool(), deadline_ns, site);
  }
  // The pool may be gone by then. Long enough to undo a creation.
  void TurnHome() {
    for (int i = 0; i < 20; ++i) loop().RunOnce(loop().Now() + kMillisecondNs);
  }
  void TurnOther() {
    for (int i = 0; i < 10; ++i) other_->Poll();
  }
  absl::StatusOr<ThingLease> FinishOnOther(Acquirer& acquirer) {
    TurnOther();
    CHECK(acquirer.done());
    return acquirer.TakeResult();
  }
  uint32_t In(SlotState state) { return pool().Stats().slots[state]; }

  // Drains, destroys the pool at once, and tells how that went.
  static Task<> DrainAndDestroy(Allocator&, std::optional<ThingPool>& pool) {
    absl::Status status = (co_await pool->Drain()).status;
    pool.reset();
    co_return status;
  }

  Owned<Loop> other_;
};

INSTANTIATE_TEST_SUITE_P(Pools, TwoLoopsTest, testing::Values(&shared::Factory()), FactoryName);

TEST_P(TwoLoopsTest, ADrainWaitsForThoseWhoHaveBeenRefusedAndDoNotKnowIt) {
  policy_.create.otherwise = Outcome::kNever;
  MakePool({.max = 1});
  std::unique_ptr<Acquirer> waiter = AcquireOnOther();
  TaskRoot<> drainer(loop(), DrainAndDestroy(system_, pool_));
  drainer.Start();
  TurnHome();
  EXPECT_FALSE(drainer.done());
  EXPECT_TRUE(absl::IsFailedPrecondition(FinishOnOther(*waiter).status()));
  TurnHome();
  ASSERT_TRUE(drainer.done());
  EXPECT_EQ(drainer.TakeResult(), absl::OkStatus());
}

TEST_P(TwoLoopsTest, ADrainWaitsForThoseWhoseCreationFailed) {
  policy_.create.otherwise = Outcome::kError;
  MakePool({.max = 1, .create_attempts = 1});
  std::unique_ptr<Acquirer> waiter = AcquireOnOther();
  TurnHome();
  ASSERT_EQ(pool().Stats().failed, 1u);
  TaskRoot<> drainer(loop(), DrainAndDestroy(system_, pool_));
  drainer.Start();
  TurnHome();
  EXPECT_FALSE(drainer.done());
  EXPECT_EQ(FinishOnOther(*waiter).status(), absl::UnavailableError("the script says so"));
  TurnHome();
  ASSERT_TRUE(drainer.done());
  EXPECT_EQ(drainer.TakeResult(), absl::OkStatus());
}

TEST_P(TwoLoopsTest, ADrainWaitsForThoseWhoWereStopped) {
  policy_.create.otherwise = Outcome::kNever;
  MakePool({.max = 1});
  std::unique_ptr<Acquirer> waiter = AcquireOnOther();
  waiter->RequestStop();
  ASSERT_EQ(pool().Stats().cancelled, 1u);
  TaskRoot<> drainer(loop(), DrainAndDestroy(system_, pool_));
  drainer.Start();
  TurnHome();
  EXPECT_FALSE(drainer.done());
  EXPECT_TRUE(absl::IsCancelled(FinishOnOther(*waiter).status()));
  TurnHome();
  ASSERT_TRUE(drainer.done());
  EXPECT_EQ(drainer.TakeResult(), absl::OkStatus());
}

TEST_P(TwoLoopsTest, Pool18ADrainPastItsDeadlineCountsTheAcquirersWhoseLoopDoesNotTurn) {
  policy_.create.otherwise = Outcome::kNever;
  MakePool({.max = 1});
  std::unique_ptr<Acquirer> waiter = AcquireOnOther();
  DrainReport report = Drain(loop().Now() + kSecondNs);
  EXPECT_TRUE(absl::IsDeadlineExceeded(report.status));
  EXPECT_EQ(report.abandoned_count, 0u);
  EXPECT_EQ(report.acquirer_count, 1u);
  EXPECT_THAT(std::string(report.status.message()), testing::HasSubstr("1 acquirers"));
  EXPECT_TRUE(absl::IsFailedPrecondition(FinishOnOther(*waiter).status()));
  EXPECT_EQ(Drain(kForeverNs).status, absl::OkStatus());
}

TEST_P(TwoLoopsTest, Pool4ADeliveryThatCameFirstWins) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  std::unique_ptr<Acquirer> waiter = AcquireOnOther();
  held.Release();
  ASSERT_EQ(In(SlotState::kAssigned), 1u);
  waiter->RequestStop();
  EXPECT_FALSE(waiter->done());
  EXPECT_EQ(FinishOnOther(*waiter).status(), absl::OkStatus());
}

TEST_P(TwoLoopsTest, Pool4AStopThatCameFirstLeavesTheResourceToTheOtherLoop) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  std::unique_ptr<Acquirer> first = AcquireOnOther();
  std::unique_ptr<Acquirer> second = Acquire();
  first->RequestStop();
  held.Release();
  EXPECT_EQ(Finish(*second).status(), absl::OkStatus());
  EXPECT_TRUE(absl::IsCancelled(FinishOnOther(*first).status()));
  EXPECT_EQ(policy_.creations_begun, 1);
}

TEST_P(TwoLoopsTest, Pool4ADeliveryThatCameBeforeTheDeadlineWins) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  std::unique_ptr<Acquirer> waiter = AcquireOnOther(other_->Now() + kSecondNs);
  held.Release();
  // Its loop learns of both in one turn.
  other_->RunOnce(kSecondNs);
  EXPECT_EQ(FinishOnOther(*waiter).status(), absl::OkStatus());
}

TEST_P(TwoLoopsTest, Pool9CloseTellsTheWaitersOfBothLoops) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  std::unique_ptr<Acquirer> given = AcquireOnOther();
  std::unique_ptr<Acquirer> there = AcquireOnOther();
  std::unique_ptr<Acquirer> here = Acquire();
  held.Release();
  ASSERT_EQ(In(SlotState::kAssigned), 1u);
  pool().Close();
  EXPECT_FALSE(there->done());
  EXPECT_TRUE(absl::IsFailedPrecondition(Finish(*here).status()));
  EXPECT_EQ(FinishOnOther(*given).status(), absl::OkStatus());
  EXPECT_TRUE(absl::IsFailedPrecondition(FinishOnOther(*there).status()));
}

TEST_P(TwoLoopsTest, Pool11WhatIsInvalidatedBeforeTheOtherLoopHasItIsTakenBack) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  const int old_id = held->id;
  std::unique_ptr<Acquirer> first = AcquireOnOther();
  std::unique_ptr<Acquirer> second = Acquire();
  held.Release();
  ASSERT_EQ(In(SlotState::kAssigned), 1u);
  pool().InvalidateAll();
  // The wake that is under way finds no answer; the place in the queue is the old one.
  TurnOther();
  EXPECT_FALSE(first->done());
  Settle();
  EXPECT_FALSE(second->done());
  absl::StatusOr<ThingLease> lease = FinishOnOther(*first);
  ASSERT_TRUE(lease.ok());
  EXPECT_GT((*lease)->id, old_id);
  lease->Release();
  EXPECT_EQ(Finish(*second).status(), absl::OkStatus());
}

TEST_P(TwoLoopsTest, Pool11OneWakeStandsForTwoAnswers) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  const int old_id = held->id;
  std::unique_ptr<Acquirer> waiter = AcquireOnOther();
  held.Release();
  pool().InvalidateAll();
  Settle();
  ASSERT_EQ(In(SlotState::kAssigned), 1u);
  absl::StatusOr<ThingLease> lease = FinishOnOther(*waiter);
  ASSERT_TRUE(lease.ok());
  EXPECT_GT((*lease)->id, old_id);
}

TEST_P(TwoLoopsTest, Pool11AStopBetweenTwoAnswersIsNotLost) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  std::unique_ptr<Acquirer> waiter = AcquireOnOther();
  held.Release();
  ASSERT_EQ(In(SlotState::kAssigned), 1u);
  waiter->RequestStop();
  pool().InvalidateAll();
  EXPECT_TRUE(absl::IsCancelled(FinishOnOther(*waiter).status()));
  EXPECT_EQ(pool().Stats().cancelled, 1u);
}

TEST_P(TwoLoopsTest, Pool18ADrainPastItsDeadlineNamesWhatTheOtherLoopHasNotTakenYet) {
  MakePool({.max = 2});
  ThingLease held = AcquireNow();
  ThingLease second = AcquireNow();
  const auto site = std::source_location::current();
  std::unique_ptr<Acquirer> waiter = AcquireOnOther(kForeverNs, site);
  held.Release();
  ASSERT_EQ(In(SlotState::kAssigned), 1u);
  DrainReport report = Drain(loop().Now() + kSecondNs);
  EXPECT_TRUE(absl::IsDeadlineExceeded(report.status));
  ASSERT_EQ(report.abandoned_count, 2u);
  ASSERT_EQ(report.abandoned.size(), 2u);
  EXPECT_EQ(report.abandoned[0].state, SlotState::kAssigned);
  EXPECT_EQ(report.abandoned[1].state, SlotState::kLeased);
  EXPECT_EQ(report.acquirer_count, 1u);
  absl::StatusOr<ThingLease> lease = FinishOnOther(*waiter);
  ASSERT_TRUE(lease.ok());
  EXPECT_EQ(lease->site().line(), site.line());
}

}  // namespace
}  // namespace tenon::pool
