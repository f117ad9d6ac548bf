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
  size_t size = MallocSize(layout.size, layout.alignment);
  void* ptr = nullptr;
  if (layout.alignment <= kMallocAlignment) {
    ptr = std::malloc(size);
  } else {
    // aligned_alloc wants a size that is a multiple of the alignment.
    if (size > std::numeric_limits<size_t>::max() - (layout.alignment - 1)) return {};
    size = (size + layout.alignment - 1) & ~(layout.alignment - 1);
    ptr = std::aligned_alloc(layout.alignment, size);
  }
  if (ptr == nullptr) return {};
  AddLiveBlock(kOwner, ptr, layout);
  return Block{ptr, layout.size};
}

void SystemAllocator::Deallocate(void* ptr, Layout layout) noexcept {
  if (ptr == nullptr) return;
  RemoveLiveBlock(kOwner, "Deallocate", ptr, layout);
  const int saved_errno = errno;  // free(3) preserves errno only since glibc 2.33.
  std::free(ptr);
  errno = saved_errno;
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
