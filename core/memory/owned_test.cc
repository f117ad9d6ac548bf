#include "tenon/core/memory/owned.h"

#include <cstdint>
#include <limits>
#include <utility>

#include "gtest/gtest.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/core/memory/allocator.h"

namespace tenon {
namespace {

// Counts what it forwards, with the layouts it was given.
class CountingAllocator final : public Allocator {
 public:
  Block Allocate(Layout layout) noexcept override {
    const Block block = system_.Allocate(layout);
    if (block.ptr != nullptr) stats_.live_bytes += layout.size;
    return block;
  }
  void Deallocate(void* ptr, Layout layout) noexcept override {
    if (ptr != nullptr) stats_.live_bytes -= layout.size;
    system_.Deallocate(ptr, layout);
  }
  AllocatorStats Stats() const noexcept override { return stats_; }
  AllocatorTraits traits() const noexcept override { return {}; }

 private:
  alloc::SystemAllocator system_;
  AllocatorStats stats_;
};

struct Base {
  virtual ~Base() = default;
  int64_t base_value = 1;
};
struct Other {
  virtual ~Other() = default;
  int64_t other_value = 2;
};
struct Derived : Other, Base {
  explicit Derived(int* destroyed) : destroyed(destroyed) {}
  ~Derived() override { ++*destroyed; }
  int* destroyed;
};

TEST(OwnedTest, FreesWhatWasAllocatedThroughAnyBase) {
  CountingAllocator allocator;
  int destroyed = 0;
  {
    Owned<Base> owned = MakeOwned<Derived>(allocator, &destroyed);
    ASSERT_NE(owned, nullptr);
    EXPECT_EQ(allocator.Stats().live_bytes, sizeof(Derived));
  }
  EXPECT_EQ(destroyed, 1);
  EXPECT_EQ(allocator.Stats().live_bytes, 0u);
}

TEST(OwnedTest, IsNullWithoutMemory) {
  alloc::SystemAllocator system;
  alloc::FaultAllocator fault(system);
  fault.FailNth(1);
  EXPECT_EQ(MakeOwned<int>(fault, 7), nullptr);
  EXPECT_EQ(fault.injected(), 1u);
}

TEST(OwnedArrayTest, ValueInitialisesAndFrees) {
  CountingAllocator allocator;
  {
    OwnedArray<int> array = OwnedArray<int>::Create(allocator, 100);
    ASSERT_TRUE(array.ok());
    for (int element : array) EXPECT_EQ(element, 0);
    OwnedArray<int> moved = std::move(array);
    EXPECT_EQ(moved.size(), 100u);
    EXPECT_EQ(allocator.Stats().live_bytes, 400u);
  }
  EXPECT_EQ(allocator.Stats().live_bytes, 0u);
}

TEST(OwnedArrayTest, RefusesWhatCannotBeRepresented) {
  alloc::SystemAllocator system;
  alloc::FaultAllocator fault(system);
  const size_t too_many = std::numeric_limits<size_t>::max() / 4;
  EXPECT_FALSE(OwnedArray<int64_t>::Create(fault, too_many).ok());
  EXPECT_EQ(fault.requests(), 0u) << "an overflowing size reached the allocator";
  EXPECT_TRUE(OwnedArray<int64_t>::Create(fault, 0).ok());
}

TEST(ReallocateTest, AFailureKeepsTheBlock) {
  alloc::SystemAllocator system;
  alloc::FaultAllocator fault(system);
  const Layout layout{.size = 16};
  const Block block = fault.Allocate(layout);
  ASSERT_NE(block.ptr, nullptr);
  static_cast<char*>(block.ptr)[15] = 'x';
  fault.FailFrom(1);
  EXPECT_EQ(fault.Reallocate(block.ptr, layout, 1 << 20).ptr, nullptr);
  EXPECT_EQ(static_cast<char*>(block.ptr)[15], 'x');
  fault.Clear();
  const Block moved = fault.Reallocate(block.ptr, layout, 1 << 20);
  ASSERT_NE(moved.ptr, nullptr);
  EXPECT_EQ(static_cast<char*>(moved.ptr)[15], 'x');
  fault.Deallocate(moved.ptr, {.size = 1 << 20});
}

}  // namespace
}  // namespace tenon
