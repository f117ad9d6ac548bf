// Acquiring: cancelling, deadlines, order, and who gets what when two things happen at once.

#include <memory>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/pool/testing/pool_fixture.h"

namespace tenon::pool {
namespace {

using AcquireTest = PoolTest;
INSTANTIATE_TEST_SUITE_P(Pools, AcquireTest, EveryPool(), FactoryName);

TEST_P(AcquireTest, LeasesWhatIsIdleWithoutATurnOfTheLoop) {
  MakePool({.max = 2});
  const int id = AcquireNow()->id;
  const uint64_t turns = loop().Stats().turns;
  std::unique_ptr<Acquirer> acquirer = Acquire();
  ASSERT_TRUE(acquirer->done());
  EXPECT_EQ(loop().Stats().turns, turns);
  EXPECT_EQ((*acquirer->TakeResult())->id, id);
  EXPECT_EQ(policy_.creations_begun, 1);
}

// Asks without having looked whether something is idle, as if that had come back in between.
class BlindAwaiter {
 public:
  explicit BlindAwaiter(PoolCore& core)
      : node_(core, kForeverNs, std::source_location::current()) {}
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    return node_.Begin(awaiting.promise());
  }
  ThingLease await_resume() noexcept { return ThingLease(*node_.slot()); }

 private:
  AcquireNode node_;
};

TEST_P(AcquireTest, WhatCameBackJustBeforeTheQueueIsNotMissed) {
  absl::StatusOr<Owned<PoolCore>> made =
      GetParam()->Create(loop(), policy_, {.max = 1}, allocator());
  ASSERT_TRUE(made.ok());
  const auto twice = [](Loop&, PoolCore& core) -> Task<> {
    (co_await BlindAwaiter(core)).Release();
    (co_await BlindAwaiter(core)).Release();
    co_return (co_await DrainAwaiter(core, kForeverNs)).status;
  };
  EXPECT_EQ(RunToCompletion(loop(), twice(loop(), **made)), absl::OkStatus());
  EXPECT_EQ(policy_.creations_begun, 1);
}

TEST_P(AcquireTest, ATaskThatWasAskedToStopBeginsNothing) {
  MakePool({.max = 1});
  const auto body = [](PoolTest& test) -> Task<> {
    co_return (co_await test.pool().Acquire()).status();
  };
  TaskRoot<> root(loop(), body(*this));
  root.RequestStop();
  root.Start();
  ASSERT_TRUE(root.done());
  EXPECT_EQ(root.TakeResult(), absl::CancelledError(""));
  EXPECT_EQ(pool().Stats().acquires, 0u);
}

TEST_P(AcquireTest, Pool1CancelledWhileTheResourceIsCreated) {
  policy_.create.next = {Outcome::kSlow};
  MakePool({.max = 1});
  std::unique_ptr<Acquirer> acquirer = Acquire();
  Settle();
  ASSERT_EQ(pool().Stats().slots[SlotState::kCreating], 1u);
  acquirer->RequestStop();
  EXPECT_FALSE(acquirer->done()) << "a task was resumed inside RequestStop";
  EXPECT_TRUE(absl::IsCancelled(Finish(*acquirer).status()));
  // The creation is the pool's: it goes on, and its resource is there for the next.
  Advance(kSlowNs);
  EXPECT_EQ(pool().Stats().slots[SlotState::kIdle], 1u);
  EndPool();
  EXPECT_EQ(policy_.destroyed.size(), 1u);
}

TEST_P(AcquireTest, Pool4ADeliveryThatCameFirstWins) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  std::unique_ptr<Acquirer> first = Acquire();
  std::unique_ptr<Acquirer> second = Acquire();
  held.Release();
  ASSERT_EQ(pool().Stats().slots[SlotState::kAssigned], 1u);
  first->RequestStop();
  absl::StatusOr<ThingLease> lease = Finish(*first);
  ASSERT_TRUE(lease.ok()) << lease.status();
  EXPECT_FALSE(second->done());
  lease->Release();
  EXPECT_TRUE(Finish(*second).ok());
}

