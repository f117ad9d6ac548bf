// What the tests of pools share: a pool of either kind on a loop with a virtual clock, acquirers,
// and a check of the books after every step.

#ifndef TENON_POOL_TESTING_POOL_FIXTURE_H_
#define TENON_POOL_TESTING_POOL_FIXTURE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <utility>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "tenon/alloc/counting/counting_allocator.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/task/run.h"
#include "tenon/core/task/task.h"
#include "tenon/pool/local/local_pool.h"
#include "tenon/pool/pool.h"
#include "tenon/pool/shared/shared_pool.h"
#include "tenon/pool/testing/scripted_policy.h"
#include "tenon/pool/testing/virtual_clock.h"

namespace tenon::pool {

using ThingPool = Pool<Thing>;
using ThingLease = Lease<Thing>;

// A task that acquires, and keeps what it gets as its result.
class Acquirer {
 public:
  Acquirer(Loop& loop, ThingPool& pool, int64_t deadline_ns, std::source_location site)
      : root_(loop, Acquire(loop, pool, deadline_ns, site)) {
    root_.Start();
  }

  bool done() const { return root_.done(); }
  void RequestStop() { root_.RequestStop(); }
  // REQUIRES: done(); called once.
  absl::StatusOr<ThingLease> TakeResult() { return root_.TakeResult(); }

 private:
  static Task<absl::StatusOr<ThingLease>> Acquire(Loop&, ThingPool& pool, int64_t deadline_ns,
                                                  std::source_location site) {
    co_return co_await pool.AcquireUntil(deadline_ns, site);
  }

  TaskRoot<absl::StatusOr<ThingLease>> root_;
};

class PoolTest : public testing::TestWithParam<const PoolFactory*> {
 public:
  // Where coroutines that take the test get their frames from.
  Allocator& allocator() { return fault_; }
  Loop& loop() { return *loop_; }
  ThingPool& pool() { return *pool_; }

 protected:
  PoolTest() {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    absl::StatusOr<Owned<Loop>> loop = Loop::Create(VirtualClockFactory(), {}, system_);
    CHECK_OK(loop.status());
    loop_ = *std::move(loop);
  }
  ~PoolTest() override {
    fault_.Clear();
    EndPool();
    EXPECT_EQ(loop_->Drain(), absl::OkStatus());
    loop_ = nullptr;
    EXPECT_EQ(counting_.Stats().live_bytes, 0u) << "of the pool and its tasks";
  }

  void MakePool(const PoolOptions& options) {
    absl::StatusOr<ThingPool> pool =
        ThingPool::Create(*GetParam(), loop(), policy_, options, allocator());
    CHECK_OK(pool.status());
    pool_.emplace(*std::move(pool));
  }
  // Drains the pool, whatever is under way but leases, and destroys it.
  void EndPool() {
    if (!pool_.has_value()) return;
    DrainReport report = Drain(loop().Now());
    if (!report.status.ok()) report = Drain(kForeverNs);
    EXPECT_EQ(report.status, absl::OkStatus());
    CheckBooks();
    EXPECT_EQ(pool().Stats().created, pool().Stats().destroyed);
    EXPECT_TRUE(policy_.live.empty());
    EXPECT_EQ(policy_.parts, 0);
    pool_.reset();
  }

  std::unique_ptr<Acquirer> Acquire(int64_t deadline_ns = kForeverNs,
                                    std::source_location site = std::source_location::current()) {
    return std::make_unique<Acquirer>(loop(), pool(), deadline_ns, site);
  }
  // Acquires and turns until there is a lease. REQUIRES: there will be one.
  ThingLease AcquireNow(std::source_location site = std::source_location::current()) {
    std::unique_ptr<Acquirer> acquirer = Acquire(kForeverNs, site);
    absl::StatusOr<ThingLease> lease = Finish(*acquirer);
    CHECK_OK(lease.status());
    return *std::move(lease);
  }
  absl::StatusOr<ThingLease> Finish(Acquirer& acquirer) {
    while (!acquirer.done()) {
      loop().RunOnce();
      CheckBooks();
    }
    return acquirer.TakeResult();
  }

  DrainReport Drain(int64_t deadline_ns) {
    std::optional<DrainReport> report;
    const absl::Status status =
        RunToCompletion(loop(), DrainInto(system_, pool(), deadline_ns, report));
    EXPECT_EQ(status, absl::OkStatus());
    return *std::move(report);
  }

  // Turns until nothing more happens without time going by.
  void Settle() {
    for (int turn = 0; turn < 20; ++turn) {
      loop().Poll();
      CheckBooks();
    }
  }
  // Lets time go by.
  void Advance(int64_t delay_ns) {
    const auto sleep = [](Allocator&, Loop& loop, int64_t delay_ns) -> Task<> {
      co_return co_await Sleep(loop, delay_ns);
    };
    ASSERT_EQ(RunToCompletion(loop(), sleep(system_, loop(), delay_ns)), absl::OkStatus());
    Settle();
  }

  // The books add up, and agree with those of the policy (POOL-16, POOL-10).
  void CheckBooks() {
    const PoolStats stats = pool().Stats();
    EXPECT_EQ(stats.acquires, stats.leases + stats.timeouts + stats.cancelled + stats.refused +
                                  stats.failed + stats.waiting + stats.slots[SlotState::kAssigned]);
    EXPECT_EQ(stats.leases, stats.returns + stats.slots[SlotState::kLeased]);
    EXPECT_EQ(stats.created, stats.destroyed + stats.slots.live());
    EXPECT_EQ(policy_.live.size(), stats.slots.live());
  }

  alloc::SystemAllocator system_;
  alloc::CountingAllocator counting_{system_};
  alloc::FaultAllocator fault_{counting_};
  ScriptedPolicy policy_;
  Owned<Loop> loop_;
  std::optional<ThingPool> pool_;

 private:
  static Task<> DrainInto(Allocator&, ThingPool& pool, int64_t deadline_ns,
                          std::optional<DrainReport>& report) {
    report.emplace(co_await pool.Drain(deadline_ns));
    co_return absl::OkStatus();
  }
};

// What each rule is tested on.
inline auto EveryPool() { return testing::Values(&local::Factory(), &shared::Factory()); }
inline std::string FactoryName(const testing::TestParamInfo<const PoolFactory*>& info) {
  return std::string(info.param->name());
}

}  // namespace tenon::pool

#endif  // TENON_POOL_TESTING_POOL_FIXTURE_H_
