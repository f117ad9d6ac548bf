// What one thread allocates from.

#ifndef TENON_ALLOC_CONCURRENT_SHARD_H_
#define TENON_ALLOC_CONCURRENT_SHARD_H_

#include <array>
#include <atomic>
#include <bit>
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

// A slab is a piece of the backing allocator's memory, aligned to its size, that is cut into blocks
// of one class; this describes it. It stands within the first page, at a place that depends on the
// slab's address: at the same place in each, those of all slabs would compete for the same few
// lines of the caches, which every free has to look at. The blocks are in front of it and behind
// it.
struct Slab {
  enum class State : uint8_t {
    kCurrent,  // what its shard allocates from
    kPartial,  // in the list of those that have free blocks
    kFull,     // in no list: no block is in its free list, nor is any left to cut
    kEmpty,    // kept for any class with slabs of its size
  };

  // Remain the same while a block is allocated, but for the list of all the shard's slabs; read by
  // whoever frees a block.
  Shard* owner = nullptr;
  size_t bytes = 0;
  size_t block_size = 0;
  uint32_t size_class = 0;
  Slab* next_of_all = nullptr;
  Slab* previous_of_all = nullptr;

  // For the owner only, and therefore in another cache line.
  alignas(64) FreeBlock* free = nullptr;
  char* uncut = nullptr;  // The next block that was never allocated,
  char* end = nullptr;    // or here where there is none on this side of the header.
  uint32_t used = 0;      // Blocks that are allocated, or freed by other threads.
  State state = State::kCurrent;
  // In the list for the state.
  Slab* next = nullptr;
  Slab* previous = nullptr;

  // Where the memory begins whose slab is described here.
  char* start() noexcept {
    return reinterpret_cast<char*>(reinterpret_cast<uintptr_t>(this) & -bytes);
  }
};

// How far from the start of the slab at this address its description is. Fibonacci hashing: the
// high bits depend on all of those that distinguish slabs.
inline constexpr size_t kSlabPlaces = 4096 / sizeof(Slab);
inline size_t SlabOffset(uintptr_t start) noexcept {
  constexpr int kShift = 64 - std::countr_zero(kSlabPlaces);
  return (uint64_t{start >> 16} * 0x9e3779b97f4a7c15u >> kShift) * sizeof(Slab);
}
static_assert(sizeof(Slab) == 128 && std::has_single_bit(kSlabPlaces));

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
    const uintptr_t start = reinterpret_cast<uintptr_t>(ptr) & -SlabBytes(size_class);
    return reinterpret_cast<Slab*>(start + SlabOffset(start));
  }

  // Null where there is no memory.
  void* Allocate(uint32_t size_class) noexcept {
    LastFreed& last_freed = last_freed_[size_class];
    FreeBlock* const block = last_freed.first;
    if (block == nullptr) [[unlikely]]
      return AllocateFromSlab(size_class);
    last_freed.first = block->next;
    --last_freed.count;
    ++SlabOf(block, size_class)->used;
    return block;
  }

  // Takes back a block of a slab that it owns and that is of this class.
  void FreeOwn(Slab& slab, uint32_t size_class, void* ptr) noexcept {
    LastFreed& last_freed = last_freed_[size_class];
    if (last_freed.count == kMaxLastFreed) [[unlikely]]
      return Push(slab, ptr);
    auto* const block = static_cast<FreeBlock*>(ptr);
    block->next = last_freed.first;
    last_freed.first = block;
    ++last_freed.count;
    if (--slab.used == 0) [[unlikely]]
      RetireUnlessCurrent(slab);
  }

  // Queues a block of a slab that it owns, from any thread. The owner takes it back when it runs
  // out of free blocks of some class; until then it stays allocated as far as the backing is
  // concerned.
  void FreeRemote(Slab& slab, void* ptr) noexcept;

  // Gives every slab without a block in use back to the backing, for when that has no more. Returns
  // whether a request that was refused is worth another try.
  bool GiveBackEmpty() noexcept;

  LargeBlocks& large() { return large_; }

  // REQUIRES: nobody uses it.
  void ReleaseAll() noexcept;

 private:
  // The blocks of a class that the owner freed last, whatever slabs they are from: what is freed
  // and allocated in turn is then a block that the caches still have, and no slab enters or leaves
  // a list for it. They do not count as used, so that they keep no slab from being given back.
  static constexpr uint32_t kMaxLastFreed = 32;
  struct LastFreed {
    FreeBlock* first = nullptr;
    uint32_t count = 0;
  };

  // A block that was never allocated; null where there is none.
  static void* Cut(Slab& slab) noexcept;
  // From the slab's free list, or else such a one.
  static void* Take(Slab& slab) noexcept;
  // Into the slab's free list.
  void Push(Slab& slab, void* ptr) noexcept;

  void* AllocateFromSlab(uint32_t size_class) noexcept;
  void* TryAllocateFromSlab(uint32_t size_class) noexcept;
  void RetireUnlessCurrent(Slab& slab) noexcept;
  // Returns whether there was a block.
  bool TakeBackRemote() noexcept;

  // A slab for the class with no block in use; null where there is no memory.
  Slab* NewSlab(uint32_t size_class) noexcept;
  // A slab of which no block is in use leaves its class: kept for another, or given back.
  void Retire(Slab& slab) noexcept;
  void ForgetLastFreedOf(const Slab& slab) noexcept;
  void GiveBack(Slab& slab) noexcept;

  static void Link(Slab*& list, Slab& slab) noexcept;
  static void Unlink(Slab*& list, Slab& slab) noexcept;
  Slab*& Kept(size_t slab_bytes) { return kept_[slab_bytes == SlabBytes(0) ? 0 : 1]; }

  std::array<LastFreed, kSizeClasses> last_freed_{};
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
