// A decorator that counts, for allocators that keep no statistics of their own.

#ifndef TENON_ALLOC_COUNTING_COUNTING_ALLOCATOR_H_
#define TENON_ALLOC_COUNTING_COUNTING_ALLOCATOR_H_

#include "tenon/alloc/threads/thread_counters.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/allocator_factory.h"

namespace tenon::alloc {

// Forwards to another allocator and counts what it hands out. The cheapest of the decorators: it
// adds nothing to a block and takes no lock; for the blocks themselves see alloc/tracking.
//
// Ownership: does not own the inner allocator, which must outlive it.
// Threads: as the inner allocator.
// Shutdown: waits for frees that have begun on other threads (ALC-10).
class CountingAllocator final : public Allocator {
 public:
  explicit CountingAllocator(Allocator& inner) : inner_(inner) {}
  CountingAllocator(const CountingAllocator&) = delete;
  CountingAllocator& operator=(const CountingAllocator&) = delete;
  ~CountingAllocator() override { counters_.WaitForFrees(); }

  Block Allocate(Layout layout) noexcept override;
  void Deallocate(void* ptr, Layout layout) noexcept override;
  bool TryResize(void* ptr, Layout layout, size_t new_size) noexcept override;
  // A failure is counted as one; so is a failed Allocate. A TryResize that cannot be done is not.
  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override;
  AllocatorStats Stats() const noexcept override { return counters_.Sum(); }
  // The inner allocator's, and `statistics`.
  AllocatorTraits traits() const noexcept override;
  void VisitLive(absl::FunctionRef<void(const LiveBlock&)> visit) const override {
    inner_.VisitLive(visit);
  }

 private:
  Allocator& inner_;
  ThreadCounters counters_;
};

namespace counting {

// "counting", without options.
const AllocatorFactory& Factory();

}  // namespace counting
}  // namespace tenon::alloc

#endif  // TENON_ALLOC_COUNTING_COUNTING_ALLOCATOR_H_
