#include <limits>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <new>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tenon/alloc/adapters/memory_resource.h"
#include "tenon/alloc/adapters/std_allocator.h"
#include "tenon/alloc/counting/counting_allocator.h"
#include "tenon/alloc/fault/fault_allocator.h"
#include "tenon/alloc/system/system_allocator.h"

namespace tenon::alloc {
namespace {

class ContainersTest : public testing::Test {
 protected:
  ~ContainersTest() override {
    EXPECT_EQ(counting_.Stats().live_bytes, 0u);
    EXPECT_EQ(other_counting_.Stats().live_bytes, 0u);
  }

  SystemAllocator system_;
  CountingAllocator counting_{system_};
  FaultAllocator fault_{counting_};
  CountingAllocator other_counting_{system_};
};

using MemoryResourceTest = ContainersTest;
using StdAllocatorTest = ContainersTest;

struct alignas(256) Wide {
  char bytes[256];
};

TEST_F(MemoryResourceTest, ContainersTakeAndReturnTheirMemory) {
  MemoryResource resource(fault_);
  {
    std::pmr::map<int, std::pmr::string> names(&resource);
    for (int i = 0; i < 100; ++i) names[i] = std::string(50, 'x');
    EXPECT_GE(counting_.Stats().live_blocks, 200u);
    std::pmr::vector<Wide> wide(3, &resource);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(wide.data()) % 256, 0u);
  }
  EXPECT_EQ(counting_.Stats().live_blocks, 0u);
}

TEST_F(MemoryResourceTest, WantOfMemoryIsThrown) {
  MemoryResource resource(fault_);
  std::pmr::vector<int> numbers({1, 2, 3}, &resource);
  fault_.FailFrom(1);
  EXPECT_THROW(numbers.resize(1000), std::bad_alloc);
  EXPECT_EQ(numbers, std::pmr::vector<int>({1, 2, 3}));
}

TEST_F(MemoryResourceTest, IsEqualByItsAllocator) {
  const MemoryResource one(fault_);
  const MemoryResource same(fault_);
  const MemoryResource other(other_counting_);
  EXPECT_EQ(one, same);
  EXPECT_NE(one, other);
  EXPECT_NE(one, *std::pmr::new_delete_resource());
  EXPECT_EQ(&one.allocator(), &fault_);
}

using Vector = std::vector<std::string, StdAllocator<std::string>>;
using Traits = std::allocator_traits<StdAllocator<int>>;
static_assert(!Traits::propagate_on_container_copy_assignment::value);
static_assert(Traits::propagate_on_container_move_assignment::value);
static_assert(Traits::propagate_on_container_swap::value);
static_assert(!Traits::is_always_equal::value);

TEST_F(StdAllocatorTest, ContainersTakeAndReturnTheirMemory) {
  const StdAllocator<int> allocator(fault_);
  std::map<int, int, std::less<>, StdAllocator<std::pair<const int, int>>> map(allocator);
  std::list<Wide, StdAllocator<Wide>> list(allocator);
  for (int i = 0; i < 100; ++i) {
    map[i] = i;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(&list.emplace_back()) % 256, 0u);
  }
  EXPECT_GE(counting_.Stats().live_blocks, 200u);
  map.clear();
  list.clear();
  EXPECT_EQ(counting_.Stats().live_bytes, 0u);
  const auto shared = std::allocate_shared<int>(allocator, 3);
  EXPECT_EQ(counting_.Stats().live_blocks, 1u);
}

TEST_F(StdAllocatorTest, MovesAndSwapsTakeOverTheAllocatorAndCopiesDoNot) {
  const StdAllocator<std::string> one(fault_);
  const StdAllocator<std::string> other(other_counting_);
  EXPECT_NE(one, other);
  EXPECT_EQ(one, StdAllocator<int>(fault_));
  Vector a(10, "a", one);
  Vector b(20, "b", other);
  const std::string* elements = a.data();
  Vector moved(other);
  moved = std::move(a);
  EXPECT_EQ(moved.data(), elements) << "no element moved";
  EXPECT_EQ(moved.get_allocator(), one);
  std::swap(moved, b);
  EXPECT_EQ(b.data(), elements);
  EXPECT_EQ(b.get_allocator(), one);
  EXPECT_EQ(moved.get_allocator(), other);
  moved = b;
  EXPECT_EQ(moved, b);
  EXPECT_EQ(moved.get_allocator(), other);
  const Vector copy(b);
  EXPECT_EQ(copy.get_allocator(), one);
}

TEST_F(StdAllocatorTest, WantOfMemoryIsThrown) {
  StdAllocator<uint64_t> allocator(fault_);
  const uint64_t requests = fault_.requests();
  EXPECT_THROW((void)allocator.allocate(std::numeric_limits<size_t>::max() / 8 + 1),
               std::bad_array_new_length);
  EXPECT_EQ(fault_.requests(), requests) << "the allocator was asked";
  fault_.FailNth(1);
  EXPECT_THROW((void)allocator.allocate(1), std::bad_alloc);
  uint64_t* ptr = allocator.allocate(2);
  allocator.deallocate(ptr, 2);
}

}  // namespace
}  // namespace tenon::alloc
