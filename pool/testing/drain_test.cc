// Closing and draining: everybody is told, everything ends, and what does not is named.

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/pool/testing/pool_fixture.h"

namespace tenon::pool {
namespace {

using DrainTest = PoolTest;
using DrainDeathTest = PoolTest;
INSTANTIATE_TEST_SUITE_P(Pools, DrainTest, EveryPool(), FactoryName);
INSTANTIATE_TEST_SUITE_P(Pools, DrainDeathTest, EveryPool(), FactoryName);

TEST_P(DrainTest, Pool9CloseWakesEveryWaiterAndRefusesThoseToCome) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  std::vector<std::unique_ptr<Acquirer>> waiters;
  for (int i = 0; i < 10; ++i) waiters.push_back(Acquire());
  pool().Close();
  pool().Close();
  for (const auto& waiter : waiters) {
    EXPECT_TRUE(absl::IsFailedPrecondition(Finish(*waiter).status()));
  }
  std::unique_ptr<Acquirer> late = Acquire();
  ASSERT_TRUE(late->done());
  EXPECT_TRUE(absl::IsFailedPrecondition(late->TakeResult().status()));
  EXPECT_EQ(pool().Stats().refused, 11u);
  held.Release();
  Settle();
  EXPECT_EQ(policy_.destroyed.size(), 1u);
}

TEST_P(DrainTest, Pool9AWaiterThatWasGivenALeaseBeforeTheCloseHasIt) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  std::unique_ptr<Acquirer> waiter = Acquire();
  held.Release();
  ASSERT_EQ(pool().Stats().slots[SlotState::kAssigned], 1u);
  pool().Close();
  EXPECT_TRUE(Finish(*waiter).ok());
}

TEST_P(DrainTest, Pool9AWaiterWhoseLeaseWasInvalidatedAndThePoolClosedIsRefused) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  std::unique_ptr<Acquirer> waiter = Acquire();
  held.Release();
  ASSERT_EQ(pool().Stats().slots[SlotState::kAssigned], 1u);
  pool().InvalidateAll();
  pool().Close();
  EXPECT_TRUE(absl::IsFailedPrecondition(Finish(*waiter).status()));
}

TEST_P(DrainTest, Pool9CloseDuringCreationEnds) {
  policy_.create.otherwise = Outcome::kNever;
  MakePool({.max = 2});
  std::unique_ptr<Acquirer> waiter = Acquire();
  Settle();
  ASSERT_EQ(pool().Stats().slots[SlotState::kCreating], 1u);
  EXPECT_EQ(Drain(kForeverNs).status, absl::OkStatus());
  EXPECT_TRUE(absl::IsFailedPrecondition(Finish(*waiter).status()));
  EXPECT_EQ(policy_.undone, "21");
}

TEST_P(DrainTest, ClosingStopsValidationAndResetting) {
  policy_.validate.otherwise = policy_.reset.otherwise = Outcome::kNever;
  MakePool({.max = 2, .check_idle_after_ns = 1, .reset_on_return = true});
  policy_.reset.next = {Outcome::kOk};
  ThingLease second;
  {
    ThingLease first = AcquireNow();
    second = AcquireNow();
  }
  Advance(1);
  second.Release();
  Settle();
  ASSERT_EQ(pool().Stats().slots[SlotState::kValidating], 1u);
  ASSERT_EQ(pool().Stats().slots[SlotState::kResetting], 1u);
  EXPECT_EQ(Drain(kForeverNs).status, absl::OkStatus());
}

TEST_P(DrainTest, ADrainOfAnUnusedPoolEnds) {
  MakePool({.max = 2});
  EXPECT_EQ(Drain(kForeverNs).status, absl::OkStatus());
  EXPECT_EQ(Drain(kForeverNs).status, absl::OkStatus());
}

TEST_P(DrainTest, ADrainWaitsForTheHolders) {
  MakePool({.max = 2, .idle_ttl_ns = kSecondNs});
  AcquireNow().Release();
  ThingLease held = AcquireNow();
  const auto release = [](PoolTest& test, ThingLease& lease) -> Task<> {
    absl::Status status = co_await Sleep(test.loop(), kSecondNs);
    lease.Release();
    co_return status;
  };
  TaskRoot<> releaser(loop(), release(*this, held));
  releaser.Start();
  const int64_t begin_ns = loop().Now();
  EXPECT_EQ(Drain(begin_ns + 2 * kSecondNs).status, absl::OkStatus());
  EXPECT_EQ(loop().Now(), begin_ns + kSecondNs);
}

