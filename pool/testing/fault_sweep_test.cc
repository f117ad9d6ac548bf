// The nth allocation fails, for every n, once and from then on: each run ends in success or in an
// error without a message, the pool goes on, and leaves nothing behind.

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "gtest/gtest.h"
#include "tenon/pool/testing/pool_fixture.h"

namespace tenon::pool {
namespace {

using FaultSweepTest = PoolTest;
INSTANTIATE_TEST_SUITE_P(Pools, FaultSweepTest, EveryPool(), FactoryName);

// Everything that a pool does. Leases and results are the caller's to look at.
Task<> Program(Loop& loop, ThingPool& pool) {
  absl::Status status;
  for (int i = 0; i < 2; ++i) {
    absl::StatusOr<ThingLease> first = co_await pool.AcquireUntil(loop.Now() + kSecondNs);
    status.Update(first.status());
    absl::StatusOr<ThingLease> second = co_await pool.AcquireUntil(loop.Now() + kSecondNs);
    status.Update(second.status());
    if (second.ok()) second->Invalidate();
  }
  co_return status;
}

TEST_P(FaultSweepTest, EveryFailingAllocationIsAStatus) {
  const PoolOptions options = {.max = 2,
                               .check_on_acquire = true,
                               .check_on_return = true,
                               .reset_on_return = true,
                               .idle_ttl_ns = 3600 * kSecondNs,
                               .create_attempts = 1};
  for (const bool sticky : {false, true}) {
    uint64_t n = 0;
    bool injected = true;
    while (injected) {
      ++n;
      SCOPED_TRACE(testing::Message() << (sticky ? "from " : "at ") << n);
      sticky ? fault_.FailFrom(n) : fault_.FailNth(n);
      absl::StatusOr<ThingPool> pool =
          ThingPool::Create(*GetParam(), loop(), policy_, options, allocator());
      if (!pool.ok()) {
        EXPECT_EQ(pool.status(), absl::ResourceExhaustedError(""));
        EXPECT_EQ(counting_.Stats().live_bytes, 0u);
        continue;
      }
      pool_.emplace(*std::move(pool));
      const absl::Status status = RunToCompletion(loop(), Program(loop(), *pool_));
      CheckBooks();
      injected = fault_.injected() > 0;
      // A resource that could not be validated or reset for want of memory was destroyed, and
      // another was created.
      if (injected) {
        EXPECT_TRUE(status.ok() || status == absl::ResourceExhaustedError("")) << status;
      } else {
        EXPECT_EQ(status, absl::OkStatus());
      }
      EXPECT_EQ(Drain(kForeverNs).status, absl::OkStatus()) << "draining needs no memory";
      fault_.Clear();
      // It is closed and empty; the next one is as good as new.
      EndPool();
      EXPECT_EQ(counting_.Stats().live_bytes, 0u);
    }
    EXPECT_GT(n, 20u) << "too little was made to fail";
  }
}

// After Create nothing but the tasks of the policy takes memory.
TEST_P(FaultSweepTest, AcquiringReturningAndDrainingTakeNoMemory) {
  MakePool({.max = 2, .idle_ttl_ns = kSecondNs, .lifetime_ns = 3600 * kSecondNs});
  {
    ThingLease first = AcquireNow();
    ThingLease second = AcquireNow();
  }
  const uint64_t blocks = counting_.Stats().total_blocks;
  for (int i = 0; i < 10; ++i) {
    ThingLease held = AcquireNow();
    ThingLease second = AcquireNow();
    std::unique_ptr<Acquirer> waiter = Acquire();
    std::unique_ptr<Acquirer> stopped = Acquire();
    std::unique_ptr<Acquirer> late = Acquire(loop().Now());
    stopped->RequestStop();
    EXPECT_TRUE(absl::IsCancelled(Finish(*stopped).status()));
    EXPECT_TRUE(absl::IsDeadlineExceeded(Finish(*late).status()));
    held.Release();
    EXPECT_TRUE(Finish(*waiter).ok());
  }
  EXPECT_EQ(counting_.Stats().total_blocks, blocks);
  // Destroying is by tasks whose frames are there, but for those that they await themselves.
  fault_.FailFrom(1);
  EXPECT_EQ(Drain(kForeverNs).status, absl::OkStatus());
  EXPECT_EQ(policy_.destroyed.size(), 2u);
}

}  // namespace
}  // namespace tenon::pool
