// What concurrent gives back before it refuses.

#include <cstring>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tenon/alloc/concurrent/concurrent_allocator.h"
#include "tenon/alloc/quota/quota_allocator.h"
#include "tenon/alloc/system/system_allocator.h"

namespace tenon::alloc {
namespace {

// Fills a backing with blocks of one size and frees them all; the memory then does for any other.
class ConcurrentReclaimTest : public testing::Test {
 protected:
  static constexpr uint64_t kQuota = 4 << 20;

  void FillAndFree(Layout layout) {
    std::vector<void*> blocks;
    for (;;) {
      void* const ptr = allocator_.Allocate(layout).ptr;
      if (ptr == nullptr) break;
      blocks.push_back(ptr);
    }
    ASSERT_GT(blocks.size() * layout.size, kQuota / 2);
    for (void* ptr : blocks) allocator_.Deallocate(ptr, layout);
  }
  void ExpectBlock(Layout layout) {
    const Block block = allocator_.Allocate(layout);
    EXPECT_NE(block.ptr, nullptr) << layout.size << " bytes, where nothing is live";
    allocator_.Deallocate(block.ptr, layout);
  }

  SystemAllocator system_;
  QuotaAllocator quota_{system_, kQuota};
  ConcurrentAllocator allocator_{quota_, {.kept_bytes = kQuota}};
};

TEST_F(ConcurrentReclaimTest, SlabsThatAreKeptForAnotherSize) {
  FillAndFree({.size = 16});
  ExpectBlock({.size = 2048});
  FillAndFree({.size = 2048});
  ExpectBlock({.size = 16});
}

TEST_F(ConcurrentReclaimTest, SlabsForALargeBlock) {
  FillAndFree({.size = 16});
  ExpectBlock({.size = kQuota - (64 << 10)});
}

TEST_F(ConcurrentReclaimTest, SlabsForALargeBlockThatGrows) {
  const Layout layout{.size = 100'000};
  void* const ptr = allocator_.Allocate(layout).ptr;
  ASSERT_NE(ptr, nullptr);
  FillAndFree({.size = 16});
  constexpr size_t kGrown = 3'000'000;
  const Block grown = allocator_.Reallocate(ptr, layout, kGrown);
  ASSERT_NE(grown.ptr, nullptr);
  allocator_.Deallocate(grown.ptr, {.size = kGrown});
}

TEST_F(ConcurrentReclaimTest, WhatAnotherThreadFreed) {
  const Layout layout{.size = 64};
  std::vector<void*> blocks;
  for (void* ptr = nullptr; (ptr = allocator_.Allocate(layout).ptr) != nullptr;) {
    blocks.push_back(ptr);
  }
  std::thread([&] {
    for (void* ptr : blocks) allocator_.Deallocate(ptr, layout);
  }).join();
  ExpectBlock({.size = 2'000'000});
}

TEST_F(ConcurrentReclaimTest, NoneOfWhatIsLive) {
  const Layout layout{.size = 64};
  std::vector<unsigned char*> blocks;
  for (void* ptr = nullptr; (ptr = allocator_.Allocate(layout).ptr) != nullptr;) {
    blocks.push_back(static_cast<unsigned char*>(ptr));
    std::memset(ptr, static_cast<int>(blocks.size()) & 0xff, layout.size);
  }
  // One of each slab, and more, stays.
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (i % 500 != 0) allocator_.Deallocate(blocks[i], layout);
  }
  EXPECT_EQ(allocator_.Allocate({.size = kQuota - (64 << 10)}).ptr, nullptr);
  for (size_t i = 0; i < blocks.size(); i += 500) {
    EXPECT_EQ(blocks[i][63], static_cast<unsigned char>(i + 1)) << "block " << i;
    allocator_.Deallocate(blocks[i], layout);
  }
  EXPECT_EQ(allocator_.Stats().live_blocks, 0u);
  ExpectBlock({.size = kQuota - (64 << 10)});
}

}  // namespace
}  // namespace tenon::alloc
