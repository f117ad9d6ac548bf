// What becomes of resources: made, checked, aged, invalidated, and how many there are.

#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/pool/testing/pool_fixture.h"

namespace tenon::pool {
namespace {

class LifecycleTest : public PoolTest {
 protected:
  // Leases `count` at a time and gives them all back: so many are idle then.
  void Warm(int count) {
    std::vector<ThingLease> leases;
    for (int i = 0; i < count; ++i) leases.push_back(AcquireNow());
  }
  uint32_t idle() { return pool().Stats().slots[SlotState::kIdle]; }
};

INSTANTIATE_TEST_SUITE_P(Pools, LifecycleTest, EveryPool(), FactoryName);

TEST_P(LifecycleTest, OptionsOutOfRangeAreRefused) {
  const PoolOptions wrong[] = {
      {.max = 0},
      {.min = 3, .max = 2},
      {.max = 3, .capacity = 2},
      {.max = 1 << 17},
      {.acquire_timeout_ns = -1},
      {.check_idle_after_ns = 0},
      {.idle_ttl_ns = 0},
      {.lifetime_ns = 0},
      {.lifetime_ns = 5, .lifetime_jitter_ns = 6},
      {.retry_min_ns = 0},
      {.retry_min_ns = 5, .retry_max_ns = 4},
  };
  for (const PoolOptions& options : wrong) {
    const auto pool = ThingPool::Create(*GetParam(), loop(), policy_, options, allocator());
    EXPECT_TRUE(absl::IsInvalidArgument(pool.status())) << pool.status();
    EXPECT_THAT(std::string(pool.status().message()), testing::HasSubstr("PoolOptions."));
  }
}

// ---- Creating ----

TEST_P(LifecycleTest, Pool2AFailedCreationIsUndoneInReverse) {
  policy_.create.next = {Outcome::kError};
  MakePool({.max = 1});
  std::unique_ptr<Acquirer> acquirer = Acquire();
  EXPECT_TRUE(Finish(*acquirer).ok());
  EXPECT_EQ(policy_.undone, "21");
  EXPECT_EQ(pool().Stats().create_failures, 1u);
  EXPECT_EQ(pool().Stats().created, 1u);
}

TEST_P(LifecycleTest, Pool2APermitIsHeldUntilTheFailedCreationIsUndone) {
  policy_.create.otherwise = Outcome::kError;
  MakePool({.max = 1, .create_attempts = 1});
  std::unique_ptr<Acquirer> acquirer = Acquire();
  loop().Poll();
  ASSERT_EQ(policy_.parts, 2) << "it is not being undone yet: the test shows nothing";
  EXPECT_EQ(pool().Stats().slots.used(), 1u);
  EXPECT_FALSE(acquirer->done());
  EXPECT_EQ(Finish(*acquirer).status(), absl::UnavailableError("the script says so"));
  EXPECT_EQ(policy_.parts, 0);
  EXPECT_EQ(pool().Stats().slots.used(), 0u);
}

TEST_P(LifecycleTest, Pool3ClosedDuringEagerFill) {
  policy_.create.otherwise = Outcome::kSlow;
  MakePool({.min = 5, .max = 5, .fill = Fill::kEager});
  Settle();
  ASSERT_EQ(pool().Stats().slots[SlotState::kCreating], 5u);
  EXPECT_EQ(Drain(kForeverNs).status, absl::OkStatus());
  EXPECT_EQ(pool().Stats().created, 0u);
  EXPECT_EQ(policy_.undone, "2222211111") << "the five creations were undone side by side";
}

TEST_P(LifecycleTest, Pool3ClosedBeforeEagerFillHasBegun) {
  MakePool({.min = 3, .max = 3, .fill = Fill::kEager});
  ASSERT_EQ(pool().Stats().slots[SlotState::kReserved], 3u);
  EXPECT_EQ(Drain(kForeverNs).status, absl::OkStatus());
  EXPECT_EQ(policy_.creations_begun, 0);
}

TEST_P(LifecycleTest, EagerFillKeepsTheMinimum) {
  MakePool({.min = 3, .max = 5, .fill = Fill::kEager});
  Settle();
  EXPECT_EQ(idle(), 3u);
  ThingLease lease = AcquireNow();
  lease.Invalidate();
  lease.Release();
  Settle();
  EXPECT_EQ(idle(), 3u);
  EXPECT_EQ(pool().Stats().created, 4u);
}

TEST_P(LifecycleTest, LazyFillCreatesNoMoreThanIsAskedFor) {
  MakePool({.min = 3, .max = 5});
  Settle();
  EXPECT_EQ(policy_.creations_begun, 0);
  std::unique_ptr<Acquirer> first = Acquire();
  std::unique_ptr<Acquirer> second = Acquire();
  Settle();
  EXPECT_EQ(policy_.creations_begun, 2);
}

TEST_P(LifecycleTest, Pool6FailedCreationsDoNotExhaustThePool) {
  for (int i = 0; i < 100; ++i) policy_.create.next.push_back(Outcome::kError);
  MakePool({.max = 2, .retry_min_ns = 1, .retry_max_ns = 1});
  std::unique_ptr<Acquirer> acquirer = Acquire();
  EXPECT_TRUE(Finish(*acquirer).ok());
  EXPECT_EQ(pool().Stats().create_failures, 100u);
}

TEST_P(LifecycleTest, RetriesBackOffAndGoOneAtATime) {
  for (int i = 0; i < 6; ++i) policy_.create.next.push_back(Outcome::kError);
  MakePool({.max = 4, .retry_min_ns = kSecondNs, .retry_max_ns = 4 * kSecondNs});
  std::vector<std::unique_ptr<Acquirer>> acquirers;
  for (int i = 0; i < 4; ++i) acquirers.push_back(Acquire());
  const int64_t undo_ns = 2 * kMillisecondNs;
  Advance(undo_ns);
  // Four at once, as nothing had failed yet, which are one failure.
  ASSERT_EQ(policy_.creations_begun, 4);
  Advance(kSecondNs - kMillisecondNs);
  EXPECT_EQ(policy_.creations_begun, 4);
  Advance(kMillisecondNs);
  EXPECT_EQ(policy_.creations_begun, 5) << "more than one attempt at a time while all fail";
  Advance(2 * kSecondNs + undo_ns);
  EXPECT_EQ(policy_.creations_begun, 6);
  Advance(4 * kSecondNs + undo_ns);
  // This one succeeds, so the rest is created without further ado.
  EXPECT_EQ(pool().Stats().created, 4u);
  for (const auto& acquirer : acquirers) EXPECT_TRUE(Finish(*acquirer).ok());
}

TEST_P(LifecycleTest, FailuresBeyondTheAttemptsAreAnswers) {
  policy_.create.otherwise = Outcome::kError;
  MakePool({.max = 1, .retry_min_ns = 1, .retry_max_ns = 1, .create_attempts = 3});
  std::unique_ptr<Acquirer> first = Acquire();
  std::unique_ptr<Acquirer> second = Acquire();
  EXPECT_EQ(Finish(*first).status(), absl::UnavailableError("the script says so"));
  EXPECT_EQ(policy_.creations_begun, 3);
  EXPECT_FALSE(second->done());
  EXPECT_EQ(Finish(*second).status(), absl::UnavailableError("the script says so"));
  EXPECT_EQ(policy_.creations_begun, 4);
  EXPECT_EQ(pool().Stats().failed, 2u);
}

TEST_P(LifecycleTest, Pool10TheMaximumHoldsAlsoWhileDestroying) {
  policy_.destroy.otherwise = Outcome::kSlow;
  MakePool({.max = 1});
  ThingLease lease = AcquireNow();
  lease.Invalidate();
  std::unique_ptr<Acquirer> acquirer = Acquire();
  lease.Release();
  Settle();
  EXPECT_EQ(pool().Stats().slots[SlotState::kDestroying], 1u);
  EXPECT_EQ(policy_.creations_begun, 1);
  EXPECT_TRUE(Finish(*acquirer).ok());
  EXPECT_EQ(policy_.most_live, 1u);
}

// ---- Checking ----

TEST_P(LifecycleTest, Pool7WaitersProgressWhenValidatingResettingOrDestroyingFails) {
  policy_.validate.next = {Outcome::kError, Outcome::kCancelled};
  policy_.reset.next = {Outcome::kOk, Outcome::kError};
  policy_.destroy.otherwise = Outcome::kError;
  MakePool({.max = 1, .check_on_acquire = true, .reset_on_return = true});
  std::set<int> ids;
  for (int i = 0; i < 5; ++i) ids.insert(AcquireNow()->id);
  Settle();
  EXPECT_EQ(pool().Stats().validate_failures, 2u);
  EXPECT_EQ(pool().Stats().reset_failures, 1u);
  EXPECT_EQ(pool().Stats().destroy_failures, 3u);
  EXPECT_EQ(ids.size(), 4u);
}

TEST_P(LifecycleTest, CheckOnAcquireValidatesWhatWasIdleAndWhatPassesByTheIdle) {
  MakePool({.max = 1, .check_on_acquire = true});
  ThingLease lease = AcquireNow();
  EXPECT_EQ(policy_.validations, 0) << "what was just created needs no validation";
  lease.Release();
  lease = AcquireNow();
  EXPECT_EQ(policy_.validations, 1);
  std::unique_ptr<Acquirer> waiter = Acquire();
  lease.Release();
  EXPECT_TRUE(Finish(*waiter).ok());
  EXPECT_EQ(policy_.validations, 2);
}

TEST_P(LifecycleTest, CheckOnReturnValidatesAfterTheReset) {
  MakePool({.max = 1, .check_on_return = true, .reset_on_return = true});
  policy_.reset.next = {Outcome::kError};
  AcquireNow().Release();
  Settle();
  EXPECT_EQ(policy_.validations, 0);
  AcquireNow().Release();
  Settle();
  EXPECT_EQ(policy_.resets, 2);
  EXPECT_EQ(policy_.validations, 1);
  EXPECT_EQ(idle(), 1u);
}

TEST_P(LifecycleTest, WhatIsIdleForLongIsValidatedInTheBackground) {
  MakePool({.max = 2, .check_idle_after_ns = kSecondNs});
  Warm(2);
  Advance(kSecondNs);
  EXPECT_EQ(policy_.validations, 2);
  policy_.validate.next = {Outcome::kError};
  Advance(kSecondNs);
  EXPECT_EQ(policy_.validations, 4);
  EXPECT_EQ(idle(), 1u);
  Advance(10 * kSecondNs);
  EXPECT_EQ(policy_.validations, 14);
}

// ---- Time ----

TEST_P(LifecycleTest, Pool17TheIdleTtlSparesTheMinimumAndTheLeased) {
  MakePool({.min = 1, .max = 4, .idle_ttl_ns = kSecondNs});
  ThingLease held = AcquireNow();
  Warm(3);
  ASSERT_EQ(idle(), 3u);
  Advance(kSecondNs - 1);
  EXPECT_EQ(idle(), 3u);
  Advance(1);
  EXPECT_EQ(idle(), 0u) << "the leased one is the minimum";
  EXPECT_EQ(pool().Stats().ttl_expired, 3u);
  Advance(3600 * kSecondNs);
  held.Release();
  Advance(3600 * kSecondNs);
  EXPECT_EQ(idle(), 1u);
  // The second one is the younger, so the first goes as soon as it may.
  Warm(2);
  EXPECT_EQ(idle(), 2u);
  Advance(kSecondNs);
  EXPECT_EQ(idle(), 1u);
}

TEST_P(LifecycleTest, Pool17ALifetimeEndsByTheClockButNotInTheHandsOfAHolder) {
  MakePool({.max = 2, .lifetime_ns = kSecondNs});
  ThingLease held = AcquireNow();
  Warm(1);
  ASSERT_EQ(idle(), 1u);
  Advance(kSecondNs);
  EXPECT_EQ(idle(), 0u);
  EXPECT_EQ(policy_.live, std::set<int>({held->id}));
  held.Release();
  Settle();
  EXPECT_EQ(policy_.live.size(), 0u);
  EXPECT_EQ(pool().Stats().lifetime_expired, 2u);
}

TEST_P(LifecycleTest, Pool17ALifetimeThatIsOverIsReplacedBeforeTheMinimumIsMissed) {
  policy_.create.otherwise = Outcome::kSlow;
  MakePool({.min = 1, .max = 2, .lifetime_ns = kSecondNs});
  AcquireNow().Release();
  Advance(kSecondNs);
  EXPECT_EQ(pool().Stats().slots.present(), 1u);
  EXPECT_EQ(pool().Stats().slots[SlotState::kCreating], 1u);
  Advance(kSlowNs);
  EXPECT_EQ(policy_.live, std::set<int>({2}));
  EXPECT_EQ(idle(), 1u);
}

TEST_P(LifecycleTest, WhatIsOverIsNotLeasedEvenIfNobodyHasNoticedYet) {
  MakePool({.min = 1, .max = 1, .lifetime_ns = kSecondNs});
  ThingLease lease = AcquireNow();
  const int id = lease->id;
  std::unique_ptr<Acquirer> waiter = Acquire();
  Advance(2 * kSecondNs);
  lease.Release();
  absl::StatusOr<ThingLease> next = Finish(*waiter);
  ASSERT_TRUE(next.ok());
  EXPECT_NE((*next)->id, id);
}

TEST_P(LifecycleTest, JitterSpreadsTheEndsOfLifetimes) {
  MakePool({.max = 8, .lifetime_ns = 10 * kSecondNs, .lifetime_jitter_ns = 5 * kSecondNs});
  Warm(8);
  Advance(5 * kSecondNs - 1);
  EXPECT_EQ(idle(), 8u);
  std::set<uint32_t> counts;
  for (int i = 0; i < 50; ++i) {
    Advance(100 * kMillisecondNs);
    counts.insert(idle());
  }
  Advance(1);
  EXPECT_EQ(idle(), 0u);
  EXPECT_GT(counts.size(), 3u) << "they ended together";
}

TEST_P(LifecycleTest, IdleOrder) {
  for (const IdleOrder order : {IdleOrder::kNewestFirst, IdleOrder::kOldestFirst}) {
    MakePool({.max = 3, .idle_order = order});
    std::vector<ThingLease> leases;
    for (int i = 0; i < 3; ++i) leases.push_back(AcquireNow());
    const int first = leases[0]->id;
    const int last = leases[2]->id;
    for (ThingLease& lease : leases) lease.Release();
    EXPECT_EQ(AcquireNow()->id, order == IdleOrder::kNewestFirst ? last : first);
    EndPool();
  }
}

TEST_P(LifecycleTest, WhatIsSparedByTheMinimumCostsNoTimerWhenItIsLeased) {
  MakePool({.min = 2, .max = 4, .idle_ttl_ns = kSecondNs});
  Warm(2);
  Advance(2 * kSecondNs);
  const auto timers = [&] { return loop().Stats().submitted[static_cast<size_t>(Opcode::kTimer)]; };
  const uint64_t before = timers();
  for (int i = 0; i < 100; ++i) {
    AcquireNow().Release();
    Settle();
  }
  EXPECT_LE(timers() - before, 1u);
}

// ---- Invalidating and resizing ----

TEST_P(LifecycleTest, Pool11AnInvalidatedLeaseIsDestroyedWhenItEnds) {
  MakePool({.max = 1});
  ThingLease lease = AcquireNow();
  const int id = lease->id;
  lease.Invalidate();
  EXPECT_TRUE(policy_.live.contains(id));
  lease.Release();
  EXPECT_NE(AcquireNow()->id, id);
  EXPECT_EQ(policy_.destroyed, std::vector<int>({id}));
}

TEST_P(LifecycleTest, Pool11WhatIsInvalidatedIsNeverLeasedAgainWhateverItsState) {
  policy_.reset.otherwise = Outcome::kSlow;
  MakePool({.max = 4, .reset_on_return = true});
  ThingLease leased = AcquireNow();
  ThingLease resetting = AcquireNow();
  ThingLease idle = AcquireNow();
  idle.Release();
  Advance(kSlowNs);
  resetting.Release();
  policy_.create.next = {Outcome::kSlow};
  ThingLease from_idle = AcquireNow();
  std::unique_ptr<Acquirer> creating = Acquire();
  std::unique_ptr<Acquirer> second_creating = Acquire();
  from_idle.Release();
  Settle();
  const SlotCounts slots = pool().Stats().slots;
  ASSERT_EQ(slots[SlotState::kLeased], 1u);
  ASSERT_EQ(slots[SlotState::kResetting], 2u);
  const int last_old_id = 4;
  pool().InvalidateAll();
  leased.Release();
  absl::StatusOr<ThingLease> lease = Finish(*creating);
  absl::StatusOr<ThingLease> second = Finish(*second_creating);
  ASSERT_TRUE(lease.ok() && second.ok());
  EXPECT_GE((*lease)->id, last_old_id);
  EXPECT_GE((*second)->id, last_old_id);
  Advance(kSecondNs);
  EXPECT_EQ(policy_.live, std::set<int>({(*lease)->id, (*second)->id}));
}

TEST_P(LifecycleTest, Pool12InvalidateAllRacingAcquireAtOneTerminates) {
  MakePool({.max = 1});
  int last = 0;
  for (int i = 0; i < 20; ++i) {
    ThingLease held = AcquireNow();
    EXPECT_GT(held->id, last);
    last = held->id;
    std::unique_ptr<Acquirer> waiter = Acquire();
    // Before, between and after the delivery.
    if (i % 3 == 0) pool().InvalidateAll();
    held.Release();
    if (i % 3 == 1) pool().InvalidateAll();
    if (i % 3 == 2) loop().Poll();
    if (i % 3 == 2) pool().InvalidateAll();
    absl::StatusOr<ThingLease> lease = Finish(*waiter);
    ASSERT_TRUE(lease.ok());
    if (i % 3 != 2) {
      EXPECT_GT((*lease)->id, last);
    }
    last = (*lease)->id;
    lease->Invalidate();
  }
}

TEST_P(LifecycleTest, ResizeDownDestroysTheIdleNowAndTheLeasedLater) {
  MakePool({.max = 4});
  std::vector<ThingLease> leases;
  for (int i = 0; i < 3; ++i) leases.push_back(AcquireNow());
  Warm(1);
  ASSERT_EQ(idle(), 1u);
  EXPECT_EQ(pool().Resize(0, 2), absl::OkStatus());
  Settle();
  EXPECT_EQ(policy_.live.size(), 3u);
  std::unique_ptr<Acquirer> waiter = Acquire();
  leases[0].Release();
  Settle();
  EXPECT_EQ(policy_.live.size(), 2u);
  EXPECT_FALSE(waiter->done());
  leases[1].Release();
  EXPECT_TRUE(Finish(*waiter).ok());
}

TEST_P(LifecycleTest, ResizeUpServesThoseWhoWait) {
  MakePool({.max = 1, .capacity = 3});
  ThingLease held = AcquireNow();
  std::unique_ptr<Acquirer> second = Acquire();
  std::unique_ptr<Acquirer> third = Acquire();
  Settle();
  EXPECT_FALSE(second->done());
  EXPECT_EQ(pool().Resize(0, 3), absl::OkStatus());
  EXPECT_TRUE(Finish(*second).ok());
  EXPECT_TRUE(Finish(*third).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(pool().Resize(0, 4)));
  EXPECT_TRUE(absl::IsInvalidArgument(pool().Resize(3, 2)));
}

}  // namespace
}  // namespace tenon::pool
