#include "tenon/alloc/system/system_allocator.h"

#include <cerrno>
#include <cstdlib>
#include <limits>

namespace tenon::alloc {
namespace {

constexpr size_t kMallocAlignment = alignof(std::max_align_t);

// malloc(0) may return null (C17 7.22.3), and null means failure here.
constexpr size_t AtLeastOne(size_t size) { return size == 0 ? 1 : size; }

}  // namespace

Block SystemAllocator::Allocate(Layout layout) noexcept {
  size_t size = AtLeastOne(layout.size);
  void* ptr = nullptr;
  if (layout.alignment <= kMallocAlignment) {
    ptr = std::malloc(size);
  } else {
    // aligned_alloc wants a size that is a multiple of the alignment.
    if (size > std::numeric_limits<size_t>::max() - (layout.alignment - 1)) return {};
    size = (size + layout.alignment - 1) & ~(layout.alignment - 1);
    ptr = std::aligned_alloc(layout.alignment, size);
  }
  return ptr == nullptr ? Block{} : Block{ptr, layout.size};
}

void SystemAllocator::Deallocate(void* ptr, Layout /*layout*/) noexcept {
  const int saved_errno = errno;  // free(3) preserves errno only since glibc 2.33.
  std::free(ptr);
  errno = saved_errno;
}

Block SystemAllocator::Reallocate(void* ptr, Layout layout, size_t new_size) noexcept {
  // realloc(3) keeps malloc's alignment only, and frees the block when the size is zero.
  if (layout.alignment > kMallocAlignment) {
    return Allocator::Reallocate(ptr, layout, new_size);
  }
  void* moved = std::realloc(ptr, AtLeastOne(new_size));
  return moved == nullptr ? Block{} : Block{moved, new_size};
}

}  // namespace tenon::alloc
