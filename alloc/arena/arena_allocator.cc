#include "tenon/alloc/arena/arena_allocator.h"

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/log/check.h"
#include "absl/log/log.h"
#include "tenon/alloc/factory/make_allocator.h"
#include "tenon/alloc/generation/generation.h"
#include "tenon/alloc/poison/sanitizer.h"
#include "tenon/core/memory/status_of.h"

namespace tenon::alloc {

struct alignas(std::max_align_t) ArenaAllocator::Chunk {
  Chunk* older = nullptr;
  size_t bytes = 0;
  // For those that hold one block.
  Chunk* newer = nullptr;
  size_t frame = 0;
};

// Stands immediately in front of the block.
struct ArenaAllocator::Header {
  size_t size = 0;
  uint16_t frame = 0;
  bool own_chunk = false;
  uint32_t magic = 0;
};

namespace {

constexpr uint32_t kFreedMagic = 0x66726565;
// Blocks end at multiples of this, so that those of the usual alignments follow without gaps.
constexpr size_t kGranule = alignof(std::max_align_t);

constexpr AllocatorOption kOptions[] = {{
    .name = "chunk",
    .kind = AllocatorOption::Kind::kSize,
    .summary = "bytes taken from the inner allocator at once",
    .default_value = "64KiB",
}};

class ArenaFactory final : public AllocatorFactory {
 public:
  absl::string_view name() const noexcept override { return "arena"; }
  absl::string_view summary() const noexcept override {
    return "cuts blocks from large chunks and frees them all at once; for one thread";
  }
  absl::Span<const AllocatorOption> options() const noexcept override { return kOptions; }
  bool decorates() const noexcept override { return true; }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig& config) const noexcept override {
    const uint64_t chunk_bytes = config.options[0].number;
    if (chunk_bytes < ArenaAllocator::kMinChunkBytes) {
      return StatusOf(absl::StatusCode::kInvalidArgument, "chunk is less than 1KiB");
    }
    return MakeAllocator<ArenaAllocator>(config.memory, *config.inner, chunk_bytes);
  }
};

char* RoundUp(char* ptr, size_t alignment) {
  const size_t past = reinterpret_cast<uintptr_t>(ptr) & (alignment - 1);
  return past == 0 ? ptr : ptr + (alignment - past);
}

size_t BytesUpTo(const char* end, const char* ptr) { return static_cast<size_t>(end - ptr); }

}  // namespace

ArenaAllocator::ArenaAllocator(Allocator& inner, size_t chunk_bytes)
    : inner_(inner), chunk_bytes_(chunk_bytes), generation_(DrawGeneration()) {
  static_assert(sizeof(Header) == kGranule);
  CHECK_GE(chunk_bytes, kMinChunkBytes);
  frames_[0].magic = MagicOf(0);
}

ArenaAllocator::~ArenaAllocator() {
  ReleaseSince(0);
  if (spare_ != nullptr) GiveChunk(spare_);
}

ArenaAllocator::Chunk*& ArenaAllocator::OwnerOf(Header* header) {
  return *(reinterpret_cast<Chunk**>(header) - 1);
}

ArenaAllocator::Chunk* ArenaAllocator::TakeChunk(size_t bytes) noexcept {
  const Block block = inner_.Allocate({.size = bytes, .alignment = alignof(Chunk)});
  if (block.ptr == nullptr) return nullptr;
  auto* const chunk = ::new (block.ptr) Chunk;
  chunk->bytes = bytes;
  PoisonMemory(chunk + 1, bytes - sizeof(Chunk));
  return chunk;
}

void ArenaAllocator::GiveChunk(Chunk* chunk) noexcept {
  const size_t bytes = chunk->bytes;
  UnpoisonMemory(chunk, bytes);
  inner_.Deallocate(chunk, {.size = bytes, .alignment = alignof(Chunk)});
}

bool ArenaAllocator::Extend() noexcept {
  Chunk* chunk = std::exchange(spare_, nullptr);
  if (chunk == nullptr) chunk = TakeChunk(chunk_bytes_);
  if (chunk == nullptr) return false;
  chunk->older = chunk_;
  chunk_ = chunk;
  top_ = reinterpret_cast<char*>(chunk + 1);
  end_ = reinterpret_cast<char*>(chunk) + chunk->bytes;
  return true;
}

