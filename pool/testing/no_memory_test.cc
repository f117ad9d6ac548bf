// What a pool answers while `operator new` fails: a status without a message, and never the end of
// the process.

#include <memory>
#include <optional>
#include <utility>

#include "gtest/gtest.h"
#include "tenon/core/memory/without_memory.h"
#include "tenon/pool/testing/pool_fixture.h"

namespace tenon::pool {
namespace {

class NoMemoryTest : public PoolTest {
 protected:
  // Turns without looking at the books, which takes memory.
  void Turn() {
    for (int i = 0; i < 10; ++i) loop().RunOnce(loop().Now() + kMillisecondNs);
  }
};

INSTANTIATE_TEST_SUITE_P(Pools, NoMemoryTest, EveryPool(), FactoryName);

TEST_P(NoMemoryTest, OptionsOutOfRange) {
  MakePool({.max = 1});
  absl::Status created;
  absl::Status resized;
  {
    const WithoutMemory none;
    created = ThingPool::Create(*GetParam(), loop(), policy_, {.max = 0}, allocator()).status();
    resized = pool().Resize(2, 1);
  }
  EXPECT_GT(WithoutMemory::refused(), 0);
  EXPECT_EQ(created, absl::InvalidArgumentError(""));
  EXPECT_EQ(resized, absl::InvalidArgumentError(""));
}

TEST_P(NoMemoryTest, ATimeoutAndADrainPastItsDeadline) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  std::unique_ptr<Acquirer> late = Acquire(loop().Now() + kMillisecondNs);
  {
    const WithoutMemory none;
    Turn();
  }
  EXPECT_GT(WithoutMemory::refused(), 0);
  ASSERT_TRUE(late->done());
  EXPECT_EQ(late->TakeResult().status(), absl::DeadlineExceededError(""));
  const auto drain = [](Allocator&, PoolTest& test) -> Task<> {
    co_return (co_await test.pool().Drain(test.loop().Now())).status;
  };
  TaskRoot<> root(loop(), drain(system_, *this));
  {
    const WithoutMemory none;
    root.Start();
    Turn();
  }
  EXPECT_GT(WithoutMemory::refused(), 0);
  ASSERT_TRUE(root.done());
  EXPECT_EQ(root.TakeResult(), absl::DeadlineExceededError(""));
}

TEST_P(NoMemoryTest, ClosingTakesNone) {
  MakePool({.max = 1});
  ThingLease held = AcquireNow();
  std::unique_ptr<Acquirer> waiter = Acquire();
  policy_.destroyed.reserve(1);
  {
    const WithoutMemory none;
    pool().Close();
    Turn();
    held.Release();
    Turn();
  }
  EXPECT_EQ(WithoutMemory::refused(), 0);
  ASSERT_TRUE(waiter->done());
  EXPECT_EQ(waiter->TakeResult().status(), absl::FailedPreconditionError("the pool is closed"));
}

TEST_P(NoMemoryTest, ANinthStep) {
  CreateScope scope(loop(), allocator());
  const auto step = [](Allocator&) -> Task<> { co_return absl::OkStatus(); };
  absl::Status status;
  for (size_t i = 0; i < CreateScope::kMaxSteps; ++i) status.Update(scope.Defer(step(system_)));
  EXPECT_EQ(status, absl::OkStatus());
  {
    const WithoutMemory none;
    status = scope.Defer(step(system_));
  }
  EXPECT_EQ(status, absl::OutOfRangeError(""));
  scope.Forget();
}

}  // namespace
}  // namespace tenon::pool
