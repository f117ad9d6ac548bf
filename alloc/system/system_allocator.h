// The process's own heap behind the Allocator interface.

#ifndef TENON_ALLOC_SYSTEM_SYSTEM_ALLOCATOR_H_
#define TENON_ALLOC_SYSTEM_SYSTEM_ALLOCATOR_H_

#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/allocator_factory.h"

namespace tenon::alloc {

// Allocates with malloc(3) and aligned_alloc(3), resizes with realloc(3).
//
// Ownership: none; every SystemAllocator hands out blocks of the one process heap.
// Threads: any (`thread_safe`, `foreign_free`).
// Shutdown: has no state and keeps no statistics: Stats() is all zero. Put a tracking decorator
//   around it where live bytes matter. Debug builds die with a message where a block is freed
//   twice, was not allocated here or has another layout (ALC-9).
class SystemAllocator final : public Allocator {
 public:
  Block Allocate(Layout layout) noexcept override;
  void Deallocate(void* ptr, Layout layout) noexcept override;
  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override;
  AllocatorStats Stats() const noexcept override { return {}; }
  AllocatorTraits traits() const noexcept override {
    return {.thread_safe = true, .foreign_free = true};
  }
};

namespace system {

// "system", without options.
const AllocatorFactory& Factory();

}  // namespace system
}  // namespace tenon::alloc

#endif  // TENON_ALLOC_SYSTEM_SYSTEM_ALLOCATOR_H_
