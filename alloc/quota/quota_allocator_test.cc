#include "tenon/alloc/quota/quota_allocator.h"

#include <atomic>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tenon/alloc/counting/counting_allocator.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/system/system_allocator.h"

namespace tenon::alloc {
namespace {

class QuotaAllocatorTest : public testing::Test {
 protected:
  SystemAllocator system_;
  CountingAllocator counting_{system_};
  FaultAllocator fault_{counting_};
  QuotaAllocator quota_{fault_, 1000};
};

TEST_F(QuotaAllocatorTest, TheLimitItselfFitsAndNotOneByteMore) {
  const Block block = quota_.Allocate({.size = 999});
  ASSERT_NE(block.ptr, nullptr);
  EXPECT_EQ(quota_.Allocate({.size = 2}).ptr, nullptr);
  EXPECT_EQ(quota_.used(), 999u);
  const Block last = quota_.Allocate({.size = 1});
  ASSERT_NE(last.ptr, nullptr);
  const Block empty = quota_.Allocate({.size = 0});
  EXPECT_NE(empty.ptr, nullptr);
  EXPECT_EQ(quota_.used(), 1000u);
  EXPECT_EQ(quota_.refused(), 1u);
  quota_.Deallocate(block.ptr, {.size = 999});
  quota_.Deallocate(last.ptr, {.size = 1});
  quota_.Deallocate(empty.ptr, {.size = 0});
  quota_.Deallocate(nullptr, {.size = 5});
  EXPECT_EQ(quota_.used(), 0u);
}

TEST_F(QuotaAllocatorTest, SizesThatOverflowAreRefused) {
  const Block block = quota_.Allocate({.size = 10});
  volatile size_t huge = std::numeric_limits<size_t>::max();
  EXPECT_EQ(quota_.Allocate({.size = huge}).ptr, nullptr);
  EXPECT_EQ(quota_.Reallocate(block.ptr, {.size = 10}, huge).ptr, nullptr);
  EXPECT_EQ(quota_.used(), 10u);
  quota_.Deallocate(block.ptr, {.size = 10});
}

TEST_F(QuotaAllocatorTest, WhatTheInnerAllocatorRefusesIsNotCharged) {
  const Block block = quota_.Allocate({.size = 100});
  fault_.FailFrom(1);
  EXPECT_EQ(quota_.Allocate({.size = 100}).ptr, nullptr);
  EXPECT_EQ(quota_.Reallocate(block.ptr, {.size = 100}, 200).ptr, nullptr);
  EXPECT_EQ(quota_.Reallocate(block.ptr, {.size = 100}, 50).ptr, nullptr);
  EXPECT_FALSE(quota_.TryResize(block.ptr, {.size = 100}, 200));
  EXPECT_FALSE(quota_.TryResize(block.ptr, {.size = 100}, 50));
  EXPECT_EQ(quota_.used(), 100u);
  EXPECT_EQ(fault_.injected(), 5u);
  fault_.Clear();
  quota_.Deallocate(block.ptr, {.size = 100});
  EXPECT_EQ(quota_.used(), 0u);
}

TEST_F(QuotaAllocatorTest, ResizingChargesTheDifference) {
  Block block = quota_.Allocate({.size = 600});
  block = quota_.Reallocate(block.ptr, {.size = 600}, 900);
  ASSERT_NE(block.ptr, nullptr);
  EXPECT_EQ(quota_.used(), 900u);
  EXPECT_EQ(quota_.Reallocate(block.ptr, {.size = 900}, 1001).ptr, nullptr);
  EXPECT_EQ(quota_.used(), 900u);
  block = quota_.Reallocate(block.ptr, {.size = 900}, 5);
  ASSERT_NE(block.ptr, nullptr);
  EXPECT_EQ(quota_.used(), 5u);
  quota_.Deallocate(block.ptr, {.size = 5});
}

TEST_F(QuotaAllocatorTest, ATryResizeThatItRefusesChangesNoStatistics) {
  const Block block = quota_.Allocate({.size = 600});
  const AllocatorStats before = quota_.Stats();
  EXPECT_FALSE(quota_.TryResize(block.ptr, {.size = 600}, 1001));
  EXPECT_EQ(quota_.Stats().failures, before.failures);
  EXPECT_EQ(quota_.Stats().live_bytes, before.live_bytes);
  EXPECT_EQ(quota_.refused(), 0u);
  quota_.Deallocate(block.ptr, {.size = 600});
}

TEST_F(QuotaAllocatorTest, ALowerLimitRefusesUntilEnoughIsFreed) {
  const Block block = quota_.Allocate({.size = 600});
  quota_.SetLimit(500);
  EXPECT_EQ(quota_.Allocate({.size = 1}).ptr, nullptr);
  const Block smaller = quota_.Reallocate(block.ptr, {.size = 600}, 499);
  ASSERT_NE(smaller.ptr, nullptr);
  const Block one = quota_.Allocate({.size = 1});
  EXPECT_NE(one.ptr, nullptr);
  quota_.Deallocate(one.ptr, {.size = 1});
  quota_.Deallocate(smaller.ptr, {.size = 499});
}

TEST_F(QuotaAllocatorTest, NestedQuotasRefuseByEither) {
  QuotaAllocator tenant(quota_, 700);
  QuotaAllocator other(quota_, 700);
  EXPECT_EQ(tenant.traits().quota_bytes, 700u);
  EXPECT_EQ(quota_.traits().quota_bytes, 1000u);
  const Block block = tenant.Allocate({.size = 600});
  EXPECT_EQ(tenant.Allocate({.size = 200}).ptr, nullptr);
  EXPECT_EQ(other.Allocate({.size = 500}).ptr, nullptr);
  EXPECT_EQ(other.used(), 0u) << "charged for what the outer one refused";
  EXPECT_EQ(quota_.used(), 600u);
  EXPECT_EQ(tenant.Stats().failures, 2u);
  tenant.Deallocate(block.ptr, {.size = 600});
  EXPECT_EQ(quota_.used(), 0u);
}

TEST_F(QuotaAllocatorTest, IsExactUnderThreads) {
  // The counter beneath sees every block that is live: it may never see more than the limit.
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> highest = 0;
  std::thread watcher([&] {
    while (!stop) highest = std::max(highest.load(), quota_.used());
  });
  std::atomic<uint64_t> live = 0;
  std::vector<std::thread> threads;
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    threads.emplace_back([&, seed] {
      std::mt19937 random(seed);
      for (int round = 0; round < 3000; ++round) {
        const size_t size = random() % 400;
        const Block block = quota_.Allocate({.size = size});
        if (block.ptr == nullptr) continue;
        EXPECT_LE(live.fetch_add(size) + size, 1000u);
        if (round % 16 == 0) std::this_thread::yield();
        live.fetch_sub(size);
        quota_.Deallocate(block.ptr, {.size = size});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  stop = true;
  watcher.join();
  EXPECT_LE(highest.load(), 1000u);
  EXPECT_EQ(quota_.used(), 0u);
  EXPECT_EQ(counting_.Stats().live_bytes, 0u);
  EXPECT_GT(counting_.Stats().total_blocks, 0u);
}

TEST_F(QuotaAllocatorTest, IsMadeByItsFactory) {
  const AllocatorFactory& factory = quota::Factory();
  ASSERT_TRUE(factory.decorates());
  ASSERT_EQ(factory.options().size(), 1u);
  EXPECT_EQ(factory.options()[0].default_value, "");
  AllocatorOptionValue bytes{.number = 50};
  const AllocatorConfig config{
      .options = absl::MakeConstSpan(&bytes, 1), .inner = &system_, .memory = fault_};
  fault_.FailNth(1);
  EXPECT_EQ(factory.Create(config).status(), absl::ResourceExhaustedError(""));
  EXPECT_EQ((*factory.Create(config))->traits().quota_bytes, 50u);
  bytes.number = 0;
  EXPECT_EQ(factory.Create(config).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tenon::alloc
