#include "tenon/alloc/counting/counting_allocator.h"

#include "gtest/gtest.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/system/system_allocator.h"

namespace tenon::alloc {
namespace {

constexpr Layout kLayout{.size = 100};

class CountingAllocatorTest : public testing::Test {
 protected:
  SystemAllocator system_;
  FaultAllocator fault_{system_};
  CountingAllocator counting_{fault_};
};

TEST_F(CountingAllocatorTest, CountsWhatIsLiveInBytesAskedFor) {
  const Block block = counting_.Allocate(kLayout);
  EXPECT_EQ(counting_.Stats().live_bytes, 100u);
  const Block moved = counting_.Reallocate(block.ptr, kLayout, 1000);
  EXPECT_EQ(counting_.Stats().live_bytes, 1000u);
  EXPECT_EQ(counting_.Stats().live_blocks, 1u);
  EXPECT_EQ(counting_.Stats().total_blocks, 1u);
  counting_.Deallocate(moved.ptr, {.size = 1000});
  counting_.Deallocate(nullptr, {.size = 1000});
  EXPECT_EQ(counting_.Stats().live_bytes, 0u);
  EXPECT_EQ(counting_.Stats().live_blocks, 0u);
}

TEST_F(CountingAllocatorTest, AFailureChangesNothingButTheFailures) {
  const Block block = counting_.Allocate(kLayout);
  fault_.FailFrom(1);
  EXPECT_EQ(counting_.Allocate(kLayout).ptr, nullptr);
  EXPECT_EQ(counting_.Reallocate(block.ptr, kLayout, 1000).ptr, nullptr);
  EXPECT_FALSE(counting_.TryResize(block.ptr, kLayout, 1000));
  const AllocatorStats stats = counting_.Stats();
  EXPECT_EQ(stats.live_bytes, 100u);
  EXPECT_EQ(stats.total_blocks, 1u);
  EXPECT_EQ(stats.failures, 2u);
  counting_.Deallocate(block.ptr, kLayout);
}

TEST_F(CountingAllocatorTest, HasTheTraitsOfTheInnerAllocatorAndStatistics) {
  EXPECT_TRUE(counting_.traits().statistics);
  EXPECT_TRUE(counting_.traits().thread_safe);
  EXPECT_FALSE(counting_.traits().bulk_release);
}

TEST_F(CountingAllocatorTest, IsMadeByItsFactory) {
  const AllocatorFactory& factory = counting::Factory();
  EXPECT_EQ(factory.name(), "counting");
  ASSERT_TRUE(factory.decorates());
  fault_.FailNth(1);
  EXPECT_EQ(factory.Create({.options = {}, .inner = &system_, .memory = fault_}).status(),
            absl::ResourceExhaustedError(""));
  const auto made = factory.Create({.options = {}, .inner = &system_, .memory = fault_});
  ASSERT_TRUE(made.ok());
  EXPECT_TRUE((*made)->traits().statistics);
}

}  // namespace
}  // namespace tenon::alloc