TEST_P(DrainTest, ADrainWhoseDeadlineComesWithTheEndIsOk) {
  MakePool({.max = 1});
  AcquireNow().Release();
  const DrainReport report = Drain(loop().Now());
  EXPECT_EQ(report.status, absl::OkStatus());
  EXPECT_EQ(report.abandoned_count, 0u);
}

TEST_P(DrainTest, Pool18ADrainPastItsDeadlineSaysWhatItAbandonedAndWhereItWasLeased) {
  MakePool({.max = 3});
  policy_.destroy.next = {Outcome::kNever};
  const auto destroyed_site = std::source_location::current();
  ThingLease broken = AcquireNow(destroyed_site);
  const auto held_site = std::source_location::current();
  ThingLease held = AcquireNow(held_site);
  AcquireNow().Release();
  broken.Invalidate();
  broken.Release();
  const int64_t deadline_ns = loop().Now() + kSecondNs;
  DrainReport report = Drain(deadline_ns);
  EXPECT_EQ(loop().Now(), deadline_ns);
  EXPECT_TRUE(absl::IsDeadlineExceeded(report.status));
  ASSERT_EQ(report.abandoned_count, 2u);
  ASSERT_EQ(report.abandoned.size(), 2u);
  EXPECT_EQ(report.abandoned[0].state, SlotState::kDestroying);
  EXPECT_EQ(report.abandoned[0].site.line(), destroyed_site.line());
  EXPECT_EQ(report.abandoned[1].state, SlotState::kLeased);
  EXPECT_EQ(report.abandoned[1].site.line(), held_site.line());
  EXPECT_STREQ(report.abandoned[1].site.file_name(), held_site.file_name());
  EXPECT_EQ(report.abandoned[1].held_ns, kSecondNs);
  EXPECT_THAT(std::string(report.status.message()),
              testing::HasSubstr("leased by pool/testing/drain_test.cc:" +
                                 std::to_string(held_site.line()) + " for 1000 ms"));
  // What could be asked to stop was, and has; what is held is there until it is released.
  Settle();
  EXPECT_EQ(policy_.live.size(), 1u);
  held.Release();
  EXPECT_EQ(Drain(kForeverNs).status, absl::OkStatus());
}

TEST_P(DrainTest, Pool18WithoutMemoryForTheListItIsCounted) {
  MakePool({.max = 2});
  ThingLease first = AcquireNow();
  ThingLease second = AcquireNow();
  fault_.FailFrom(1);
  DrainReport report = Drain(loop().Now());
  fault_.Clear();
  EXPECT_TRUE(absl::IsDeadlineExceeded(report.status));
  EXPECT_EQ(report.abandoned_count, 2u);
  EXPECT_EQ(report.abandoned.size(), 0u);
}

TEST_P(DrainTest, DrainsBesideEachOtherHaveTheirOwnDeadlines) {
  MakePool({.max = 2});
  ThingLease held = AcquireNow();
  const auto drain = [](PoolTest& test, int64_t deadline_ns) -> Task<> {
    co_return (co_await test.pool().Drain(deadline_ns)).status;
  };
  TaskRoot<> patient(loop(), drain(*this, kForeverNs));
  TaskRoot<> hasty(loop(), drain(*this, loop().Now() + kSecondNs));
  TaskRoot<> other(loop(), drain(*this, kForeverNs));
  for (TaskRoot<>* root : {&patient, &hasty, &other}) root->Start();
  Advance(kSecondNs);
  ASSERT_TRUE(hasty.done());
  EXPECT_TRUE(absl::IsDeadlineExceeded(hasty.TakeResult()));
  EXPECT_FALSE(patient.done() || other.done());
  held.Release();
  Settle();
  ASSERT_TRUE(patient.done() && other.done());
  EXPECT_EQ(patient.TakeResult(), absl::OkStatus());
  EXPECT_EQ(other.TakeResult(), absl::OkStatus());
}