TEST_P(AcquireTest, Pool4ACancelThatCameFirstLeavesTheResourceToTheNext) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  std::unique_ptr<Acquirer> first = Acquire();
  std::unique_ptr<Acquirer> second = Acquire();
  first->RequestStop();
  held.Release();
  EXPECT_TRUE(absl::IsCancelled(Finish(*first).status()));
  EXPECT_TRUE(Finish(*second).ok());
  EXPECT_EQ(policy_.creations_begun, 1);
}

TEST_P(AcquireTest, Pool5ACancelledWaiterPassesWhatIsUnderWayOn) {
  MakePool({.max = 1, .reset_on_return = true});
  policy_.reset.otherwise = Outcome::kSlow;
  ThingLease held = AcquireNow();
  std::unique_ptr<Acquirer> first = Acquire();
  std::unique_ptr<Acquirer> second = Acquire();
  held.Release();
  Settle();
  ASSERT_EQ(pool().Stats().slots[SlotState::kResetting], 1u);
  first->RequestStop();
  EXPECT_TRUE(absl::IsCancelled(Finish(*first).status()));
  EXPECT_TRUE(Finish(*second).ok());
}

TEST_P(AcquireTest, Pool8TheDeadlineIsADeadlineWhateverWakesCome) {
  // Whatever is made for it is invalidated before it can be leased.
  policy_.create.otherwise = Outcome::kSlow;
  policy_.when_created = [this] { pool().InvalidateAll(); };
  MakePool({.max = 1});
  const int64_t deadline_ns = loop().Now() + 10 * kSlowNs + kMillisecondNs;
  std::unique_ptr<Acquirer> acquirer = Acquire(deadline_ns);
  EXPECT_TRUE(absl::IsDeadlineExceeded(Finish(*acquirer).status()));
  EXPECT_EQ(loop().Now(), deadline_ns);
  EXPECT_EQ(pool().Stats().destroyed, 10u);
}

TEST_P(AcquireTest, Pool8AWaiterWhoseResourceWasInvalidatedWaitsUntilItsDeadline) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  const int64_t deadline_ns = loop().Now() + 100 * kMillisecondNs;
  std::unique_ptr<Acquirer> acquirer = Acquire(deadline_ns);
  Advance(60 * kMillisecondNs);
  policy_.create.otherwise = Outcome::kNever;
  held.Release();
  ASSERT_EQ(pool().Stats().slots[SlotState::kAssigned], 1u);
  pool().InvalidateAll();
  EXPECT_TRUE(absl::IsDeadlineExceeded(Finish(*acquirer).status()));
  EXPECT_EQ(loop().Now(), deadline_ns);
}

TEST_P(AcquireTest, AWaiterWhoseResourceWasInvalidatedCanStillBeStopped) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  std::unique_ptr<Acquirer> acquirer = Acquire();
  held.Release();
  ASSERT_EQ(pool().Stats().slots[SlotState::kAssigned], 1u);
  acquirer->RequestStop();
  pool().InvalidateAll();
  EXPECT_TRUE(absl::IsCancelled(Finish(*acquirer).status()));
}

TEST_P(AcquireTest, ADeadlineInThePastStillTakesWhatIsIdle) {
  MakePool({.max = 1});
  AcquireNow();
  std::unique_ptr<Acquirer> acquirer = Acquire(0);
  ASSERT_TRUE(acquirer->done());
  ThingLease lease = *acquirer->TakeResult();
  std::unique_ptr<Acquirer> late = Acquire(0);
  EXPECT_TRUE(absl::IsDeadlineExceeded(Finish(*late).status()));
}

TEST_P(AcquireTest, TheTimeoutOfTheOptionsIsTheDeadlineOfAcquire) {
  MakePool({.max = 1, .acquire_timeout_ns = 5 * kSecondNs});
  ThingLease held = AcquireNow();
  const int64_t begin_ns = loop().Now();
  const auto body = [](PoolTest& test) -> Task<> {
    co_return (co_await test.pool().Acquire()).status();
  };
  EXPECT_TRUE(absl::IsDeadlineExceeded(RunToCompletion(loop(), body(*this))));
  EXPECT_EQ(loop().Now(), begin_ns + 5 * kSecondNs);
}

