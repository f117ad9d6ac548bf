// Whoever waits gets on, whatever has been begun for others and does not end.

#include <memory>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tenon/pool/testing/pool_fixture.h"

namespace tenon::pool {
namespace {

class ProgressTest : public PoolTest {
 protected:
  int64_t InAMinute() { return loop().Now() + 60 * kSecondNs; }
  void Cancel(Acquirer& acquirer) {
    acquirer.RequestStop();
    EXPECT_TRUE(absl::IsCancelled(Finish(acquirer).status()));
  }
};

INSTANTIATE_TEST_SUITE_P(Pools, ProgressTest, EveryPool(), FactoryName);

TEST_P(ProgressTest, WhatIsIdleIsValidatedWhileAnotherCreationHangs) {
  MakePool({.max = 2, .check_on_acquire = true});
  ThingLease held = AcquireNow();
  policy_.create.otherwise = Outcome::kNever;
  std::unique_ptr<Acquirer> gone = Acquire();
  Settle();
  Cancel(*gone);
  held.Release();
  Settle();
  ASSERT_EQ(pool().Stats().slots[SlotState::kIdle], 1u);
  ASSERT_EQ(pool().Stats().slots[SlotState::kCreating], 1u);
  std::unique_ptr<Acquirer> acquirer = Acquire(InAMinute());
  EXPECT_EQ(Finish(*acquirer).status(), absl::OkStatus());
}

TEST_P(ProgressTest, WhatIsIdleIsValidatedThoughTheWaiterBeforeLeftACreationBehind) {
  MakePool({.max = 2, .check_on_acquire = true});
  ThingLease held = AcquireNow();
  policy_.create.otherwise = Outcome::kNever;
  std::unique_ptr<Acquirer> first = Acquire();
  Settle();
  // It is served by the lease that ends, not by what was begun for it.
  held.Release();
  Finish(*first)->Release();
  Settle();
  ASSERT_EQ(pool().Stats().slots[SlotState::kCreating], 1u);
  std::unique_ptr<Acquirer> second = Acquire(InAMinute());
  EXPECT_EQ(Finish(*second).status(), absl::OkStatus());
}

TEST_P(ProgressTest, FreePermitsAreUsedWhileResettingHangs) {
  MakePool({.max = 8, .reset_on_return = true});
  ThingLease held = AcquireNow();
  policy_.reset.otherwise = Outcome::kNever;
  held.Release();
  Settle();
  ASSERT_EQ(pool().Stats().slots[SlotState::kResetting], 1u);
  std::unique_ptr<Acquirer> acquirer = Acquire(InAMinute());
  EXPECT_EQ(Finish(*acquirer).status(), absl::OkStatus());
}

TEST_P(ProgressTest, FreePermitsAreUsedWhileValidatingInTheBackgroundHangs) {
  MakePool({.max = 2, .check_idle_after_ns = kSecondNs});
  AcquireNow().Release();
  policy_.validate.otherwise = Outcome::kNever;
  Advance(kSecondNs);
  ASSERT_EQ(pool().Stats().slots[SlotState::kValidating], 1u);
  std::unique_ptr<Acquirer> acquirer = Acquire(InAMinute());
  EXPECT_EQ(Finish(*acquirer).status(), absl::OkStatus());
}

// One of each stage never ends, and there is one permit more than that.
TEST_P(ProgressTest, OneWaiterAfterTheOtherIsServedWhileEveryStageHangs) {
  MakePool({.max = 5, .check_on_acquire = true, .reset_on_return = true});
  for (StageScript* stage : {&policy_.validate, &policy_.reset, &policy_.destroy}) {
    ThingLease lease = AcquireNow();
    if (stage == &policy_.validate) {
      lease.Release();
      Settle();
    }
    stage->next = {Outcome::kNever};
    if (stage == &policy_.validate) {
      std::unique_ptr<Acquirer> gone = Acquire();
      Settle();
      Cancel(*gone);
      continue;
    }
    if (stage == &policy_.destroy) lease.Invalidate();
    lease.Release();
    Settle();
  }
  policy_.create.next = {Outcome::kNever};
  std::unique_ptr<Acquirer> gone = Acquire();
  Settle();
  Cancel(*gone);
  for (const SlotState state : {SlotState::kCreating, SlotState::kValidating, SlotState::kResetting,
                                SlotState::kDestroying}) {
    ASSERT_EQ(pool().Stats().slots[state], 1u) << SlotStateName(state);
  }
  std::vector<std::unique_ptr<Acquirer>> acquirers;
  for (int i = 0; i < 4; ++i) acquirers.push_back(Acquire(InAMinute()));
  for (const auto& acquirer : acquirers) EXPECT_EQ(Finish(*acquirer).status(), absl::OkStatus());
}

TEST_P(ProgressTest, AWaiterDoesNotWaitForACreationThatWasInvalidated) {
  MakePool({.max = 4});
  policy_.create.next = {Outcome::kNever};
  std::unique_ptr<Acquirer> acquirer = Acquire(InAMinute());
  Settle();
  pool().InvalidateAll();
  EXPECT_EQ(Finish(*acquirer).status(), absl::OkStatus());
  EXPECT_EQ(policy_.creations_begun, 2);
}

TEST_P(ProgressTest, AcquirersWhoFindTheFillUnderWayWaitForIt) {
  policy_.create.otherwise = Outcome::kSlow;
  MakePool({.min = 3, .max = 8, .fill = Fill::kEager});
  std::vector<std::unique_ptr<Acquirer>> acquirers;
  for (int i = 0; i < 3; ++i) acquirers.push_back(Acquire());
  for (const auto& acquirer : acquirers) EXPECT_TRUE(Finish(*acquirer).ok());
  EXPECT_EQ(policy_.creations_begun, 3);
}

TEST_P(ProgressTest, CreationsThatFailTogetherAreOneFailure) {
  constexpr int kCount = 9;
  policy_.create.next.assign(kCount, Outcome::kError);
  MakePool({.max = kCount, .retry_min_ns = kSecondNs, .retry_max_ns = 3600 * kSecondNs});
  std::vector<std::unique_ptr<Acquirer>> acquirers;
  for (int i = 0; i < kCount; ++i) acquirers.push_back(Acquire(loop().Now() + 2 * kSecondNs));
  for (const auto& acquirer : acquirers) EXPECT_TRUE(Finish(*acquirer).ok());
  EXPECT_EQ(pool().Stats().create_failures, uint64_t{kCount});
}

TEST_P(ProgressTest, Pool10WhatIsOnlyReservedIsNotBegunAboveALowerMaximum) {
  MakePool({.max = 4});
  std::vector<std::unique_ptr<Acquirer>> acquirers;
  for (int i = 0; i < 4; ++i) acquirers.push_back(Acquire());
  EXPECT_EQ(pool().Resize(0, 1), absl::OkStatus());
  Settle();
  EXPECT_EQ(policy_.most_live, 1u);
  for (const auto& acquirer : acquirers) EXPECT_TRUE(Finish(*acquirer).ok());
  EXPECT_EQ(policy_.creations_begun, 1);
}

// ---- Lifetimes ----

TEST_P(ProgressTest, Pool17LifetimesThatEndTogetherLeaveTheMinimum) {
  constexpr uint32_t kMin = 7;
  MakePool({.min = kMin, .max = kMin + 1, .lifetime_ns = kSecondNs});
  {
    std::vector<ThingLease> leases;
    for (uint32_t i = 0; i <= kMin; ++i) leases.push_back(AcquireNow());
  }
  policy_.destroy.otherwise = policy_.create.otherwise = Outcome::kSlow;
  Advance(kSecondNs);
  for (int i = 0; i < 100; ++i) {
    Advance(kMillisecondNs);
    // The first creation begins while the next are still there.
    ASSERT_GE(pool().Stats().slots.present(), kMin) << "after " << i << " ms";
  }
  Advance(kSecondNs / 2);
  EXPECT_EQ(pool().Stats().lifetime_expired, kMin + 1);
}

TEST_P(ProgressTest, Pool17WhereThereIsNoRoomForAReplacementOneGoesAtATime) {
  MakePool({.min = 4, .max = 4, .lifetime_ns = kSecondNs});
  {
    std::vector<ThingLease> leases;
    for (int i = 0; i < 4; ++i) leases.push_back(AcquireNow());
  }
  policy_.destroy.otherwise = policy_.create.otherwise = Outcome::kSlow;
  Advance(kSecondNs);
  for (int i = 0; i < 90; ++i) {
    Advance(kMillisecondNs);
    ASSERT_GE(pool().Stats().slots.present(), 3u) << "after " << i << " ms";
  }
  EXPECT_EQ(pool().Stats().lifetime_expired, 4u);
}

TEST_P(ProgressTest, Pool17AnAcquirerEndsNoMoreLifetimesThanItNeeds) {
  MakePool({.min = 4, .max = 4, .lifetime_ns = kSecondNs});
  {
    std::vector<ThingLease> leases;
    for (int i = 0; i < 4; ++i) leases.push_back(AcquireNow());
  }
  policy_.destroy.next = {Outcome::kNever};
  Advance(kSecondNs);
  ASSERT_EQ(pool().Stats().slots[SlotState::kDestroying], 1u);
  ASSERT_EQ(pool().Stats().slots[SlotState::kIdle], 3u);
  ThingLease lease = AcquireNow();
  EXPECT_EQ(lease->id, 5);
  EXPECT_EQ(pool().Stats().slots[SlotState::kIdle], 2u);
}

}  // namespace
}  // namespace tenon::pool
