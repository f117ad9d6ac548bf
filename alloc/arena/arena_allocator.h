// A decorator that hands out memory from large chunks and gives it back all at once.

#ifndef TENON_ALLOC_ARENA_ARENA_ALLOCATOR_H_
#define TENON_ALLOC_ARENA_ARENA_ALLOCATOR_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/allocator_factory.h"

namespace tenon::alloc {

// Takes chunks from an inner allocator and cuts blocks from them, one after the other. A block that
// is freed is free memory again only where it was the last one cut, or has a chunk of its own, as
// those have that are larger than a quarter of a chunk; all other memory returns when the arena is
// rewound or destroyed. The last block grows in place as far as its chunk goes, unless a checkpoint
// saved since it was allocated is in use; every block shrinks in place. A block that has to move
// when it is resized belongs to the time of that call: rewinding to a checkpoint saved before it
// releases the block.
//
// Each block has a header of 16 bytes, by which the statistics are exact whatever is freed, and by
// which a block that is freed twice, was not allocated here, was released by Rewind or is given
// back with another size ends the process with a message, in release builds too (ALC-9, ALC-11):
// for those that were freed or released, as long as nothing else was written in front of them.
//
// Ownership: does not own the inner allocator, which must outlive it.
// Threads: one.
// Shutdown: destruction releases whatever is live (`bulk_release`).
//
//   ArenaAllocator arena(system);
//   const ArenaAllocator::Checkpoint before = arena.Save();
//   ParseRequest(arena);
//   arena.Rewind(before);  // nothing of the request remains
class ArenaAllocator final : public Allocator {
 public:
  static constexpr size_t kDefaultChunkBytes = 64 * 1024;
  static constexpr size_t kMinChunkBytes = 1024;
  // Checkpoints that can be in use at once.
  static constexpr size_t kMaxCheckpoints = 64;

  // A moment to which the arena can be rewound.
  class Checkpoint {
   private:
    friend class ArenaAllocator;
    uint64_t generation_ = 0;  // the arena's; 0 is of none
    size_t depth_ = 0;
    uint64_t serial_ = 0;
  };

  // REQUIRES: chunk_bytes >= kMinChunkBytes.
  explicit ArenaAllocator(Allocator& inner, size_t chunk_bytes = kDefaultChunkBytes);
  ArenaAllocator(const ArenaAllocator&) = delete;
  ArenaAllocator& operator=(const ArenaAllocator&) = delete;
  ~ArenaAllocator() override;

  // Takes no memory. REQUIRES: fewer than kMaxCheckpoints are in use.
  Checkpoint Save() noexcept;

  // Releases all blocks allocated since that checkpoint, and gives their chunks back, but for one
  // that is kept for what comes next. Ends this checkpoint and those saved after it. Takes time in
  // proportion to the chunks and checkpoints released, not to the blocks.
  // REQUIRES: the checkpoint is of this arena and has not ended: the process ends with a message
  // otherwise. No decorator around this arena has blocks allocated or moved since the checkpoint,
  // nor, where it is a PoisonAllocator, has it any in quarantine (FlushQuarantine): a decorator
  // does not learn of a Rewind, and its counts, lists and red zones would go on as if its blocks
  // were live.
  void Rewind(Checkpoint checkpoint) noexcept;

  Block Allocate(Layout layout) noexcept override;
  void Deallocate(void* ptr, Layout layout) noexcept override;
  bool TryResize(void* ptr, Layout layout, size_t new_size) noexcept override;
  // Of the blocks, not of the chunks. What is rewound is no longer live.
  AllocatorStats Stats() const noexcept override { return stats_; }
  // `bulk_release`, `statistics`, and the quota of the inner allocator, which is not exact.
  AllocatorTraits traits() const noexcept override;

 private:
  struct Chunk;
  struct Header;

  // What was allocated since a checkpoint and is live.
  struct Frame {
    Chunk* chunk = nullptr;
    char* top = nullptr;
    uint64_t live_blocks = 0;
    uint64_t live_bytes = 0;
    uint64_t serial = 0;
    uint32_t magic = 0;
  };

  // Where a block with a chunk of its own keeps the chunk's address: in front of its header.
  static Chunk*& OwnerOf(Header* header);

  uint32_t MagicOf(uint64_t serial) const;
  Header* Find(const char* operation, void* ptr, Layout layout) const;
  // Null where there is no memory.
  Chunk* TakeChunk(size_t bytes) noexcept;
  void GiveChunk(Chunk* chunk) noexcept;
  bool Extend() noexcept;
  Header* CutFromChunk(Layout layout) noexcept;
  Header* CutOwnChunk(Layout layout) noexcept;
  bool IsLast(const Header* header) const;
  void ReleaseSince(size_t depth) noexcept;

  Allocator& inner_;
  const size_t chunk_bytes_;
  const uint64_t generation_;
  // The newest chunk, from which blocks are cut, and what is left of it.
  Chunk* chunk_ = nullptr;
  char* top_ = nullptr;
  char* end_ = nullptr;
  // The newest of those that hold one block each.
  Chunk* own_ = nullptr;
  // Kept by Rewind.
  Chunk* spare_ = nullptr;
  AllocatorStats stats_;
  // The first is for what was allocated before any checkpoint.
  std::array<Frame, kMaxCheckpoints + 1> frames_;
  size_t depth_ = 0;
  uint64_t serials_ = 0;
};

namespace arena {

// "arena": option `chunk`, bytes.
const AllocatorFactory& Factory();

}  // namespace arena
}  // namespace tenon::alloc

#endif  // TENON_ALLOC_ARENA_ARENA_ALLOCATOR_H_
