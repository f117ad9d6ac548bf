#include "tenon/alloc/concurrent/concurrent_allocator.h"

#include <new>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tenon/alloc/concurrent/large_blocks.h"
#include "tenon/alloc/concurrent/size_class.h"
#include "tenon/alloc/factory/make_allocator.h"
#include "tenon/core/memory/status_of.h"

namespace tenon::alloc {
namespace {

using concurrent::ClassOf;
using concurrent::kLarge;
using concurrent::LargeBlocks;
using concurrent::Slab;

constexpr Layout kShardLayout{.size = sizeof(concurrent::Shard),
                              .alignment = alignof(concurrent::Shard)};

constexpr AllocatorOption kOptions[] = {
    {.name = "kept",
     .kind = AllocatorOption::Kind::kSize,
     .summary = "bytes of empty slabs that each thread keeps beside the last of each size",
     .default_value = "1MiB"},
};

class ConcurrentFactory final : public AllocatorFactory {
 public:
  absl::string_view name() const noexcept override { return "concurrent"; }
  absl::string_view summary() const noexcept override {
    return "free lists for each thread, and a queue without locks for what other threads free";
  }
  absl::Span<const AllocatorOption> options() const noexcept override { return kOptions; }
  bool decorates() const noexcept override { return true; }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig& config) const noexcept override {
    if (!config.inner->traits().foreign_free) {
      return StatusOf(absl::StatusCode::kInvalidArgument,
                      "the blocks of its inner allocator cannot be freed on other threads "
                      "(foreign_free); put guarded around it");
    }
    return MakeAllocator<ConcurrentAllocator>(
        config.memory, *config.inner,
        ConcurrentAllocator::Options{.kept_bytes = config.options[0].number});
  }
};

}  // namespace

ConcurrentAllocator::~ConcurrentAllocator() {
  counters_.WaitForFrees();
  ForgetLiveBlocks(Blocks());
  for (const std::atomic<Shard*>& slot : shards_) {
    Shard* const shard = slot.load(std::memory_order_acquire);
    if (shard == nullptr) continue;
    shard->ReleaseAll();
    shard->~Shard();
    backing_.Deallocate(shard, kShardLayout);
  }
}

ConcurrentAllocator::Shard* ConcurrentAllocator::MakeShard(uint32_t number) noexcept {
  const Block block = backing_.Allocate(kShardLayout);
  if (block.ptr == nullptr) return nullptr;
  auto* const shard = ::new (block.ptr) Shard(backing_, options_.kept_bytes);
  shards_[number].store(shard, std::memory_order_release);
  return shard;
}

inline void* ConcurrentAllocator::AllocateIn(uint32_t number, Layout layout) noexcept {
  Shard* shard = shards_[number].load(std::memory_order_relaxed);
  if (shard == nullptr) [[unlikely]] {
    shard = MakeShard(number);
    if (shard == nullptr) return nullptr;
  }
  const uint32_t size_class = ClassOf(layout);
  if (size_class == kLarge) [[unlikely]] {
    void* const ptr = shard->large().Allocate(layout);
    return ptr != nullptr || !shard->GiveBackEmpty() ? ptr : shard->large().Allocate(layout);
  }
  return shard->Allocate(size_class);
}

bool ConcurrentAllocator::GiveBackEmpty(uint32_t number) noexcept {
  const auto give_back = [&] {
    Shard* const shard = shards_[number].load(std::memory_order_relaxed);
    return shard != nullptr && shard->GiveBackEmpty();
  };
  if (number != kNoThreadNumber) return give_back();
  const Locked locked(unnumbered_lock_);
  return give_back();
}

void* ConcurrentAllocator::AllocateUnnumbered(Layout layout) noexcept {
  const Locked locked(unnumbered_lock_);
  return AllocateIn(kNoThreadNumber, layout);
}

Block ConcurrentAllocator::Allocate(Layout layout) noexcept {
  const uint32_t number = ThreadNumber();
  void* const ptr =
      number != kNoThreadNumber ? AllocateIn(number, layout) : AllocateUnnumbered(layout);
  if (ptr == nullptr) [[unlikely]] {
    counters_.CountFailure(number);
    return {};
  }
  counters_.CountAllocation(number, layout.size);
  AddLiveBlock(Blocks(), ptr, layout);
  return {ptr, layout.size};
}

void ConcurrentAllocator::Deallocate(void* ptr, Layout layout) noexcept {
  if (ptr == nullptr) return;
  const uint32_t number = ThreadNumber();
  counters_.BeginFree(number);
  RemoveLiveBlock(Blocks(), "Deallocate", ptr, layout);
  const uint32_t size_class = ClassOf(layout);
  if (size_class == kLarge) {
    LargeBlocks::Free(ptr);
  } else {
    Slab& slab = *Shard::SlabOf(ptr, size_class);
    Shard* const owner = slab.owner;
    // Not so for threads without a number: their shard is not theirs alone.
    const bool own =
        number != kNoThreadNumber && owner == shards_[number].load(std::memory_order_relaxed);
    own ? owner->FreeOwn(slab, size_class, ptr) : owner->FreeRemote(slab, ptr);
  }
  counters_.EndFree(number, layout.size);
}

bool ConcurrentAllocator::TryResize(void* ptr, Layout layout, size_t new_size) noexcept {
  CheckLiveBlock(Blocks(), "TryResize", ptr, layout);
  const uint32_t size_class = ClassOf(layout);
  // In the same slab as before, or in none as before: a free goes by the layout.
  if (ClassOf({.size = new_size, .alignment = layout.alignment}) != size_class) return false;
  if (size_class == kLarge && !LargeBlocks::TryResize(ptr, layout, new_size)) return false;
  RemoveLiveBlock(Blocks(), "TryResize", ptr, layout);
  AddLiveBlock(Blocks(), ptr, {.size = new_size, .alignment = layout.alignment});
  counters_.CountResize(ThreadNumber(), layout.size, new_size);
  return true;
}

Block ConcurrentAllocator::Reallocate(void* ptr, Layout layout, size_t new_size) noexcept {
  const uint32_t size_class = ClassOf(layout);
  if (size_class != kLarge ||
      ClassOf({.size = new_size, .alignment = layout.alignment}) != kLarge) {
    return Allocator::Reallocate(ptr, layout, new_size);
  }
  // Not live meanwhile: another thread may be given its memory before this one knows that it moved.
  RemoveLiveBlock(Blocks(), "Reallocate", ptr, layout);
  const uint32_t number = ThreadNumber();
  void* moved = LargeBlocks::Reallocate(ptr, layout, new_size);
  if (moved == nullptr && GiveBackEmpty(number)) {
    moved = LargeBlocks::Reallocate(ptr, layout, new_size);
  }
  if (moved == nullptr) {
    AddLiveBlock(Blocks(), ptr, layout);
    counters_.CountFailure(number);
    return {};
  }
  AddLiveBlock(Blocks(), moved, {.size = new_size, .alignment = layout.alignment});
  counters_.CountResize(number, layout.size, new_size);
  return {moved, new_size};
}

const AllocatorFactory& concurrent::Factory() {
  static constexpr ConcurrentFactory factory;
  return factory;
}

}  // namespace tenon::alloc
