// The base of allocators that change little of another one.

#ifndef TENON_CORE_MEMORY_FORWARDING_ALLOCATOR_H_
#define TENON_CORE_MEMORY_FORWARDING_ALLOCATOR_H_

#include "absl/functional/function_ref.h"
#include "tenon/core/memory/allocator.h"

namespace tenon {

// Hands every call on to another allocator.
//
// Ownership: does not own it; it outlives this.
// Threads: as the other.
class ForwardingAllocator : public Allocator {
 public:
  explicit ForwardingAllocator(Allocator& target) : target_(target) {}

  Block Allocate(Layout layout) noexcept override { return target_.Allocate(layout); }
  void Deallocate(void* ptr, Layout layout) noexcept override { target_.Deallocate(ptr, layout); }
  bool TryResize(void* ptr, Layout layout, size_t new_size) noexcept override {
    return target_.TryResize(ptr, layout, new_size);
  }
  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override {
    return target_.Reallocate(ptr, layout, new_size);
  }
  AllocatorStats Stats() const noexcept override { return target_.Stats(); }
  AllocatorTraits traits() const noexcept override { return target_.traits(); }
  void VisitLive(absl::FunctionRef<void(const LiveBlock&)> visit) const override {
    target_.VisitLive(visit);
  }

 private:
  Allocator& target_;
};

}  // namespace tenon

#endif  // TENON_CORE_MEMORY_FORWARDING_ALLOCATOR_H_