TEST_P(AcquireTest, Pool13WaitersAreServedInOrderAndNobodyBarges) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  std::vector<std::unique_ptr<Acquirer>> waiters;
  for (int i = 0; i < 5; ++i) waiters.push_back(Acquire());
  held.Release();
  // It comes when there is a resource, but one that is somebody's already.
  std::unique_ptr<Acquirer> late = Acquire();
  EXPECT_FALSE(late->done());
  waiters.push_back(std::move(late));
  for (size_t i = 0; i < waiters.size(); ++i) {
    absl::StatusOr<ThingLease> lease = Finish(*waiters[i]);
    ASSERT_TRUE(lease.ok());
    for (size_t j = i + 1; j < waiters.size(); ++j) EXPECT_FALSE(waiters[j]->done());
  }
}

TEST_P(AcquireTest, Pool14ACancelDoesNotPoisonTheCreationForOthers) {
  policy_.create.next = {Outcome::kSlow};
  MakePool({.max = 1});
  std::unique_ptr<Acquirer> first = Acquire();
  std::unique_ptr<Acquirer> second = Acquire();
  Settle();
  first->RequestStop();
  EXPECT_TRUE(absl::IsCancelled(Finish(*first).status()));
  EXPECT_TRUE(Finish(*second).ok());
  EXPECT_EQ(policy_.creations_begun, 1);
}

TEST_P(AcquireTest, Pool16TheCountersSayItBeforeTheWaiterResumes) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  const auto body = [](PoolTest& test) -> Task<> {
    absl::StatusOr<ThingLease> lease = co_await test.pool().Acquire();
    const PoolStats stats = test.pool().Stats();
    EXPECT_EQ(stats.waiting, 0u);
    EXPECT_EQ(stats.slots[SlotState::kAssigned], 0u);
    EXPECT_EQ(stats.slots[SlotState::kLeased], 1u);
    EXPECT_EQ(stats.leases, 2u);
    EXPECT_EQ(stats.returns, 1u);
    co_return lease.status();
  };
  TaskRoot<> root(loop(), body(*this));
  root.Start();
  ASSERT_EQ(pool().Stats().waiting, 1u);
  held.Release();
  ASSERT_FALSE(root.done());
  EXPECT_EQ(pool().Stats().waiting, 0u);
  Settle();
  ASSERT_TRUE(root.done());
  EXPECT_EQ(root.TakeResult(), absl::OkStatus());
}

TEST_P(AcquireTest, Pool19ATimeoutSaysThatThePoolIsExhaustedAndWhoHoldsIt) {
  MakePool({.max = 2});
  const auto old_site = std::source_location::current();
  ThingLease old = AcquireNow(old_site);
  Advance(3 * kSecondNs);
  const auto new_site = std::source_location::current();
  ThingLease young = AcquireNow(new_site);
  std::unique_ptr<Acquirer> acquirer = Acquire(loop().Now() + kSecondNs);
  std::unique_ptr<Acquirer> other = Acquire();
  const absl::Status status = Finish(*acquirer).status();
  ASSERT_TRUE(absl::IsDeadlineExceeded(status));
  const std::string file = "pool/testing/acquire_test.cc:";
  EXPECT_THAT(std::string(status.message()),
              testing::AllOf(testing::HasSubstr("exhausted, 2 of 2 (2 leased), 1 others waiting"),
                             testing::HasSubstr("held longest: by " + file +
                                                std::to_string(old_site.line()) + " for 4000 ms"),
                             testing::HasSubstr(std::to_string(new_site.line()) + " for 1000 ms")));
  other->RequestStop();
  EXPECT_FALSE(Finish(*other).ok());
}

