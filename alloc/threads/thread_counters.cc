#include "tenon/alloc/threads/thread_counters.h"

#include <thread>

namespace tenon::alloc {

Block ThreadCounters::CountAllocatedSlowly(Block block, size_t size) noexcept {
  const uint32_t number = ThreadNumber();
  block.ptr != nullptr ? CountAllocation(number, size) : CountFailure(number);
  return block;
}

void ThreadCounters::WaitForFrees() const noexcept {
  for (const Shard& shard : shards_) {
    for (;;) {
      // Those that have ended are read first, each time anew: if no more have begun by the time
      // that this is read, none was under way then. Read later, the end of one that began meanwhile
      // would pass for that of an earlier one.
      const uint64_t ended = shard.freed_blocks.load(std::memory_order_acquire);
      if (shard.begun_frees.load(std::memory_order_acquire) == ended) break;
      std::this_thread::yield();
    }
  }
}

ThreadCounters::Freed ThreadCounters::SumFreed() const noexcept {
  Freed freed;
  for (const Shard& shard : shards_) {
    freed.bytes += shard.freed_bytes.load(std::memory_order_acquire);
    freed.blocks += shard.freed_blocks.load(std::memory_order_acquire);
  }
  return freed;
}

AllocatorStats ThreadCounters::Sum() const noexcept {
  // A free is counted after its block's allocation was: read first, its allocation is seen as well.
  // What comes and goes before the allocations are read would seem to be live, for instance where
  // this thread has to wait for a processor in between; therefore it tries again.
  constexpr int kAttempts = 4;
  AllocatorStats stats;
  Freed freed = SumFreed();
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    stats = {};
    for (const Shard& shard : shards_) {
      stats.live_bytes += shard.allocated_bytes.load(std::memory_order_acquire);
      stats.total_blocks += shard.allocated_blocks.load(std::memory_order_acquire);
      stats.failures += shard.failures.load(std::memory_order_acquire);
    }
    stats.live_bytes -= freed.bytes;
    stats.live_blocks = stats.total_blocks - freed.blocks;
    const Freed freed_since = SumFreed();
    if (freed_since == freed) break;
    freed = freed_since;
  }
  return stats;
}

}  // namespace tenon::alloc
