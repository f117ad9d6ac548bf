// An allocator for threads that free one another's blocks.

#ifndef TENON_ALLOC_CONCURRENT_CONCURRENT_ALLOCATOR_H_
#define TENON_ALLOC_CONCURRENT_CONCURRENT_ALLOCATOR_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "tenon/alloc/concurrent/backing.h"
#include "tenon/alloc/concurrent/shard.h"
#include "tenon/alloc/live_blocks/live_blocks.h"
#include "tenon/alloc/threads/lock.h"
#include "tenon/alloc/threads/thread_counters.h"
#include "tenon/alloc/threads/thread_number.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/allocator_factory.h"

namespace tenon::alloc {

// Allocates blocks up to 32 KiB from slabs that each belong to one thread, which needs no lock and
// no atomic read-modify-write for its own. A block that another thread frees is queued for its
// owner, without a lock (ALC-7). Larger blocks come one by one from the backing allocator.
//
// Where the backing refuses, the calling thread gives back what it keeps without a block in use,
// and asks once more.
//
// Ownership: all memory, its own state included, comes from `backing`, which outlives it, and
//   returns there. Blocks may be live when it is destroyed; they are released (`bulk_release`).
// Threads: any (`thread_safe`, `foreign_free`). What belongs to a thread that has ended is taken
//   over by the next that is given its ThreadNumber(); threads without a number share one lock. The
//   backing is called by one thread at a time unless it is thread-safe.
// Shutdown: waits for frees that have begun on other threads (ALC-10). An allocation under way, or
//   a free that begins later, is the caller's error. Debug builds die with a message where a block
//   is freed twice, was not allocated here or has another layout (ALC-9).
//
// A queued block stays unused until its owner runs out of blocks of some size: what other threads
// free is kept for as long as the owner allocates nothing.
class ConcurrentAllocator final : public Allocator {
 public:
  struct Options {
    // How many bytes of slabs without a block each thread keeps for its next allocations, beside
    // the slab of each size class that it allocated from last.
    size_t kept_bytes = 1 << 20;
  };

  // REQUIRES: blocks of `backing` may be freed on other threads (`foreign_free`).
  ConcurrentAllocator(Allocator& backing, const Options& options)
      : backing_(backing), options_(options) {}
  explicit ConcurrentAllocator(Allocator& backing) : ConcurrentAllocator(backing, Options()) {}
  ConcurrentAllocator(const ConcurrentAllocator&) = delete;
  ConcurrentAllocator& operator=(const ConcurrentAllocator&) = delete;
  ~ConcurrentAllocator() override;

  Block Allocate(Layout layout) noexcept override;
  void Deallocate(void* ptr, Layout layout) noexcept override;
  bool TryResize(void* ptr, Layout layout, size_t new_size) noexcept override;
  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override;
  AllocatorStats Stats() const noexcept override { return counters_.Sum(); }
  // The quota of the backing is that of the slabs too, and not exact.
  AllocatorTraits traits() const noexcept override {
    return {.thread_safe = true,
            .foreign_free = true,
            .bulk_release = true,
            .statistics = true,
            .quota_bytes = backing_.quota_bytes()};
  }

 private:
  using Shard = concurrent::Shard;

  // Allocates from the shard of this number, whose thread calls. Null where there is no memory.
  void* AllocateIn(uint32_t number, Layout layout) noexcept;
  // The same for the threads without a number, under their lock.
  void* AllocateUnnumbered(Layout layout) noexcept ABSL_LOCKS_EXCLUDED(unnumbered_lock_);
  // Shard::GiveBackEmpty of the calling thread's shard.
  bool GiveBackEmpty(uint32_t number) noexcept ABSL_LOCKS_EXCLUDED(unnumbered_lock_);
  Shard* MakeShard(uint32_t number) noexcept;

  LiveBlockOwner Blocks() const { return {.name = "concurrent", .id = this}; }

  concurrent::Backing backing_;
  const Options options_;
  Lock unnumbered_lock_;
  // By thread number, made when first needed; the last is that of the threads without one. Each is
  // read and written by its thread only, but for the destruction of all.
  std::array<std::atomic<Shard*>, kMaxNumberedThreads + 1> shards_{};
  ThreadCounters counters_;
};

namespace concurrent {

// "concurrent", a decorator, with "kept": the bytes of empty slabs that each thread keeps.
// InvalidArgument where blocks of the inner allocator cannot be freed on other threads.
const AllocatorFactory& Factory();

}  // namespace concurrent
}  // namespace tenon::alloc

#endif  // TENON_ALLOC_CONCURRENT_CONCURRENT_ALLOCATOR_H_
