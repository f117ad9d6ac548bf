#include "tenon/alloc/fault/fault_allocator.h"

#include <vector>

#include "gtest/gtest.h"
#include "tenon/alloc/counting/counting_allocator.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/core/memory/allocation_site.h"

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

TEST(FaultAllocatorPlanTest, MayBeMadeWithAPlan) {
  SystemAllocator system;
  FaultAllocator fault(system, {.from = 2, .min_size = 20});
  for (const bool succeeds : {true, false, false}) {
    const Block block = fault.Allocate(kLayout);
    EXPECT_EQ(block.ptr != nullptr, succeeds);
    fault.Deallocate(block.ptr, kLayout);
    const Block small = fault.Allocate({.size = 19});
    EXPECT_NE(small.ptr, nullptr);
    fault.Deallocate(small.ptr, {.size = 19});
  }
  EXPECT_EQ(fault.injected(), 2u);
}

TEST_F(FaultAllocatorTest, TheNthFailsOnce) {
  fault_.FailNth(2);
  EXPECT_EQ(Request(4), std::vector<bool>({true, false, true, true}));
  EXPECT_EQ(fault_.injected(), 1u);
}

TEST_F(FaultAllocatorTest, EveryOneFromTheNthFails) {
  fault_.FailFrom(3);
  EXPECT_EQ(Request(4), std::vector<bool>({true, true, false, false}));
  EXPECT_EQ(fault_.injected(), 2u);
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

TEST_F(FaultAllocatorTest, CountsFailuresWhereTheInnerAllocatorDoesAndNeverFewer) {
  CountingAllocator counting(system_);
  FaultAllocator fault(counting);
  const Block block = fault.Allocate(kLayout);
  fault.FailFrom(1);
  EXPECT_FALSE(fault.TryResize(block.ptr, kLayout, 48));
  EXPECT_EQ(fault.Stats().failures, 0u) << "a TryResize that cannot be done is no failure";
  EXPECT_EQ(fault.Reallocate(block.ptr, kLayout, 48).ptr, nullptr);
  EXPECT_EQ(fault.Allocate(kLayout).ptr, nullptr);
  EXPECT_EQ(fault.injected(), 3u);
  EXPECT_EQ(fault.Stats().failures, 2u);
  fault.Clear();
  EXPECT_EQ(fault.Stats().failures, 2u) << "with another plan";
  fault.Deallocate(block.ptr, kLayout);

  fault_.FailFrom(1);
  EXPECT_EQ(Request(1), std::vector<bool>({false}));
  EXPECT_EQ(fault_.Stats().failures, 0u) << "over an allocator without statistics";
}

TEST_F(FaultAllocatorTest, EveryMultipleFails) {
  fault_.FailEvery(3);
  EXPECT_EQ(Request(7), std::vector<bool>({true, true, false, true, true, false, true}));
}

TEST_F(FaultAllocatorTest, APlanFailsByAnyOfItsLines) {
  fault_.SetPlan({.nth = 1, .from = 6, .every = 4});
  EXPECT_EQ(Request(7), std::vector<bool>({false, true, true, false, true, false, false}));
  EXPECT_EQ(fault_.injected(), 4u);
}

TEST_F(FaultAllocatorTest, AllocationsAndResizesArePlannedApart) {
  Allocator& allocations = fault_;  // by its own type it would be something to copy
  FaultAllocator resizes(allocations);
  fault_.SetPlan({.nth = 2, .resizes = false});
  resizes.SetPlan({.nth = 1, .allocations = false});
  const Block block = resizes.Allocate(kLayout);
  ASSERT_NE(block.ptr, nullptr);
  EXPECT_EQ(resizes.Reallocate(block.ptr, kLayout, 48).ptr, nullptr);
  const Block moved = resizes.Reallocate(block.ptr, kLayout, 48);
  ASSERT_NE(moved.ptr, nullptr);
  EXPECT_EQ(resizes.Allocate(kLayout).ptr, nullptr);
  EXPECT_EQ(resizes.requests(), 2u);
  EXPECT_EQ(fault_.requests(), 2u);
  resizes.Deallocate(moved.ptr, {.size = 48});
}

TEST_F(FaultAllocatorTest, OnlySizesOfTheClassFail) {
  fault_.SetPlan({.from = 1, .min_size = 100, .max_size = 200});
  for (size_t size : {99, 100, 200, 201}) {
    const Block block = fault_.Allocate({.size = size});
    EXPECT_EQ(block.ptr == nullptr, size == 100 || size == 200) << size;
    fault_.Deallocate(block.ptr, {.size = size});
  }
  const Block block = fault_.Allocate({.size = 10});
  EXPECT_EQ(fault_.Reallocate(block.ptr, {.size = 10}, 150).ptr, nullptr) << "by its new size";
  fault_.Deallocate(block.ptr, {.size = 10});
  EXPECT_EQ(fault_.requests(), 3u);
}

TEST_F(FaultAllocatorTest, OnlyRequestsFromTheSiteFail) {
  const auto here = std::source_location::current();
  fault_.SetPlan({.from = 1, .site_file = "fault/fault_allocator_test"});
  EXPECT_EQ(Request(1), std::vector<bool>({true})) << "without a site";
  {
    const AllocationSite site(here);
    EXPECT_EQ(Request(1), std::vector<bool>({false}));
    fault_.SetPlan({.from = 1, .site_file = "some_other_file"});
    EXPECT_EQ(Request(1), std::vector<bool>({true}));
    fault_.SetPlan({.from = 1, .site_line = here.line() + 1});
    EXPECT_EQ(Request(1), std::vector<bool>({true}));
    fault_.SetPlan({.from = 1, .site_line = here.line()});
    EXPECT_EQ(Request(1), std::vector<bool>({false}));
  }
}

class FaultFactoryTest : public testing::Test {
 protected:
  absl::StatusOr<Owned<Allocator>> Create() {
    return fault::Factory().Create({.options = options_, .inner = &system_, .memory = memory_});
  }
  // Sets an option by name.
  AllocatorOptionValue& Option(absl::string_view name) {
    const auto options = fault::Factory().options();
    for (size_t i = 0; i < options.size(); ++i) {
      if (options[i].name == name) return options_[i];
    }
    ADD_FAILURE() << "no option " << name;
    return options_[0];
  }
  void SetUp() override {
    ASSERT_EQ(fault::Factory().options().size(), std::size(options_));
    ASSERT_TRUE(fault::Factory().decorates());
    Option("allocations").number = 1;
    Option("resizes").number = 1;
  }

  SystemAllocator system_;
  FaultAllocator memory_{system_};
  AllocatorOptionValue options_[9] = {};
};

TEST_F(FaultFactoryTest, MakesOneWithAPlan) {
  Option("nth").number = 2;
  Option("min_size").number = 10;
  Option("max_size").number = 20;
  const auto made = Create();
  ASSERT_TRUE(made.ok());
  std::vector<bool> succeeded;
  for (size_t size : {10, 5, 30, 20, 20}) {
    const Block block = (*made)->Allocate({.size = size});
    succeeded.push_back(block.ptr != nullptr);
    (*made)->Deallocate(block.ptr, {.size = size});
  }
  EXPECT_EQ(succeeded, std::vector<bool>({true, true, true, false, true}));
}

TEST_F(FaultFactoryTest, RefusesWhatMakesNoSense) {
  Option("probability").probability = 1.5;
  EXPECT_EQ(Create().status().code(), absl::StatusCode::kInvalidArgument);
  Option("probability").probability = 0.5;
  EXPECT_TRUE(Create().ok());
  Option("min_size").number = 10;
  Option("max_size").number = 5;
  EXPECT_EQ(Create().status().code(), absl::StatusCode::kInvalidArgument);
  Option("max_size").number = 0;
  EXPECT_TRUE(Create().ok());
  Option("allocations").number = 0;
  EXPECT_TRUE(Create().ok());
  Option("resizes").number = 0;
  EXPECT_EQ(Create().status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FaultFactoryTest, TheDefaultSeedFailsNoSoonerThanOthers) {
  Option("probability").probability = 1e-9;
  const auto made = Create();
  ASSERT_TRUE(made.ok());
  for (int i = 0; i < 1000; ++i) {
    const Block block = (*made)->Allocate({.size = 8});
    ASSERT_NE(block.ptr, nullptr) << "request " << i + 1
                                  << " of a thousand, one in a billion fails";
    (*made)->Deallocate(block.ptr, {.size = 8});
  }
}

TEST_F(FaultFactoryTest, ReportsWantOfMemory) {
  memory_.FailNth(1);
  EXPECT_EQ(Create().status(), absl::ResourceExhaustedError(""));
}

}  // namespace
}  // namespace tenon::alloc
