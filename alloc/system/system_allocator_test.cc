#include "tenon/alloc/system/system_allocator.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>

#include "absl/base/config.h"
#include "gtest/gtest.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/live_blocks/live_blocks.h"

namespace tenon::alloc {
namespace {

bool IsAligned(const void* ptr, size_t alignment) {
  return reinterpret_cast<uintptr_t>(ptr) % alignment == 0;
}

TEST(SystemAllocatorTest, HonoursAlignmentAlsoAboveTheSize) {
  SystemAllocator allocator;
  for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
    for (size_t size : {size_t{0}, size_t{1}, alignment, alignment + 1}) {
      const Layout layout{.size = size, .alignment = alignment};
      const Block block = allocator.Allocate(layout);
      ASSERT_NE(block.ptr, nullptr);
      EXPECT_TRUE(IsAligned(block.ptr, alignment)) << size << " bytes at " << alignment;
      allocator.Deallocate(block.ptr, layout);
    }
  }
}

TEST(SystemAllocatorTest, KeepsAlignmentAndBytesWhenItMoves) {
  SystemAllocator allocator;
  const Layout layout{.size = 10, .alignment = 256};
  const Block block = allocator.Allocate(layout);
  ASSERT_NE(block.ptr, nullptr);
  std::memcpy(block.ptr, "123456789", 10);
  const Block moved = allocator.Reallocate(block.ptr, layout, 100'000);
  ASSERT_NE(moved.ptr, nullptr);
  EXPECT_TRUE(IsAligned(moved.ptr, 256));
  EXPECT_STREQ(static_cast<char*>(moved.ptr), "123456789");
  allocator.Deallocate(moved.ptr, {.size = 100'000, .alignment = 256});
}

TEST(SystemAllocatorTest, FailsCleanlyWhereTheSizeOverflows) {
  SystemAllocator allocator;
  // Not constant, so that the compiler does not judge the size.
  volatile size_t huge = std::numeric_limits<size_t>::max() - 8;
  EXPECT_EQ(allocator.Allocate({.size = huge, .alignment = 64}).ptr, nullptr);
}

TEST(SystemAllocatorTest, ZeroBytesAreUnique) {
  SystemAllocator allocator;
  const Block a = allocator.Allocate({.size = 0});
  const Block b = allocator.Allocate({.size = 0});
  ASSERT_NE(a.ptr, nullptr);
  EXPECT_NE(a.ptr, b.ptr);
  allocator.Deallocate(a.ptr, {.size = 0});
  allocator.Deallocate(b.ptr, {.size = 0});
}

TEST(SystemAllocatorTest, AFreePreservesErrno) {
  SystemAllocator allocator;
  const Block block = allocator.Allocate({.size = 1 << 24});
  ASSERT_NE(block.ptr, nullptr);
  errno = EXDEV;
  allocator.Deallocate(block.ptr, {.size = 1 << 24});
  EXPECT_EQ(errno, EXDEV);
  allocator.Deallocate(nullptr, {.size = 1});
}

TEST(SystemAllocatorTest, AFailedReallocateKeepsTheBlock) {
#if defined(ABSL_HAVE_ADDRESS_SANITIZER) || defined(ABSL_HAVE_THREAD_SANITIZER)
  GTEST_SKIP() << "the sanitizer's malloc ends the process where a size cannot be had";
#endif
  SystemAllocator allocator;
  volatile size_t huge = std::numeric_limits<size_t>::max() / 2;
  for (size_t alignment : {8, 64}) {
    const Layout layout{.size = 10, .alignment = alignment};
    const Block block = allocator.Allocate(layout);
    ASSERT_NE(block.ptr, nullptr);
    std::memcpy(block.ptr, "123456789", 10);
    EXPECT_EQ(allocator.Reallocate(block.ptr, layout, huge).ptr, nullptr);
    EXPECT_STREQ(static_cast<char*>(block.ptr), "123456789");
    allocator.Deallocate(block.ptr, layout);
  }
}

TEST(SystemAllocatorDeathTest, DebugBuildsCatchMisuse) {
  if (!kRemembersLiveBlocks) GTEST_SKIP() << "this build remembers no live blocks";
  SystemAllocator allocator;
  const Layout layout{.size = 64};
  const Block block = allocator.Allocate(layout);
  ASSERT_NE(block.ptr, nullptr);
  EXPECT_DEATH(allocator.Deallocate(block.ptr, {.size = 32}), "allocated with 64 bytes, not 32");
  EXPECT_DEATH(allocator.Deallocate(static_cast<char*>(block.ptr) + 16, layout), "is not live");
  EXPECT_DEATH(
      {
        allocator.Deallocate(block.ptr, layout);
        allocator.Deallocate(block.ptr, layout);
      },
      "system: Deallocate of 0x[0-9a-f]+, which is not live");
  EXPECT_DEATH(allocator.Reallocate(block.ptr, {.size = 65}, 100), "64 bytes, not 65");
  allocator.Deallocate(block.ptr, layout);
}

TEST(SystemFactoryTest, MakesAnAllocatorUnlessThereIsNoMemory) {
  SystemAllocator memory;
  FaultAllocator fault(memory);
  const AllocatorFactory& factory = system::Factory();
  EXPECT_EQ(factory.name(), "system");
  EXPECT_FALSE(factory.decorates());
  EXPECT_TRUE(factory.options().empty());
  fault.FailNth(1);
  EXPECT_EQ(factory.Create({.options = {}, .inner = nullptr, .memory = fault}).status(),
            absl::ResourceExhaustedError(""));
  const auto made = factory.Create({.options = {}, .inner = nullptr, .memory = fault});
  ASSERT_TRUE(made.ok());
  const Block block = (*made)->Allocate({.size = 8});
  EXPECT_NE(block.ptr, nullptr);
  (*made)->Deallocate(block.ptr, {.size = 8});
}

}  // namespace
}  // namespace tenon::alloc
