#include "tenon/core/loop/handle_table.h"

#include "gtest/gtest.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/system/system_allocator.h"

namespace tenon {
namespace {

TEST(HandleTableTest, IsBounded) {
  alloc::SystemAllocator system;
  HandleTable table;
  ASSERT_TRUE(table.Init(system, 2));
  EXPECT_EQ(table.Take(), 0u);
  EXPECT_EQ(table.Take(), 1u);
  EXPECT_EQ(table.Take(), Handle::kNoIndex);
  table.Free(0);
  EXPECT_EQ(table.taken(), 1u);
  EXPECT_EQ(table.Take(), 0u);
}

TEST(HandleTableTest, AHandleDiesWithItsSlot) {
  alloc::SystemAllocator system;
  HandleTable table;
  ASSERT_TRUE(table.Init(system, 4));
  const uint32_t index = table.Take();
  const Handle first = table.HandleOf(index);
  EXPECT_NE(table.Find(first), nullptr);
  table.Free(index);
  EXPECT_EQ(table.Find(first), nullptr);
  ASSERT_EQ(table.Take(), index);
  EXPECT_EQ(table.Find(first), nullptr) << "a stale handle names the slot's next use";
  EXPECT_NE(table.Find(table.HandleOf(index)), nullptr);
}

TEST(HandleTableTest, AClosingSlotIsNotFound) {
  alloc::SystemAllocator system;
  HandleTable table;
  ASSERT_TRUE(table.Init(system, 1));
  const uint32_t index = table.Take();
  table[index].state = HandleSlot::State::kClosing;
  EXPECT_EQ(table.Find(table.HandleOf(index)), nullptr);
  EXPECT_EQ(table.Find(Handle{}), nullptr);
  EXPECT_EQ(table.Find(Handle{.index = 77, .generation = 0}), nullptr);
}

TEST(HandleTableTest, SaysWhenThereIsNoMemory) {
  alloc::SystemAllocator system;
  alloc::FaultAllocator fault(system);
  fault.FailNth(1);
  HandleTable table;
  EXPECT_FALSE(table.Init(fault, 16));
}

}  // namespace
}  // namespace tenon
