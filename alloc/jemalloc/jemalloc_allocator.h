// jemalloc's process-wide heap behind the Allocator interface.

#ifndef TENON_ALLOC_JEMALLOC_JEMALLOC_ALLOCATOR_H_
#define TENON_ALLOC_JEMALLOC_JEMALLOC_ALLOCATOR_H_

#include "tenon/alloc/threads/thread_counters.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/allocator_factory.h"

namespace tenon::alloc {

// Allocates with jemalloc(3)'s functions, each thread through the cache that jemalloc keeps for it.
// The jemalloc is one of our own, whose names begin with je_; it reads its options from the
// environment's JE_MALLOC_CONF.
//
// Ownership: none; every JemallocAllocator hands out blocks of the one jemalloc heap, and counts
//   those that went through itself.
// Threads: any (`thread_safe`, `foreign_free`).
// Shutdown: what is live then stays allocated. A free by another JemallocAllocator would work, but
//   for the counts of both. A free under way on another thread is the caller's error: it counts
//   here after it has freed. Debug builds die with a message where a block is freed twice, was not
//   allocated here or has another layout (ALC-9).
class JemallocAllocator final : public Allocator {
 public:
  JemallocAllocator() = default;
  JemallocAllocator(const JemallocAllocator&) = delete;
  JemallocAllocator& operator=(const JemallocAllocator&) = delete;

  Block Allocate(Layout layout) noexcept override;
  void Deallocate(void* ptr, Layout layout) noexcept override;
  bool TryResize(void* ptr, Layout layout, size_t new_size) noexcept override;
  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override;
  AllocatorStats Stats() const noexcept override { return counters_.Sum(); }
  AllocatorTraits traits() const noexcept override {
    return {.thread_safe = true, .foreign_free = true, .statistics = true};
  }

 private:
  ThreadCounters counters_;
};

namespace jemalloc {

// "jemalloc", without options.
const AllocatorFactory& Factory();

}  // namespace jemalloc
}  // namespace tenon::alloc

#endif  // TENON_ALLOC_JEMALLOC_JEMALLOC_ALLOCATOR_H_
