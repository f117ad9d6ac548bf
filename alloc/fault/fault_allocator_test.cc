#include "tenon/alloc/fault/fault_allocator.h"

#include <vector>

#include "gtest/gtest.h"
#include "tenon/alloc/system/system_allocator.h"

namespace tenon::alloc {
namespace {

constexpr Layout kLayout{.size = 24};

class FaultAllocatorTest : public testing::Test {
 protected:
  // Makes `count` requests and returns which of them succeeded.
  std::vector<bool> Request(int count) {
    std::vector<bool> succeeded;
    for (int i = 0; i < count; ++i) {
      const Block block = fault_.Allocate(kLayout);
      succeeded.push_back(block.ptr != nullptr);
      fault_.Deallocate(block.ptr, kLayout);
    }
    return succeeded;
  }

  SystemAllocator system_;
  FaultAllocator fault_{system_};
};

TEST_F(FaultAllocatorTest, WithoutAPlanNothingFails) {
  EXPECT_EQ(Request(3), std::vector<bool>({true, true, true}));
  EXPECT_EQ(fault_.requests(), 3u);
  EXPECT_EQ(fault_.injected(), 0u);
}

TEST_F(FaultAllocatorTest, TheNthFailsOnce) {
  fault_.FailNth(2);
  EXPECT_EQ(Request(4), std::vector<bool>({true, false, true, true}));
  EXPECT_EQ(fault_.injected(), 1u);
}

TEST_F(FaultAllocatorTest, EveryOneFromTheNthFails) {
  fault_.FailFrom(3);
  EXPECT_EQ(Request(4), std::vector<bool>({true, true, false, false}));
  EXPECT_EQ(fault_.Stats().failures, 2u);
}

TEST_F(FaultAllocatorTest, ANewPlanCountsFromOne) {
  fault_.FailNth(1);
  Request(1);
  fault_.FailNth(1);
  EXPECT_EQ(Request(2), std::vector<bool>({false, true}));
  fault_.Clear();
  EXPECT_EQ(Request(1), std::vector<bool>({true}));
}

TEST_F(FaultAllocatorTest, ASeedDeterminesRandomFaults) {
  fault_.FailRandomly(0.5, 17);
  const std::vector<bool> first = Request(200);
  const uint64_t injected = fault_.injected();
  EXPECT_GT(injected, 50u);
  EXPECT_LT(injected, 150u);
  fault_.FailRandomly(0.5, 17);
  EXPECT_EQ(Request(200), first);
  fault_.FailRandomly(1.0, 1);
  EXPECT_EQ(Request(2), std::vector<bool>({false, false}));
  fault_.FailRandomly(0.0, 1);
  EXPECT_EQ(Request(2), std::vector<bool>({true, true}));
}

TEST_F(FaultAllocatorTest, ResizesAreRequests) {
  const Block block = fault_.Allocate(kLayout);
  ASSERT_NE(block.ptr, nullptr);
  fault_.FailFrom(1);
  EXPECT_FALSE(fault_.TryResize(block.ptr, kLayout, 48));
  EXPECT_EQ(fault_.Reallocate(block.ptr, kLayout, 48).ptr, nullptr);
  EXPECT_EQ(fault_.injected(), 2u);
  fault_.Deallocate(block.ptr, kLayout);
}

}  // namespace
}  // namespace tenon::alloc