// Null where the rest of the chunk is too small.
ArenaAllocator::Header* ArenaAllocator::CutFromChunk(Layout layout) noexcept {
  if (BytesUpTo(end_, top_) < sizeof(Header)) return nullptr;
  char* const earliest = top_ + sizeof(Header);
  const size_t past = reinterpret_cast<uintptr_t>(earliest) & (layout.alignment - 1);
  const size_t gap = past == 0 ? 0 : layout.alignment - past;
  if (gap > BytesUpTo(end_, earliest)) return nullptr;
  char* const ptr = earliest + gap;
  if (layout.size > BytesUpTo(end_, ptr)) return nullptr;
  top_ = std::min(end_, RoundUp(ptr + layout.size, kGranule));
  UnpoisonMemory(ptr - sizeof(Header), sizeof(Header) + layout.size);
  return ::new (ptr - sizeof(Header)) Header;
}

ArenaAllocator::Header* ArenaAllocator::CutOwnChunk(Layout layout) noexcept {
  const size_t prefix = sizeof(Chunk) + kGranule + sizeof(Header);
  if (layout.alignment > std::numeric_limits<size_t>::max() - prefix) return nullptr;
  const size_t overhead = prefix + layout.alignment - 1;
  if (layout.size > std::numeric_limits<size_t>::max() - overhead) return nullptr;
  Chunk* const chunk = TakeChunk(overhead + layout.size);
  if (chunk == nullptr) return nullptr;
  chunk->frame = depth_;
  chunk->older = own_;
  if (own_ != nullptr) own_->newer = chunk;
  own_ = chunk;
  char* const ptr = RoundUp(reinterpret_cast<char*>(chunk) + prefix, layout.alignment);
  UnpoisonMemory(ptr - sizeof(Header) - kGranule, kGranule + sizeof(Header) + layout.size);
  auto* const header = ::new (ptr - sizeof(Header)) Header;
  header->own_chunk = true;
  OwnerOf(header) = chunk;
  return header;
}

Block ArenaAllocator::Allocate(Layout layout) noexcept {
  layout.alignment = std::max(layout.alignment, alignof(Header));
  // What is not larger fits into a new chunk with all that stands before it.
  const size_t quarter = chunk_bytes_ / 4;
  const bool own_chunk = layout.alignment > quarter || layout.size > quarter;
  Header* header = nullptr;
  if (own_chunk) {
    header = CutOwnChunk(layout);
  } else {
    header = CutFromChunk(layout);
    if (header == nullptr && Extend()) header = CutFromChunk(layout);
  }
  if (header == nullptr) {
    ++stats_.failures;
    return {};
  }
  header->size = layout.size;
  header->frame = static_cast<uint16_t>(depth_);
  header->magic = frames_[depth_].magic;
  ++frames_[depth_].live_blocks;
  frames_[depth_].live_bytes += layout.size;
  ++stats_.live_blocks;
  ++stats_.total_blocks;
  stats_.live_bytes += layout.size;
  return {.ptr = header + 1, .size = layout.size};
}

// Differs from arena to arena and, in each, from checkpoint to checkpoint.
uint32_t ArenaAllocator::MagicOf(uint64_t serial) const {
  return static_cast<uint32_t>(absl::HashOf(generation_, serial));
}

ArenaAllocator::Header* ArenaAllocator::Find(const char* operation, void* ptr,
                                             Layout layout) const {
  auto* const header = static_cast<Header*>(ptr) - 1;
  if (header->frame > depth_ || header->magic != frames_[header->frame].magic) {
    LOG(FATAL) << "arena: " << operation << " of " << ptr
               << (header->magic == kFreedMagic
                       ? ", which was freed before"
                       : ", which was not allocated here, was released by Rewind, or what stands "
                         "before it was overwritten");
  }
  if (header->size != layout.size) {
    LOG(FATAL) << "arena: " << operation << " of " << ptr << ", which was allocated with "
               << header->size << " bytes, not " << layout.size;
  }
  return header;
}

bool ArenaAllocator::IsLast(const Header* header) const {
  if (header->own_chunk) return false;
  // As numbers: it may be of another chunk, which is no nearer than the size of a Chunk.
  const uintptr_t end = reinterpret_cast<uintptr_t>(header + 1) + header->size;
  const auto top = reinterpret_cast<uintptr_t>(top_);
  return end <= top && top - end < kGranule;
}

