// What one thread allocates from.

#ifndef TENON_ALLOC_CONCURRENT_SHARD_H_
#define TENON_ALLOC_CONCURRENT_SHARD_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "tenon/alloc/concurrent/backing.h"
#include "tenon/alloc/concurrent/large_blocks.h"
#include "tenon/alloc/concurrent/size_class.h"

namespace tenon::alloc::concurrent {

class Shard;
struct Slab;

// What is written into a block that is free.
struct FreeBlock {
  FreeBlock* next = nullptr;
  Slab* slab = nullptr;  // Only while it is on its way to the owner.
};

// The start of a slab: a piece of the backing allocator's memory, aligned to its size, that is cut
// into blocks of one class.
struct Slab {
  enum class State : uint8_t {
    kCurrent,  // what its shard allocates from
    kPartial,  // in the list of those that have free blocks
    kFull,     // in no list
    kEmpty,    // kept for any class with slabs of its size
  };

  // Remain the same while a block is allocated; read by whoever frees one.
  Shard* owner = nullptr;
  size_t bytes = 0;

  // For the owner only, and therefore in another cache line.
  alignas(64) FreeBlock* free = nullptr;
  char* uncut = nullptr;  // The next block that was never allocated,
  char* end = nullptr;    // or here where there is none.
  size_t block_size = 0;
  uint32_t size_class = 0;
  uint32_t used = 0;
  State state = State::kCurrent;
  // In the list for the state, and in that of all the shard's slabs.
  Slab* next = nullptr;
  Slab* previous = nullptr;
  Slab* next_of_all = nullptr;
  Slab* previous_of_all = nullptr;
};

// Slabs with their free lists, and the queue of what other threads have freed.
//
// Ownership: its slabs and large blocks come from `backing`; ReleaseAll gives them back.
// Threads: one at a time, the owner, but for FreeRemote and large().
class alignas(64) Shard {
 public:
  // Keeps up to `kept_bytes` of empty slabs.
  Shard(Backing& backing, size_t kept_bytes)
      : large_(backing), backing_(backing), kept_limit_(kept_bytes) {}

  // The slab of a small block.
  static Slab* SlabOf(void* ptr, uint32_t size_class) noexcept {
    return reinterpret_cast<Slab*>(reinterpret_cast<uintptr_t>(ptr) & -SlabBytes(size_class));
  }

  // Null where there is no memory.
  void* Allocate(uint32_t size_class) noexcept {
    Slab* const slab = current_[size_class];
    if (slab != nullptr && slab->free != nullptr) [[likely]]
      return Pop(*slab);
    return AllocateSlowly(size_class);
  }

  // Takes back a block of a slab that it owns.
  void FreeOwn(Slab& slab, void* ptr) noexcept {
    auto* const block = static_cast<FreeBlock*>(ptr);
    block->next = slab.free;
    slab.free = block;
    --slab.used;
    if (slab.state != Slab::State::kCurrent) [[unlikely]]
      FreeSlowly(slab);
  }

  // Queues a block of a slab that it owns, from any thread. The owner takes it back when it runs
  // out of free blocks of some class; until then it stays allocated as far as the backing is
  // concerned.
  void FreeRemote(Slab& slab, void* ptr) noexcept;

  LargeBlocks& large() { return large_; }

  // REQUIRES: nobody uses it.
  void ReleaseAll() noexcept;

 private:
  static void* Pop(Slab& slab) noexcept {
    FreeBlock* const block = slab.free;
    slab.free = block->next;
    ++slab.used;
    return block;
  }
  // From the free list, or else a block that was never allocated; null where there is neither.
  static void* Take(Slab& slab) noexcept;

  void* AllocateSlowly(uint32_t size_class) noexcept;
  void FreeSlowly(Slab& slab) noexcept;
  void TakeBackRemote() noexcept;

  // A slab for the class with no block in use; null where there is no memory.
  Slab* NewSlab(uint32_t size_class) noexcept;
  void Retire(Slab& slab) noexcept;

  static void Link(Slab*& list, Slab& slab) noexcept;
  static void Unlink(Slab*& list, Slab& slab) noexcept;
  Slab*& Kept(size_t slab_bytes) { return kept_[slab_bytes == SlabBytes(0) ? 0 : 1]; }

  std::array<Slab*, kSizeClasses> current_{};
  std::array<Slab*, kSizeClasses> partial_{};
  std::array<Slab*, 2> kept_{};  // by size
  size_t kept_bytes_ = 0;
  Slab* all_ = nullptr;
  LargeBlocks large_;
  Backing& backing_;
  const size_t kept_limit_;

  // Written by other threads. Pushed one at a time and taken all at once, so that no block can
  // leave and come back while a push looks at it.
  alignas(64) std::atomic<FreeBlock*> remote_{nullptr};
};

}  // namespace tenon::alloc::concurrent

#endif  // TENON_ALLOC_CONCURRENT_SHARD_H_