TEST_P(DrainTest, ThePoolMayBeDestroyedByTheTaskThatDrainedIt) {
  MakePool({.max = 2});
  AcquireNow().Release();
  const auto body = [](Allocator&, std::optional<ThingPool>& pool) -> Task<> {
    absl::Status status = (co_await pool->Drain()).status;
    pool.reset();
    co_return status;
  };
  EXPECT_EQ(RunToCompletion(loop(), body(system_, pool_)), absl::OkStatus());
  EXPECT_FALSE(pool_.has_value());
}

TEST_P(DrainTest, DrainingTheLoopEndsThePool) {
  policy_.create.next = {Outcome::kOk, Outcome::kNever};
  policy_.destroy.otherwise = Outcome::kNever;
  MakePool({.min = 3, .max = 4, .fill = Fill::kEager, .idle_ttl_ns = kSecondNs});
  Settle();
  std::unique_ptr<Acquirer> first = Acquire();
  ASSERT_TRUE(first->done());
  const auto drain = [](Allocator&, ThingPool& pool) -> Task<> {
    co_return (co_await pool.Drain()).status;
  };
  absl::StatusOr<ThingLease> lease = first->TakeResult();
  TaskRoot<> drainer(loop(), drain(system_, pool()));
  drainer.Start();
  Settle();
  lease->Release();
  Settle();
  ASSERT_FALSE(drainer.done());
  EXPECT_EQ(loop().Drain(), absl::OkStatus());
  ASSERT_TRUE(drainer.done());
  EXPECT_EQ(drainer.TakeResult(), absl::OkStatus());
  EXPECT_EQ(pool().Stats().created, pool().Stats().destroyed);
  pool_.reset();
}

TEST_P(DrainTest, DrainingTheLoopEndsWaitersAndRetries) {
  policy_.create.otherwise = Outcome::kError;
  MakePool({.max = 1});
  std::unique_ptr<Acquirer> waiter = Acquire();
  Advance(5 * kSecondNs);
  ASSERT_FALSE(waiter->done());
  EXPECT_EQ(loop().Drain(), absl::OkStatus());
  ASSERT_TRUE(waiter->done());
  EXPECT_FALSE(waiter->TakeResult().ok());
  EXPECT_EQ(pool().Stats().slots.used(), 0u);
  pool_.reset();
}

TEST(LocalPoolDeathTest, AnotherThreadOrLoopIsNoticed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  alloc::SystemAllocator system;
  ScriptedPolicy policy;
  const auto make_loop = [&] { return *Loop::Create(VirtualClockFactory(), {}, system); };
  const Owned<Loop> home = make_loop();
  const Owned<Loop> other = make_loop();
  ThingPool pool = *ThingPool::Create(local::Factory(), *home, policy, {.max = 2}, system);
  const auto site = std::source_location::current();
  const char* const wrong_loop = "local pool of another loop";
  const char* const wrong_thread = "on another thread";
  EXPECT_DEATH(Acquirer(*other, pool, kForeverNs, site), wrong_loop);
  EXPECT_DEATH(std::thread([&] { pool.Close(); }).join(), wrong_thread);
  EXPECT_DEATH(std::thread([&] { pool.Stats(); }).join(), wrong_thread);
  Acquirer acquirer(*home, pool, kForeverNs, site);
  while (!acquirer.done()) home->RunOnce();
  ThingLease lease = *acquirer.TakeResult();
  // There is something to be done then, so it is noticed in all builds.
  lease.Invalidate();
  EXPECT_DEATH(std::thread([&] { lease.Release(); }).join(), wrong_thread);
  lease.Release();
  const auto drain = [](Allocator&, ThingPool& pool) -> Task<> {
    co_return (co_await pool.Drain()).status;
  };
  EXPECT_EQ(RunToCompletion(*home, drain(system, pool)), absl::OkStatus());
}

TEST_P(DrainDeathTest, APoolWithALeaseCannotBeDestroyed) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  EXPECT_DEATH(pool_.reset(), "POOL-9: a pool is destroyed that has resources");
}

}  // namespace
}  // namespace tenon::pool
