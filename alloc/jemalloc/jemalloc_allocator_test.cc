// What JemallocAllocator and JemallocArena have in common.

#include "tenon/alloc/jemalloc/jemalloc_allocator.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/jemalloc/jemalloc_arena.h"
#include "tenon/alloc/live_blocks/live_blocks.h"
#include "tenon/alloc/system/system_allocator.h"

namespace tenon::alloc {
namespace {

bool IsAligned(const void* ptr, size_t alignment) {
  return reinterpret_cast<uintptr_t>(ptr) % alignment == 0;
}

class JemallocTest : public testing::TestWithParam<const AllocatorFactory*> {
 protected:
  static Owned<Allocator> Make(Allocator& memory) {
    auto made = GetParam()->Create({.options = {}, .inner = nullptr, .memory = memory});
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *std::move(made) : nullptr;
  }

  SystemAllocator system_;
  Owned<Allocator> owned_ = Make(system_);
  Allocator& allocator_ = *owned_;
};

INSTANTIATE_TEST_SUITE_P(All, JemallocTest,
                         testing::Values(&jemalloc::Factory(), &jemalloc_arena::Factory()),
                         [](const auto& test) { return std::string(test.param->name()); });

TEST_P(JemallocTest, HonoursAlignmentAlsoAboveTheSize) {
  for (size_t alignment = 1; alignment <= 65'536; alignment *= 2) {
    for (size_t size : {size_t{0}, size_t{1}, alignment, alignment + 1, 5 * alignment}) {
      const Layout layout{.size = size, .alignment = alignment};
      // Several, as one may be aligned by chance.
      std::vector<void*> blocks;
      for (int i = 0; i < 5; ++i) {
        const Block block = allocator_.Allocate(layout);
        ASSERT_NE(block.ptr, nullptr);
        EXPECT_GE(block.size, size);
        EXPECT_TRUE(IsAligned(block.ptr, alignment)) << size << " bytes at " << alignment;
        std::memset(block.ptr, 1, size);
        blocks.push_back(block.ptr);
      }
      for (void* ptr : blocks) allocator_.Deallocate(ptr, layout);
    }
  }
  EXPECT_EQ(allocator_.Stats().live_blocks, 0u);
}

TEST_P(JemallocTest, KeepsAlignmentAndBytesWhenResized) {
  for (size_t alignment : {size_t{1}, size_t{16}, size_t{64}, size_t{4096}}) {
    Layout layout{.size = 10, .alignment = alignment};
    Block block = allocator_.Allocate(layout);
    ASSERT_NE(block.ptr, nullptr);
    std::memcpy(block.ptr, "123456789", 10);
    // Up and down over small and large classes, so that each free is by another size.
    for (size_t size : {20, 100, 90, 5000, 4100, 20'000, 1'000'000, 900'000, 40, 10}) {
      block = allocator_.Reallocate(block.ptr, layout, size);
      ASSERT_NE(block.ptr, nullptr);
      layout.size = size;
      EXPECT_TRUE(IsAligned(block.ptr, alignment)) << size << " bytes at " << alignment;
      EXPECT_STREQ(static_cast<char*>(block.ptr), "123456789");
      EXPECT_EQ(allocator_.Stats().live_bytes, size);
    }
    allocator_.Deallocate(block.ptr, layout);
  }
}

TEST_P(JemallocTest, ResizesInPlaceWhereItCanAndCountsThat) {
  const Layout layout{.size = 100};
  const Block block = allocator_.Allocate(layout);
  ASSERT_NE(block.ptr, nullptr);
  // jemalloc's class is 112 bytes.
  ASSERT_TRUE(allocator_.TryResize(block.ptr, layout, 110));
  EXPECT_EQ(allocator_.Stats().live_bytes, 110u);
  EXPECT_FALSE(allocator_.TryResize(block.ptr, {.size = 110}, 200));
  // Shrinking a small block to another class is refused too: it could not be freed as such.
  EXPECT_FALSE(allocator_.TryResize(block.ptr, {.size = 110}, 20));
  volatile size_t huge = std::numeric_limits<size_t>::max() - 8;
  EXPECT_FALSE(allocator_.TryResize(block.ptr, {.size = 110}, huge));
  EXPECT_EQ(allocator_.Stats().live_bytes, 110u);
  allocator_.Deallocate(block.ptr, {.size = 110});

  const Layout large{.size = 8 << 20};
  const Block shrinking = allocator_.Allocate(large);
  ASSERT_NE(shrinking.ptr, nullptr);
  EXPECT_TRUE(allocator_.TryResize(shrinking.ptr, large, 1 << 20));
  EXPECT_EQ(allocator_.Stats().live_bytes, uint64_t{1 << 20});
  allocator_.Deallocate(shrinking.ptr, {.size = 1 << 20});
  EXPECT_EQ(allocator_.Stats().live_bytes, 0u);
}

TEST_P(JemallocTest, FailsCleanlyWhereTheSizeOverflows) {
  for (size_t alignment : {1, 16, 64, 8192}) {
    // Not constant, so that the compiler does not judge the size.
    for (volatile size_t huge :
         {std::numeric_limits<size_t>::max(), std::numeric_limits<size_t>::max() - 40,
          std::numeric_limits<size_t>::max() / 2 + 1}) {
      EXPECT_EQ(allocator_.Allocate({.size = huge, .alignment = alignment}).ptr, nullptr);
    }
  }
  EXPECT_EQ(allocator_.Stats().failures, 12u);
  EXPECT_EQ(allocator_.Stats().total_blocks, 0u);
}

TEST_P(JemallocTest, AFailedGrowKeepsTheBlock) {
  const Layout layout{.size = 10};
  const Block block = allocator_.Allocate(layout);
  ASSERT_NE(block.ptr, nullptr);
  std::memcpy(block.ptr, "123456789", 10);
  // Representable, but more than there are addresses.
  EXPECT_EQ(allocator_.Reallocate(block.ptr, layout, size_t{1} << 50).ptr, nullptr);
  EXPECT_EQ(allocator_.Reallocate(block.ptr, layout, std::numeric_limits<size_t>::max()).ptr,
            nullptr);
  EXPECT_STREQ(static_cast<char*>(block.ptr), "123456789");
  EXPECT_EQ(allocator_.Stats().live_bytes, 10u);
  EXPECT_EQ(allocator_.Stats().live_blocks, 1u);
  EXPECT_EQ(allocator_.Stats().failures, 2u);
  allocator_.Deallocate(block.ptr, layout);
}

TEST_P(JemallocTest, ZeroBytesAreUniqueAndCanBeResized) {
  std::set<void*> blocks;
  for (int i = 0; i < 100; ++i) {
    const Block block = allocator_.Allocate({.size = 0});
    ASSERT_NE(block.ptr, nullptr);
    EXPECT_TRUE(blocks.insert(block.ptr).second);
  }
  EXPECT_EQ(allocator_.Stats().live_blocks, 100u);
  EXPECT_EQ(allocator_.Stats().live_bytes, 0u);
  void* const last = *blocks.begin();
  blocks.erase(last);
  const Block grown = allocator_.Reallocate(last, {.size = 0}, 1000);
  ASSERT_NE(grown.ptr, nullptr);
  const Block shrunk = allocator_.Reallocate(grown.ptr, {.size = 1000}, 0);
  ASSERT_NE(shrunk.ptr, nullptr);
  allocator_.Deallocate(shrunk.ptr, {.size = 0});
  for (void* ptr : blocks) allocator_.Deallocate(ptr, {.size = 0});
  EXPECT_EQ(allocator_.Stats().live_blocks, 0u);
}

TEST_P(JemallocTest, AFreePreservesErrno) {
  for (size_t size : {size_t{10}, size_t{64} << 20}) {
    const Block block = allocator_.Allocate({.size = size});
    ASSERT_NE(block.ptr, nullptr);
    errno = EXDEV;
    allocator_.Deallocate(block.ptr, {.size = size});
    EXPECT_EQ(errno, EXDEV);
  }
  allocator_.Deallocate(nullptr, {.size = 1});
}

TEST_P(JemallocTest, ThreadsShareItAndItsStatisticsReturnToZero) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 2000;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < kRounds; ++round) {
        const Layout layout{.size = static_cast<size_t>(round % 300)};
        const Block block = allocator_.Allocate(layout);
        ASSERT_NE(block.ptr, nullptr);
        // Somebody else's block would show.
        std::memset(block.ptr, i, layout.size);
        if (round % 16 == 0) std::this_thread::yield();
        const auto* bytes = static_cast<const unsigned char*>(block.ptr);
        for (size_t b = 0; b < layout.size; ++b) ASSERT_EQ(bytes[b], i);
        allocator_.Deallocate(block.ptr, layout);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const AllocatorStats stats = allocator_.Stats();
  EXPECT_EQ(stats.live_blocks, 0u);
  EXPECT_EQ(stats.live_bytes, 0u);
  EXPECT_EQ(stats.total_blocks, uint64_t{kThreads} * kRounds);
}

TEST_P(JemallocTest, BlocksAreFreedOnOtherThreads) {
  constexpr size_t kBlocks = 5000;
  const Layout layout{.size = 48};
  std::vector<uint64_t*> blocks;
  for (size_t i = 0; i < kBlocks; ++i) {
    blocks.push_back(static_cast<uint64_t*>(allocator_.Allocate(layout).ptr));
    ASSERT_NE(blocks.back(), nullptr);
    *blocks.back() = i;
  }
  std::thread([&] {
    for (size_t i = 0; i < kBlocks; ++i) {
      EXPECT_EQ(*blocks[i], i);
      allocator_.Deallocate(blocks[i], layout);
    }
  }).join();
  EXPECT_EQ(allocator_.Stats().live_blocks, 0u);
  const Block again = allocator_.Allocate(layout);
  EXPECT_NE(again.ptr, nullptr);
  allocator_.Deallocate(again.ptr, layout);
}

TEST_P(JemallocTest, IsMadeUnlessThereIsNoMemory) {
  FaultAllocator fault(system_);
  fault.FailNth(1);
  EXPECT_EQ(GetParam()->Create({.options = {}, .inner = nullptr, .memory = fault}).status(),
            absl::ResourceExhaustedError(""));
  EXPECT_FALSE(GetParam()->decorates());
  EXPECT_TRUE(GetParam()->options().empty());
  const Owned<Allocator> made = Make(fault);
  ASSERT_NE(made, nullptr);
  const Block block = made->Allocate({.size = 8});
  EXPECT_NE(block.ptr, nullptr);
  made->Deallocate(block.ptr, {.size = 8});
}

TEST_P(JemallocTest, DebugBuildsCatchMisuse) {
  if (!kRemembersLiveBlocks) GTEST_SKIP() << "this build remembers no live blocks";
  const Layout layout{.size = 64};
  const Block block = allocator_.Allocate(layout);
  ASSERT_NE(block.ptr, nullptr);
  EXPECT_DEATH(allocator_.Deallocate(block.ptr, {.size = 32}), "allocated with 64 bytes, not 32");
  EXPECT_DEATH(allocator_.TryResize(block.ptr, {.size = 65}, 66), "64 bytes, not 65");
  EXPECT_DEATH(allocator_.Reallocate(block.ptr, {.size = 65}, 66), "64 bytes, not 65");
  const std::string twice = std::string(GetParam()->name()) + ": Deallocate of .* is not live";
  EXPECT_DEATH(
      {
        allocator_.Deallocate(block.ptr, layout);
        allocator_.Deallocate(block.ptr, layout);
      },
      twice);
  allocator_.Deallocate(block.ptr, layout);
}

}  // namespace
}  // namespace tenon::alloc
