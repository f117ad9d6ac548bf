// What an allocator counts, sharded so that counting costs no thread another's cache line.

#ifndef TENON_ALLOC_THREADS_THREAD_COUNTERS_H_
#define TENON_ALLOC_THREADS_THREAD_COUNTERS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "tenon/alloc/threads/thread_number.h"
#include "tenon/core/memory/allocator.h"

namespace tenon::alloc {

// The counters behind AllocatorStats, some of their own for each thread number, and some that the
// threads without a number share. Also knows whether a call that frees is under way, for what must
// not go away meanwhile.
//
// `number` is the calling thread's ThreadNumber(), for allocators that have it at hand anyway.
//
// Threads: any. A thread with a number counts without atomic read-modify-write operations.
class ThreadCounters {
 public:
  // Counts what an Allocate for `size` bytes is about to return, a block or a failure; returns it.
  Block CountAllocated(Block block, size_t size) noexcept {
    const uint32_t number = ThreadNumberIfTaken();
    // A call at the very end, so that the usual case has no register to save for what follows it.
    if (number >= kMaxNumberedThreads || block.ptr == nullptr) [[unlikely]] {
      return CountAllocatedSlowly(block, size);
    }
    CountAllocationOwn(shards_[number], size);
    return block;
  }

  // A block of `size` bytes has been allocated.
  void CountAllocation(uint32_t number, size_t size) noexcept {
    Shard& shard = shards_[number];
    if (number != kNoThreadNumber) [[likely]]
      return CountAllocationOwn(shard, size);
    AddShared(shard.allocated_bytes, size);
    AddShared(shard.allocated_blocks, 1);
  }

  // A block has changed its size, wherever it stands now. The number of blocks is the same.
  void CountResize(uint32_t number, size_t old_size, size_t new_size) noexcept {
    Shard& shard = shards_[number];
    Add(number, shard.allocated_bytes, new_size);
    Add(number, shard.freed_bytes, old_size);
  }

  // A request could not be met.
  void CountFailure(uint32_t number) noexcept { Add(number, shards_[number].failures, 1); }

  // A call that frees a block begins, and later ends, on the same thread. The end is the last that
  // the call does with what WaitForFrees protects.
  void BeginFree(uint32_t number) noexcept { Add(number, shards_[number].begun_frees, 1); }
  void EndFree(uint32_t number, size_t size) noexcept { CountFreed(number, size); }

  // In place of EndFree, where a call that began turned out to free nothing.
  void AbandonFree(uint32_t number) noexcept {
    Add(number, shards_[number].begun_frees, ~uint64_t{0});  // Modulo 2^64, one less.
  }

  // Beginning and end at once, where a free protects nothing.
  void CountFree(uint32_t number, size_t size) noexcept {
    BeginFree(number);
    EndFree(number, size);
  }

  // A block has been freed, where nobody waits for frees: without a beginning, which is a store
  // fewer. REQUIRES: nobody calls WaitForFrees.
  void CountFreed(uint32_t number, size_t size) noexcept {
    Shard& shard = shards_[number];
    if (number != kNoThreadNumber) [[likely]]
      return CountFreedOwn(shard, size);
    AddShared(shard.freed_bytes, size);
    AddShared(shard.freed_blocks, 1);
  }

  // Returns once every free has ended that has begun as far as the calling thread can know; what
  // they did happens before it returns. May wait as well for those that begin meanwhile.
  void WaitForFrees() const noexcept;

  // The sum. Exact when nobody counts; else a recent value, in which no block was freed that was
  // not allocated (ALC-12). Where others count without a pause, what is live is an upper estimate:
  // it may include what was allocated and freed while this was summing.
  AllocatorStats Sum() const noexcept;

 private:
  using Counter = std::atomic<uint64_t>;

  struct Shard {
    // In front: keeps the counters out of the cache lines of what stands before them, which for the
    // first shard is what every call of the allocator reads, and makes finding a shard a shift.
    // Asking for alignment would ask it of every allocator on a stack, where GCC 12's address
    // sanitizer does not give it.
    char gap[80];
    Counter allocated_bytes{0};
    Counter allocated_blocks{0};
    Counter freed_bytes{0};
    Counter freed_blocks{0};
    Counter begun_frees{0};
    Counter failures{0};
  };
  static_assert(sizeof(Shard) == 128);

  struct Freed {
    uint64_t bytes = 0;
    uint64_t blocks = 0;

    friend bool operator==(const Freed&, const Freed&) = default;
  };

  Freed SumFreed() const noexcept;

  // For the one thread that writes to the counter, and for threads that share it.
  static void AddOwn(Counter& counter, uint64_t value) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + value, std::memory_order_release);
  }
  static void AddShared(Counter& counter, uint64_t value) noexcept {
    counter.fetch_add(value, std::memory_order_release);
  }
  static void Add(uint32_t number, Counter& counter, uint64_t value) noexcept {
    number != kNoThreadNumber ? AddOwn(counter, value) : AddShared(counter, value);
  }

  static void CountAllocationOwn(Shard& shard, size_t size) noexcept {
    AddOwn(shard.allocated_bytes, size);
    AddOwn(shard.allocated_blocks, 1);
  }
  static void CountFreedOwn(Shard& shard, size_t size) noexcept {
    AddOwn(shard.freed_bytes, size);
    AddOwn(shard.freed_blocks, 1);
  }

  // Of a thread that has no number, or none yet; and of a failure.
  Block CountAllocatedSlowly(Block block, size_t size) noexcept;

  // The last is that of the threads without a number.
  std::array<Shard, kMaxNumberedThreads + 1> shards_;
};

}  // namespace tenon::alloc

#endif  // TENON_ALLOC_THREADS_THREAD_COUNTERS_H_