TEST_P(AcquireTest, Pool19ATimeoutSaysThatCreatingFailsAndWithWhat) {
  policy_.create.otherwise = Outcome::kError;
  MakePool({.max = 2, .retry_min_ns = 100 * kMillisecondNs});
  std::unique_ptr<Acquirer> acquirer = Acquire(loop().Now() + 500 * kMillisecondNs);
  const absl::Status status = Finish(*acquirer).status();
  ASSERT_TRUE(absl::IsDeadlineExceeded(status));
  // At 0, 100 and 300 milliseconds, and two more to undo each.
  EXPECT_THAT(std::string(status.message()),
              testing::AllOf(testing::HasSubstr("creation failing, 0 of 2 there"),
                             testing::HasSubstr("failed 3 times in a row, last with UNAVAILABLE: "
                                                "the script says so")));
}

TEST_P(AcquireTest, Pool19ATimeoutSaysThatCreatingIsSlow) {
  policy_.create.otherwise = Outcome::kNever;
  MakePool({.max = 2});
  std::unique_ptr<Acquirer> acquirer = Acquire(loop().Now() + kSecondNs);
  const absl::Status status = Finish(*acquirer).status();
  ASSERT_TRUE(absl::IsDeadlineExceeded(status));
  EXPECT_THAT(std::string(status.message()),
              testing::HasSubstr("creation is slow, 1 of 2 (1 creating)"));
}

TEST_P(AcquireTest, Pool19ATimeoutNamesTheStageThatIsSlowAlsoWhereItHasEveryPermit) {
  policy_.create.otherwise = Outcome::kNever;
  MakePool({.max = 1, .reset_on_return = true});
  std::unique_ptr<Acquirer> creating = Acquire(loop().Now() + kSecondNs);
  EXPECT_THAT(std::string(Finish(*creating).status().message()),
              testing::HasSubstr("in time: creation is slow, 1 of 1 (1 creating)"));
  EndPool();
  policy_.create.otherwise = Outcome::kOk;
  policy_.reset.otherwise = Outcome::kNever;
  MakePool({.max = 1, .reset_on_return = true});
  AcquireNow().Release();
  std::unique_ptr<Acquirer> resetting = Acquire(loop().Now() + kSecondNs);
  EXPECT_THAT(std::string(Finish(*resetting).status().message()),
              testing::HasSubstr("in time: resetting is slow, 1 of 1 (1 resetting)"));
}

TEST_P(AcquireTest, Pool20ReleaseAllocatesNothingAndRunsNothing) {
  MakePool({.max = 1, .check_on_return = true, .reset_on_return = true});
  ThingLease held = AcquireNow();
  std::unique_ptr<Acquirer> waiter = Acquire();
  const uint64_t blocks = counting_.Stats().total_blocks;
  const uint64_t posted = loop().Stats().pending;
  held.Release();
  EXPECT_EQ(counting_.Stats().total_blocks, blocks);
  EXPECT_EQ(loop().Stats().pending, posted);
  EXPECT_EQ(policy_.resets + policy_.validations, 0) << "user code ran in a destructor (POOL-15)";
  EXPECT_FALSE(waiter->done());
  EXPECT_TRUE(Finish(*waiter).ok());
  EXPECT_EQ(policy_.resets, 1);
  EXPECT_EQ(policy_.validations, 1);
}

TEST_P(AcquireTest, Pool15ThePolicyMayUseThePool) {
  MakePool({.max = 2});
  std::unique_ptr<Acquirer> inner;
  policy_.when_created = [&] {
    policy_.when_created = nullptr;
    inner = Acquire();
    EXPECT_EQ(pool().Stats().slots[SlotState::kCreating], 1u);
  };
  ThingLease outer = AcquireNow();
  ASSERT_NE(inner, nullptr);
  absl::StatusOr<ThingLease> lease = Finish(*inner);
  ASSERT_TRUE(lease.ok());
  EXPECT_NE((*lease)->id, outer->id);
}

}  // namespace
}  // namespace tenon::pool