void ArenaAllocator::Deallocate(void* ptr, Layout layout) noexcept {
  if (ptr == nullptr) return;
  Header* const header = Find("Deallocate", ptr, layout);
  Frame& frame = frames_[header->frame];
  --frame.live_blocks;
  frame.live_bytes -= layout.size;
  --stats_.live_blocks;
  stats_.live_bytes -= layout.size;
  header->magic = kFreedMagic;
  PoisonMemory(ptr, layout.size);
  if (header->own_chunk) {
    Chunk* const chunk = OwnerOf(header);
    (chunk->newer != nullptr ? chunk->newer->older : own_) = chunk->older;
    if (chunk->older != nullptr) chunk->older->newer = chunk->newer;
    GiveChunk(chunk);
  } else if (IsLast(header)) {
    top_ = reinterpret_cast<char*>(header);
  }
}

bool ArenaAllocator::TryResize(void* ptr, Layout layout, size_t new_size) noexcept {
  Header* const header = Find("TryResize", ptr, layout);
  char* const start = static_cast<char*>(ptr);
  const bool last = IsLast(header);
  if (new_size > layout.size) {
    // What is behind a block from before the last checkpoint is cut anew after a Rewind.
    if (!last || header->frame != depth_ || new_size > BytesUpTo(end_, start)) return false;
    UnpoisonMemory(start, new_size);
  } else {
    PoisonMemory(start + new_size, layout.size - new_size);
  }
  if (last) top_ = std::min(end_, RoundUp(start + new_size, kGranule));
  header->size = new_size;
  // Modulo 2^64, so that this is right for less as well as for more.
  frames_[header->frame].live_bytes += new_size - layout.size;
  stats_.live_bytes += new_size - layout.size;
  return true;
}

void ArenaAllocator::ReleaseSince(size_t depth) noexcept {
  for (size_t i = depth; i <= depth_; ++i) {
    stats_.live_blocks -= frames_[i].live_blocks;
    stats_.live_bytes -= frames_[i].live_bytes;
  }
  while (own_ != nullptr && own_->frame >= depth) {
    Chunk* const chunk = std::exchange(own_, own_->older);
    if (own_ != nullptr) own_->newer = nullptr;
    GiveChunk(chunk);
  }
  const Frame& frame = frames_[depth];
  // In the chunk that was current then, blocks of before may have been given back since.
  top_ = chunk_ == frame.chunk ? std::min(top_, frame.top) : frame.top;
  while (chunk_ != frame.chunk) {
    Chunk* const chunk = std::exchange(chunk_, chunk_->older);
    if (spare_ != nullptr) {
      GiveChunk(chunk);
    } else {
      spare_ = chunk;
      PoisonMemory(chunk + 1, chunk->bytes - sizeof(Chunk));
    }
  }
  end_ = chunk_ == nullptr ? nullptr : reinterpret_cast<char*>(chunk_) + chunk_->bytes;
  if (chunk_ != nullptr) PoisonMemory(top_, BytesUpTo(end_, top_));
}

ArenaAllocator::Checkpoint ArenaAllocator::Save() noexcept {
  CHECK_LT(depth_, kMaxCheckpoints) << "arena: too many checkpoints are in use";
  ++depth_;
  ++serials_;
  frames_[depth_] = {.chunk = chunk_,
                     .top = top_,
                     .live_blocks = 0,
                     .live_bytes = 0,
                     .serial = serials_,
                     .magic = MagicOf(serials_)};
  Checkpoint checkpoint;
  checkpoint.generation_ = generation_;
  checkpoint.depth_ = depth_;
  checkpoint.serial_ = serials_;
  return checkpoint;
}

void ArenaAllocator::Rewind(Checkpoint checkpoint) noexcept {
  const size_t depth = checkpoint.depth_;
  CHECK(checkpoint.generation_ == 0 || checkpoint.generation_ == generation_)
      << "arena: rewound to a checkpoint of another arena";
  CHECK(depth != 0 && depth <= depth_ && frames_[depth].serial == checkpoint.serial_)
      << "arena: rewound to a checkpoint that has ended";
  ReleaseSince(depth);
  depth_ = depth - 1;
}

AllocatorTraits ArenaAllocator::traits() const noexcept {
  AllocatorTraits traits;
  traits.bulk_release = true;
  traits.statistics = true;
  traits.quota_bytes = inner_.traits().quota_bytes;
  return traits;
}

const AllocatorFactory& arena::Factory() {
  static constexpr ArenaFactory factory;
  return factory;
}

}  // namespace tenon::alloc
