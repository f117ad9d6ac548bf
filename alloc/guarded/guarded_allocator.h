// A decorator that makes any allocator usable from many threads.

#ifndef TENON_ALLOC_GUARDED_GUARDED_ALLOCATOR_H_
#define TENON_ALLOC_GUARDED_GUARDED_ALLOCATOR_H_

#include "absl/base/thread_annotations.h"
#include "tenon/alloc/threads/lock.h"
#include "tenon/alloc/threads/thread_counters.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/allocator_factory.h"

namespace tenon::alloc {

// Makes one call of the inner allocator at a time, under a mutex (ALC-6, ALC-7). Nothing but those
// calls happens under it, except what VisitLive is told to do: a block that moves is copied outside
// (a tracker within takes it for a new one, of who moved it), and every return, of a failure too,
// leaves the mutex free (ALC-4). An inner allocator that declares `thread_safe` is called without.
//
// Ownership: does not own the inner allocator, which must outlive it.
// Threads: any (`thread_safe`), a block may be freed by another thread (`foreign_free`). The inner
//   allocator is used through this one only, and does not care which thread calls it; one that is
//   `thread_safe` but has no `foreign_free` still has none here.
// Shutdown: waits for frees that have begun on other threads (ALC-10).
//
//   ArenaAllocator arena(system);
//   GuardedAllocator guarded(arena);  // any thread may allocate
class GuardedAllocator final : public Allocator {
 public:
  explicit GuardedAllocator(Allocator& inner);
  GuardedAllocator(const GuardedAllocator&) = delete;
  GuardedAllocator& operator=(const GuardedAllocator&) = delete;
  ~GuardedAllocator() override { counters_.WaitForFrees(); }

  Block Allocate(Layout layout) noexcept override ABSL_LOCKS_EXCLUDED(mutex_);
  void Deallocate(void* ptr, Layout layout) noexcept override ABSL_LOCKS_EXCLUDED(mutex_);
  bool TryResize(void* ptr, Layout layout, size_t new_size) noexcept override
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Grows in place, or else allocates, copies and frees: other threads allocate meanwhile.
  Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept override
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Counted by this allocator, without the mutex (ALC-12).
  AllocatorStats Stats() const noexcept override { return counters_.Sum(); }
  // The inner allocator's, asked for each time, without the mutex; and `thread_safe`, `statistics`;
  // `foreign_free` too where the inner is not `thread_safe`.
  AllocatorTraits traits() const noexcept override;
  // Holds the mutex while `visit` runs, unless the inner allocator is `thread_safe`: others that
  // allocate wait for a leak report meanwhile.
  void VisitLive(absl::FunctionRef<void(const LiveBlock&)> visit) const override
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // The inner allocator's operations, with the mutex where it is needed.
  Block InnerAllocate(Layout layout) noexcept ABSL_LOCKS_EXCLUDED(mutex_);
  void InnerDeallocate(void* ptr, Layout layout) noexcept ABSL_LOCKS_EXCLUDED(mutex_);
  bool InnerTryResize(void* ptr, Layout layout, size_t new_size) noexcept
      ABSL_LOCKS_EXCLUDED(mutex_);

  // For its traits.
  const Allocator& inner_;
  // The same allocator, for the rest; null is the one that is not to be used.
  Allocator* const unguarded_;
  mutable Lock mutex_;
  Allocator* const guarded_ ABSL_PT_GUARDED_BY(mutex_);
  ThreadCounters counters_;
};

namespace guarded {

// "guarded", without options.
const AllocatorFactory& Factory();

}  // namespace guarded
}  // namespace tenon::alloc

#endif  // TENON_ALLOC_GUARDED_GUARDED_ALLOCATOR_H_
