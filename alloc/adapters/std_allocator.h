// An Allocator for the containers of the standard library.

#ifndef TENON_ALLOC_ADAPTERS_STD_ALLOCATOR_H_
#define TENON_ALLOC_ADAPTERS_STD_ALLOCATOR_H_

#include <cstddef>
#include <limits>
#include <new>
#include <type_traits>

#include "tenon/core/memory/allocator.h"

namespace tenon::alloc {

// Meets the standard's requirements of an allocator ([allocator.requirements]). allocate() throws
// std::bad_array_new_length where n objects of T have more bytes than can be represented (ALC-2),
// and std::bad_alloc where there is no memory.
//
// A container keeps the allocator it was made with when it is assigned a copy, and takes over that
// of the other when it is moved or swapped, so that neither moves elements; a copy that is newly
// made uses the allocator of the original. Two are equal exactly if they are of the same Allocator.
//
// Ownership: does not own the allocator, which must outlive it and everything made with it.
// Threads: as the allocator.
//
//   std::vector<int, StdAllocator<int>> numbers{StdAllocator<int>(allocator)};
template <typename T>
class StdAllocator {
 public:
  using value_type = T;
  using propagate_on_container_copy_assignment = std::false_type;
  using propagate_on_container_move_assignment = std::true_type;
  using propagate_on_container_swap = std::true_type;
  using is_always_equal = std::false_type;

  explicit StdAllocator(Allocator& allocator) noexcept : allocator_(&allocator) {}
  // Converts from that of another type, as containers do for their nodes.
  template <typename U>
  StdAllocator(const StdAllocator<U>& other) noexcept : allocator_(&other.allocator()) {}

  [[nodiscard]] T* allocate(size_t n) {
    if (n > std::numeric_limits<size_t>::max() / sizeof(T)) throw std::bad_array_new_length();
    const Block block = allocator_->Allocate({.size = n * sizeof(T), .alignment = alignof(T)});
    if (block.ptr == nullptr) throw std::bad_alloc();
    return static_cast<T*>(block.ptr);
  }

  void deallocate(T* ptr, size_t n) noexcept {
    allocator_->Deallocate(ptr, {.size = n * sizeof(T), .alignment = alignof(T)});
  }

  Allocator& allocator() const noexcept { return *allocator_; }

  template <typename U>
  bool operator==(const StdAllocator<U>& other) const noexcept {
    return allocator_ == &other.allocator();
  }

 private:
  Allocator* allocator_;
};

}  // namespace tenon::alloc

#endif  // TENON_ALLOC_ADAPTERS_STD_ALLOCATOR_H_
