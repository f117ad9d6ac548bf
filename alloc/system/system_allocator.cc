#include "tenon/alloc/system/system_allocator.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <limits>

#include "tenon/alloc/factory/make_allocator.h"
#include "tenon/alloc/live_blocks/live_blocks.h"

namespace tenon::alloc {
namespace {

constexpr size_t kMallocAlignment = alignof(std::max_align_t);

// What malloc is asked for. Not zero bytes, for which it may return null (C17 7.22.3), and null
// means failure here. Not fewer than the alignment: a malloc need align a block only for what fits
// into it, and jemalloc's does no more (ALC-1).
constexpr size_t MallocSize(size_t size, size_t alignment) {
  return std::max(size, std::min(alignment, kMallocAlignment));
}

// One for all: a block may be freed by another SystemAllocator.
constexpr LiveBlockOwner kOwner{.name = "system", .id = &kMallocAlignment};

// Apart from Allocate, which keeps fewer registers without it.
[[gnu::noinline]] void* AlignedAlloc(Layout layout) {
  // aligned_alloc wants a size that is a multiple of the alignment.
  const size_t size = MallocSize(layout.size, layout.alignment);
  if (size > std::numeric_limits<size_t>::max() - (layout.alignment - 1)) return nullptr;
  return std::aligned_alloc(layout.alignment,
                            (size + layout.alignment - 1) & ~(layout.alignment - 1));
}

// free(3), which takes null, with errno as it was. POSIX.1-2024 asks that of free itself, and glibc
// does it since 2.33; what was compiled with the headers of 2.34 starts with no older one, as its
// entry point was renamed in that version. There a free is a jump: looking up errno twice would be
// half of what this allocator costs over malloc and free. A malloc that replaces the C library's
// has its promises to keep (//alloc/jemalloc:malloc does).
void Free(void* ptr) {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
  std::free(ptr);
#else
  const int saved_errno = errno;
  std::free(ptr);
  errno = saved_errno;
#endif
}

class SystemFactory final : public AllocatorFactory {
 public:
  absl::string_view name() const noexcept override { return "system"; }
  absl::string_view summary() const noexcept override {
    return "the heap of the C library, without statistics";
  }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig& config) const noexcept override {
    return MakeAllocator<SystemAllocator>(config.memory);
  }
};

}  // namespace

Block SystemAllocator::Allocate(Layout layout) noexcept {
  void* const ptr = layout.alignment <= kMallocAlignment
                        ? std::malloc(MallocSize(layout.size, layout.alignment))
                        : AlignedAlloc(layout);
  if (ptr == nullptr) return {};
  AddLiveBlock(kOwner, ptr, layout);
  return Block{ptr, layout.size};
}

void SystemAllocator::Deallocate(void* ptr, Layout layout) noexcept {
  if (kRemembersLiveBlocks && ptr == nullptr) return;
  RemoveLiveBlock(kOwner, "Deallocate", ptr, layout);
  Free(ptr);
}

Block SystemAllocator::Reallocate(void* ptr, Layout layout, size_t new_size) noexcept {
  // realloc(3) keeps malloc's alignment only, and frees the block when the size is zero.
  if (layout.alignment > kMallocAlignment) {
    return Allocator::Reallocate(ptr, layout, new_size);
  }
  // Not live meanwhile: another thread may be given its memory before this one knows that it moved.
  RemoveLiveBlock(kOwner, "Reallocate", ptr, layout);
  void* moved = std::realloc(ptr, MallocSize(new_size, layout.alignment));
  if (moved == nullptr) {
    AddLiveBlock(kOwner, ptr, layout);
    return {};
  }
  AddLiveBlock(kOwner, moved, {.size = new_size, .alignment = layout.alignment});
  return Block{moved, new_size};
}

const AllocatorFactory& system::Factory() {
  static constexpr SystemFactory factory;
  return factory;
}

}  // namespace tenon::alloc
