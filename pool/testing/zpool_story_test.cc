// What became of ZIO's ZPool (zio #9152, #9163, #9174): a pool from 0 to 100, acquiring is slow,
// and the acquirer is interrupted after a second. Resources that were created for it stayed live
// for ever.

#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "tenon/pool/testing/pool_fixture.h"

namespace tenon::pool {
namespace {

using ZPoolStoryTest = PoolTest;
INSTANTIATE_TEST_SUITE_P(Pools, ZPoolStoryTest, EveryPool(), FactoryName);

// Acquires are interrupted after a second, when none of their resources is there yet.
TEST_P(ZPoolStoryTest, SlowAcquiresInterruptedAfterASecond) {
  // Three seconds for each.
  policy_.before_create_ns = 3 * kSecondNs;
  MakePool({.min = 0, .max = 100});
  std::vector<std::unique_ptr<Acquirer>> acquirers;
  for (int i = 0; i < 100; ++i) acquirers.push_back(Acquire());
  Advance(kSecondNs);
  ASSERT_EQ(pool().Stats().slots[SlotState::kCreating], 100u);
  for (const auto& acquirer : acquirers) acquirer->RequestStop();
  for (const auto& acquirer : acquirers) {
    EXPECT_TRUE(absl::IsCancelled(Finish(*acquirer).status()));
  }
  EXPECT_EQ(loop().Now(), kSecondNs) << "interrupting waited for the creations";
  // Closed at once: nothing is live, and nothing takes the three seconds.
  EXPECT_EQ(Drain(kForeverNs).status, absl::OkStatus());
  EXPECT_EQ(pool().Stats().slots.used(), 0u);
  EXPECT_EQ(policy_.parts, 0);
  EXPECT_LT(loop().Now(), 2 * kSecondNs);
}

// The same, but the pool lives on: what was created is there for others.
TEST_P(ZPoolStoryTest, WhatWasCreatedForTheInterruptedServesOthers) {
  policy_.before_create_ns = 3 * kSecondNs;
  MakePool({.min = 0, .max = 100});
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<Acquirer>> acquirers;
    for (int i = 0; i < 100; ++i) {
      acquirers.push_back(Acquire());
      if (acquirers.back()->done()) acquirers.back()->TakeResult().IgnoreError();
    }
    Advance(kSecondNs);
    for (const auto& acquirer : acquirers) acquirer->RequestStop();
    Settle();
    for (const auto& acquirer : acquirers) ASSERT_TRUE(acquirer->done());
    Advance(3 * kSecondNs);
    EXPECT_EQ(pool().Stats().slots[SlotState::kIdle], 100u);
  }
  EXPECT_EQ(policy_.creations_begun, 100);
}

// Half of the acquires are interrupted, at all times from before the creation to after it.
TEST_P(ZPoolStoryTest, InterruptedAtAnyTime) {
  policy_.before_create_ns = kSecondNs;
  for (int64_t delay_ms = 0; delay_ms <= 1'200; delay_ms += 50) {
    MakePool({.min = 0, .max = 10});
    std::vector<std::unique_ptr<Acquirer>> acquirers;
    for (int i = 0; i < 20; ++i) acquirers.push_back(Acquire());
    Advance(delay_ms * kMillisecondNs);
    for (size_t i = 0; i < acquirers.size(); i += 2) acquirers[i]->RequestStop();
    for (const auto& acquirer : acquirers) {
      const absl::StatusOr<ThingLease> lease = Finish(*acquirer);
      EXPECT_TRUE(lease.ok() || absl::IsCancelled(lease.status())) << lease.status();
    }
    EXPECT_LE(policy_.most_live, 10u);
    EndPool();
  }
}

}  // namespace
}  // namespace tenon::pool
