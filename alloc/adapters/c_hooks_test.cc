#include "tenon/alloc/adapters/c_hooks.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>

#include "gtest/gtest.h"
#include "tenon/alloc/counting/counting_allocator.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/system/system_allocator.h"

namespace tenon::alloc::c_hooks {
namespace {

class CHooksTest : public testing::Test {
 protected:
  ~CHooksTest() override { EXPECT_EQ(counting_.Stats().live_bytes, 0u); }

  SystemAllocator system_;
  CountingAllocator counting_{system_};
  FaultAllocator fault_{counting_};
  void* const opaque_ = Opaque(fault_);
};

TEST_F(CHooksTest, BlocksKnowTheirSize) {
  for (size_t size : {0, 1, 15, 16, 17, 100'000}) {
    void* ptr = Malloc(opaque_, size);
    ASSERT_NE(ptr, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(ptr) % alignof(std::max_align_t), 0u);
    EXPECT_EQ(UsableSize(ptr), size);
    std::memset(ptr, 1, size);
    Free(opaque_, ptr);
  }
  EXPECT_EQ(UsableSize(nullptr), 0u);
  Free(opaque_, nullptr);
}

TEST_F(CHooksTest, ZeroBytesAreUnique) {
  void* a = Malloc(opaque_, 0);
  void* b = Calloc(opaque_, 0, 8);
  ASSERT_NE(a, nullptr);
  ASSERT_NE(b, nullptr);
  EXPECT_NE(a, b);
  Free(opaque_, a);
  Free(opaque_, b);
}

TEST_F(CHooksTest, CallocIsZeroAndItsProductDoesNotOverflow) {
  // So that the next block is likely to have had other bytes.
  void* dirty = Malloc(opaque_, 120);
  std::memset(dirty, 7, 120);
  Free(opaque_, dirty);
  auto* ptr = static_cast<char*>(Calloc(opaque_, 30, 4));
  ASSERT_NE(ptr, nullptr);
  EXPECT_EQ(UsableSize(ptr), 120u);
  for (int i = 0; i < 120; ++i) ASSERT_EQ(ptr[i], 0);
  Free(opaque_, ptr);
  const uint64_t requests = fault_.requests();
  volatile size_t half = std::numeric_limits<size_t>::max() / 2;
  for (size_t count : {size_t{3}, half + 2, half}) {
    errno = 0;
    EXPECT_EQ(Calloc(opaque_, count, half + 2), nullptr);
    EXPECT_EQ(errno, ENOMEM);
  }
  EXPECT_EQ(fault_.requests(), requests) << "the allocator was asked";
}

TEST_F(CHooksTest, TheHeaderDoesNotOverflow) {
  void* ptr = Malloc(opaque_, 10);
  const uint64_t requests = fault_.requests();
  for (size_t below : {0, 1, 15}) {
    volatile size_t huge = std::numeric_limits<size_t>::max() - below;
    EXPECT_EQ(Malloc(opaque_, huge), nullptr);
    EXPECT_EQ(Calloc(opaque_, 1, huge), nullptr);
    EXPECT_EQ(Realloc(opaque_, ptr, huge), nullptr);
  }
  EXPECT_EQ(fault_.requests(), requests) << "the allocator was asked";
  EXPECT_EQ(UsableSize(ptr), 10u);
  Free(opaque_, ptr);
}

TEST_F(CHooksTest, ReallocKeepsWhatFits) {
  void* ptr = Realloc(opaque_, nullptr, 10);
  ASSERT_NE(ptr, nullptr);
  std::memcpy(ptr, "123456789", 10);
  ptr = Realloc(opaque_, ptr, 100'000);
  ASSERT_NE(ptr, nullptr);
  EXPECT_EQ(UsableSize(ptr), 100'000u);
  EXPECT_STREQ(static_cast<char*>(ptr), "123456789");
  ptr = Realloc(opaque_, ptr, 5);
  ASSERT_NE(ptr, nullptr);
  EXPECT_EQ(UsableSize(ptr), 5u);
  EXPECT_EQ(std::memcmp(ptr, "12345", 5), 0);
  errno = EXDEV;
  EXPECT_EQ(Realloc(opaque_, ptr, 0), nullptr) << "frees";
  EXPECT_EQ(errno, EXDEV);
}

TEST_F(CHooksTest, AFailureSetsErrnoAndKeepsTheBlock) {
  void* ptr = Malloc(opaque_, 10);
  std::memcpy(ptr, "123456789", 10);
  fault_.FailFrom(1);
  errno = 0;
  EXPECT_EQ(Malloc(opaque_, 10), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_EQ(Calloc(opaque_, 2, 5), nullptr);
  EXPECT_EQ(Realloc(opaque_, ptr, 20), nullptr);
  EXPECT_EQ(Realloc(opaque_, nullptr, 20), nullptr);
  EXPECT_EQ(UsableSize(ptr), 10u);
  EXPECT_STREQ(static_cast<char*>(ptr), "123456789");
  errno = EXDEV;
  Free(opaque_, ptr);
  EXPECT_EQ(errno, EXDEV);
}

}  // namespace
}  // namespace tenon::alloc::c_hooks
