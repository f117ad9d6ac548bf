// A decorator that knows every live block: its size, where it was allocated, and on request its
// stack.

#ifndef TENON_ALLOC_TRACKING_TRACKING_ALLOCATOR_H_
#define TENON_ALLOC_TRACKING_TRACKING_ALLOCATOR_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "tenon/alloc/threads/lock.h"
#include "tenon/alloc/threads/thread_counters.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/allocator_factory.h"

namespace tenon::alloc {

struct TrackingOptions {
  // One allocation in so many records its stack, at most 32 frames of it; 0 is none. Counted by
  // shard: on one thread exactly each nth, 1 is all of them always. Such a block takes 256 bytes
  // more. Frames are found by frame pointers: code built without them ends the stack.
  uint64_t stacks = 0;
  // Whether the destructor logs a report, as an error for each line of it, where blocks are live.
  bool report = false;
};

// Puts a header in front of each block and links all headers in lists, one list for each of some
// groups of threads: every operation takes constant time whatever the number of live blocks
// (ALC-14), and threads seldom wait for each other. There is no table that could be full: where
// there is no memory for the header, there is none for the block, and the allocation fails
// (ALC-15).
//
// A block that is freed twice, that was not allocated here, whose header was overwritten or that is
// given back with another size or alignment ends the process with a message, in release builds too
// (ALC-9). So does one of a tracking allocator that was at this address before (ALC-11).
//
// A block keeps the number and the site of its allocation when it is resized. Numbers count from 1
// in the order of allocation on one thread; threads draw them in batches, so that some are left
// out.
//
// Ownership: does not own the inner allocator, which must outlive it.
// Threads: as the inner allocator; with a `thread_safe` one, any.
// Shutdown: waits for frees that have begun on other threads (ALC-10). Blocks that are live when it
//   is destroyed are the caller's error, unless the inner allocator releases them (`bulk_release`).
//
//   TrackingAllocator tracking(system);
//   ...
//   LOG(INFO) << LeakReport::Of(tracking).WriteText();  // leak_report.h
class TrackingAllocator final : public Allocator {
 public:
  explicit TrackingAllocator(Allocator& inner, const TrackingOptions& options = {});
  TrackingAllocator(const TrackingAllocator&) = delete;
  TrackingAllocator& operator=(const TrackingAllocator&) = delete;
  ~TrackingAllocator() override;

  Block Allocate(Layout layout) noexcept override;
  void Deallocate(void* ptr, Layout layout) noexcept override;
  bool TryResize(void* ptr, Layout layout, size_t new_size) noexcept override;
  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override;
  // Exact when no thread allocates meanwhile (ALC-12).
  AllocatorStats Stats() const noexcept override { return counters_.Sum(); }
  // The inner allocator's, and `tracking`, `statistics`; without `exact_quota`.
  AllocatorTraits traits() const noexcept override;
  // Names every block that is live throughout (ALC-16), except one that another thread is just
  // moving. Locks one list at a time.
  void VisitLive(absl::FunctionRef<void(const LiveBlock&)> visit) const override;

 private:
  struct Header;
  enum class Finding { kLive, kFreed, kForeign };

  // Takes 128 bytes, so that finding one is a shift and no two share a cache line.
  struct Shard {
    // In front, as in ThreadCounters: what stands before the first shard is read by every thread.
    char gap[88];
    mutable Lock mutex;
    Header* first ABSL_GUARDED_BY(mutex) = nullptr;
    // Numbers that were drawn for this shard and not given to a block.
    uint64_t next_number ABSL_GUARDED_BY(mutex) = 0;
    uint64_t end_number ABSL_GUARDED_BY(mutex) = 0;
    // Allocations since a stack was recorded. Not guarded: a lost count does not matter.
    std::atomic<uint64_t> since_stack{0};
  };
  static_assert(sizeof(Shard) == 128);

  static Layout InnerLayout(const Header& header);
  uint64_t MagicOf(const Header* header) const;
  Finding Judge(const Header* header) const;
  // The header of a live block. Dies unless it is one, and has this layout.
  Header* Find(const char* operation, void* ptr, Layout layout) const;
  [[noreturn]] void DieOf(const char* operation, const void* ptr, Finding finding) const;
  [[noreturn]] static void DieOfLayout(const char* operation, const Header& header, Layout layout);
  // Whether an allocation records its stack. REQUIRES: some do.
  bool TakesStack(Shard* shard) noexcept;
  // Numbers the block too, if that has not been done.
  void Link(Header* header) noexcept;
  // False where another thread was faster: the block is freed twice.
  bool Unlink(Header* header) noexcept;

  Allocator& inner_;
  const TrackingOptions options_;
  const uint64_t generation_;
  std::atomic<uint64_t> numbers_{1};
  std::array<Shard, 64> shards_;
  ThreadCounters counters_;
};

namespace tracking {

// "tracking": options `stacks`, `report`.
const AllocatorFactory& Factory();

}  // namespace tracking
}  // namespace tenon::alloc

#endif  // TENON_ALLOC_TRACKING_TRACKING_ALLOCATOR_H_
