#include "tenon/core/loop/buffer_pool.h"

#include <set>

#include "gtest/gtest.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/system/system_allocator.h"

namespace tenon {
namespace {

TEST(BufferPoolTest, LendsEachBufferOnceUntilItIsReturned) {
  alloc::SystemAllocator system;
  BufferPool pool = BufferPool::Create(system, 3, 100);
  ASSERT_TRUE(pool.ok());
  std::set<int32_t> ids;
  for (int i = 0; i < 3; ++i) ids.insert(pool.Take());
  EXPECT_EQ(ids, (std::set<int32_t>{0, 1, 2}));
  EXPECT_EQ(pool.Take(), BufferPool::kNone);
  EXPECT_EQ(pool.lent(), 3u);
  pool.Return(1);
  EXPECT_EQ(pool.Take(), 1);
}

TEST(BufferPoolTest, TheLastIdOfTheLargestPoolIsLentToo) {
  alloc::SystemAllocator system;
  BufferPool pool = BufferPool::Create(system, BufferPool::kMaxCount, 1);
  ASSERT_TRUE(pool.ok());
  int32_t last = BufferPool::kNone;
  for (uint32_t i = 0; i < BufferPool::kMaxCount; ++i) last = pool.Take();
  EXPECT_EQ(last, static_cast<int32_t>(BufferPool::kMaxCount) - 1);
  EXPECT_EQ(pool.Take(), BufferPool::kNone);
  for (uint32_t i = 0; i < BufferPool::kMaxCount; ++i) pool.Return(static_cast<uint16_t>(i));
  EXPECT_EQ(pool.lent(), 0u);
}

TEST(BufferPoolTest, BuffersDoNotOverlap) {
  alloc::SystemAllocator system;
  BufferPool pool = BufferPool::Create(system, 2, 64);
  ASSERT_TRUE(pool.ok());
  EXPECT_EQ(pool.Bytes(0).size(), 64u);
  EXPECT_EQ(pool.Bytes(0).data() + 64, pool.Bytes(1).data());
}

TEST(BufferPoolTest, AChosenBufferIsLentWhereverItLiesAmongTheFree) {
  alloc::SystemAllocator system;
  BufferPool pool = BufferPool::Create(system, 5, 64);
  ASSERT_TRUE(pool.ok());
  for (uint16_t id : {2, 4, 0}) pool.Lend(id);  // in the middle, at the end, at the front
  EXPECT_EQ(pool.lent(), 3u);
  EXPECT_EQ(pool.Take(), 1);
  EXPECT_EQ(pool.Take(), 3);
  EXPECT_EQ(pool.Take(), BufferPool::kNone);
  pool.Return(4);
  pool.Return(2);
  pool.Lend(4);
  EXPECT_EQ(pool.Take(), 2);
  EXPECT_EQ(pool.Take(), BufferPool::kNone);
}

TEST(BufferPoolDeathTest, LendingWhatIsLentNamesTheRule) {
  alloc::SystemAllocator system;
  BufferPool pool = BufferPool::Create(system, 2, 64);
  ASSERT_TRUE(pool.ok());
  pool.Lend(1);
  EXPECT_DEATH(pool.Lend(1), "CMP-10");
  EXPECT_DEATH(pool.Lend(2), "CMP-10");
}

TEST(BufferPoolDeathTest, ReturningWhatIsNotLentNamesTheRule) {
  alloc::SystemAllocator system;
  BufferPool pool = BufferPool::Create(system, 2, 64);
  ASSERT_TRUE(pool.ok());
  EXPECT_DEATH(pool.Return(0), "CMP-10");
  EXPECT_DEATH(pool.Return(9), "CMP-10");
}

TEST(BufferPoolTest, WithoutMemoryThereIsNoPool) {
  alloc::SystemAllocator system;
  alloc::FaultAllocator fault(system);
  for (uint64_t nth : {1u, 2u}) {
    fault.FailNth(nth);
    EXPECT_FALSE(BufferPool::Create(fault, 4, 64).ok()) << nth;
    EXPECT_EQ(fault.injected(), 1u);
  }
}

}  // namespace
}  // namespace tenon
