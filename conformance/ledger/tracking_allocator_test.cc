#include "tenon/conformance/ledger/tracking_allocator.h"

#include <cstdint>
#include <limits>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(TrackingAllocatorTest, CountsLiveBytesAndBlocks) {
  TrackingAllocator allocator;
  const Block a = allocator.Allocate({.size = 10});
  const Block b = allocator.Allocate({.size = 20});
  EXPECT_EQ(allocator.Stats().live_bytes, 30u);
  EXPECT_EQ(allocator.Stats().live_blocks, 2u);
  allocator.Deallocate(a.ptr, {.size = 10});
  EXPECT_EQ(allocator.Stats().live_bytes, 20u);
  allocator.Deallocate(b.ptr, {.size = 20});
  EXPECT_EQ(allocator.Stats().live_blocks, 0u);
  EXPECT_EQ(allocator.Stats().total_blocks, 2u);
  EXPECT_THAT(allocator.Misuses(), IsEmpty());
}

TEST(TrackingAllocatorTest, FillsNewMemoryAndAligns) {
  TrackingAllocator allocator;
  for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
    const Layout layout = {.size = 3, .alignment = alignment};
    const Block block = allocator.Allocate(layout);
    ASSERT_NE(block.ptr, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block.ptr) % alignment, 0u);
    EXPECT_EQ(static_cast<unsigned char*>(block.ptr)[2], 0xCD);
    allocator.Deallocate(block.ptr, layout);
  }
}

TEST(TrackingAllocatorTest, ZeroSizesAreBlocks) {
  TrackingAllocator allocator;
  const Block a = allocator.Allocate({.size = 0});
  const Block b = allocator.Allocate({.size = 0});
  EXPECT_NE(a.ptr, nullptr);
  EXPECT_NE(a.ptr, b.ptr);
  allocator.Deallocate(a.ptr, {.size = 0});
  allocator.Deallocate(b.ptr, {.size = 0});
  EXPECT_THAT(allocator.Misuses(), IsEmpty());
}

TEST(TrackingAllocatorTest, RefusesWhatCannotBeRepresented) {
  TrackingAllocator allocator;
  EXPECT_EQ(allocator.Allocate({.size = std::numeric_limits<size_t>::max()}).ptr, nullptr);
  EXPECT_EQ(allocator.Stats().failures, 1u);
}

TEST(TrackingAllocatorTest, RecordsMisuse) {
  TrackingAllocator allocator;
  int elsewhere = 0;
  allocator.Deallocate(&elsewhere, {.size = 4});
  const Block block = allocator.Allocate({.size = 16});
  allocator.Deallocate(block.ptr, {.size = 17});
  allocator.Deallocate(block.ptr, {.size = 16});
  allocator.Deallocate(nullptr, {.size = 16});
  EXPECT_THAT(allocator.Misuses(),
              ElementsAre(HasSubstr("no block of the rule's allocator"),
                          HasSubstr("16 bytes aligned to 16 was freed as 17 bytes"),
                          HasSubstr("freed twice")));
}

TEST(TrackingAllocatorTest, MayBeUsedByManyThreads) {
  TrackingAllocator allocator;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (size_t size = 1; size < 200; ++size) {
        allocator.Deallocate(allocator.Allocate({.size = size}).ptr, {.size = size});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(allocator.Stats().live_blocks, 0u);
  EXPECT_EQ(allocator.Stats().total_blocks, 4u * 199u);
  EXPECT_THAT(allocator.Misuses(), IsEmpty());
}

TEST(TrackingAllocatorTest, NamesBlocksThatAreLiveSince) {
  TrackingAllocator allocator;
  (void)allocator.Allocate({.size = 1});
  (void)allocator.Allocate({.size = 2});
  (void)allocator.Allocate({.size = 3});
  EXPECT_THAT(allocator.LiveSince(1, 10), ElementsAre("block 2 of 2 bytes", "block 3 of 3 bytes"));
  EXPECT_THAT(allocator.LiveSince(1, 1), ElementsAre("block 2 of 2 bytes"));
}

}  // namespace
}  // namespace tenon::conformance
