// The allocator interface: where every byte that Tenon keeps comes from.
//
// core takes an `Allocator&` wherever it needs memory, so that a deployment chooses the
// implementation (alloc/system, alloc/fault, your own), and so that the conformance suite can make
// any single allocation fail.

#ifndef TENON_CORE_MEMORY_ALLOCATOR_H_
#define TENON_CORE_MEMORY_ALLOCATOR_H_

#include <cstddef>
#include <cstdint>
#include <source_location>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"

namespace tenon {

// Size and alignment of a block, in bytes. `alignment` is a power of two, at least 1.
struct Layout {
  size_t size = 0;
  size_t alignment = alignof(std::max_align_t);
};

// A block of memory. `ptr` is null exactly when the allocation failed; then `size` is 0. On success
// `size` is at least the size that was asked for, and all of it may be used.
struct Block {
  void* ptr = nullptr;
  size_t size = 0;
};

// What an implementation declares about itself. Declared, queried, never guessed.
struct AllocatorTraits {
  // Calls may come from several threads at once (ALC-6).
  bool thread_safe = false;
  // A block may be freed on another thread than the one that allocated it (ALC-7).
  bool foreign_free = false;
  // Destroying the allocator releases blocks that are still live, and waits for frees that have
  // begun on other threads (ALC-10). Of a decorator it is said of the whole stack: its blocks are
  // released once the decorator and then what it decorates have been destroyed.
  bool bulk_release = false;
  // Stats() counts; else it is all zero (ALC-12).
  bool statistics = false;
  // VisitLive names every live block (ALC-16).
  bool tracking = false;
  // At most so many bytes are live at once, counted as AllocatorStats does; 0 is no limit (ALC-17).
  // It may be fewer: a decorator around a quota is charged for what it adds to the blocks.
  uint64_t quota_bytes = 0;
  // Nothing but the bytes asked for is charged: the quota can be used to the last one (ALC-17).
  bool exact_quota = false;
};

// A block that has not been freed, as a leak report names it.
struct LiveBlock {
  const void* ptr = nullptr;
  // As asked for, in bytes.
  size_t size = 0;
  // Number of the allocation, counted from 1 since construction.
  uint64_t number = 0;
  // Where it was allocated: the thread's AllocationSite (allocation_site.h); line 0 for none.
  std::source_location site = {};
  // Return addresses, innermost first, where stacks are recorded and this block was sampled.
  absl::Span<void* const> stack;
};

// Counters since construction. Sizes are those asked for, in bytes, not counting overhead. Read
// while other threads allocate, they are a recent value; read when nobody does, they are exact
// (ALC-12).
struct AllocatorStats {
  uint64_t live_bytes = 0;
  uint64_t live_blocks = 0;
  uint64_t total_blocks = 0;
  // Calls of Allocate and Reallocate that returned a null block. A TryResize that cannot be done is
  // none (ALC-5).
  uint64_t failures = 0;
};

// Hands out and takes back blocks of memory.
//
// Ownership: a block belongs to the caller from Allocate until Deallocate. The allocator outlives
// its blocks, unless its
//   traits declare `bulk_release`.
// Threads: one at a time, unless the traits declare `thread_safe`.
// Reentrancy: an implementation calls back into nothing but the allocator that it decorates.
// Shutdown: destruction with live blocks is the caller's error, unless `bulk_release`.
// Fork: in a child, an allocator that another thread was using at the fork(2), a call of it being
//   under way, must be neither used nor destroyed: what the call had begun is never ended. An
//   implementation may promise more.
//
// Nothing throws, nothing aborts for want of memory, no failure path holds a lock (ALC-4, ALC-13).
//
//   Block block = allocator.Allocate({.size = 100});
//   if (block.ptr == nullptr) return absl::ResourceExhaustedError("");
//   ...
//   allocator.Deallocate(block.ptr, {.size = 100});
class Allocator {
 public:
  virtual ~Allocator() = default;

  // Returns a block of at least `layout.size` bytes aligned to `layout.alignment` (ALC-1), or a
  // null block when there is no memory or the size cannot be represented (ALC-2). A size of zero
  // gives a block that is unique while it lives and is freed like any other (ALC-3). The bytes are
  // indeterminate. REQUIRES: `layout.alignment` is a power of two.
  virtual Block Allocate(Layout layout) noexcept = 0;

  // Takes back a block. Preserves errno (ALC-13). Null is a no-op.
  // REQUIRES: `ptr` came from this allocator and is live; `layout` is the one it was allocated or
  // last resized with.
  virtual void Deallocate(void* ptr, Layout layout) noexcept = 0;

  // Changes the size of a block where it stands, to `new_size` bytes. Returns false, with the
  // block, its bytes and the statistics unchanged (ALC-5), when that cannot be done; that is no
  // error, and is all that the default does. REQUIRES: as for Deallocate; `ptr` is not null.
  virtual bool TryResize(void* ptr, Layout layout, size_t new_size) noexcept;

  // Moves or resizes a block to `new_size` bytes, keeping the first min(old, new) bytes and the
  // alignment. Returns a null block on failure; the old block is then still valid, its bytes and
  // the statistics, but for `failures`, unchanged (ALC-5). REQUIRES: as for TryResize.
  virtual Block Reallocate(void* ptr, Layout layout, size_t new_size) noexcept;

  // Counters so far; all zero where an implementation keeps none. Never blocks an allocation
  // (ALC-12).
  virtual AllocatorStats Stats() const noexcept = 0;

  virtual AllocatorTraits traits() const noexcept = 0;

  // Calls `visit` with every live block, in no particular order; with none where the traits do not
  // declare `tracking` (ALC-16). Blocks that other threads allocate or free meanwhile may be left
  // out or included. `visit` must not use this allocator.
  virtual void VisitLive(absl::FunctionRef<void(const LiveBlock&)> visit) const;
};

}  // namespace tenon

#endif  // TENON_CORE_MEMORY_ALLOCATOR_H_
