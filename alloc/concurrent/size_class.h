// The sizes in which small blocks come.

#ifndef TENON_ALLOC_CONCURRENT_SIZE_CLASS_H_
#define TENON_ALLOC_CONCURRENT_SIZE_CLASS_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "tenon/core/memory/allocator.h"

namespace tenon::alloc::concurrent {

// Multiples of 16 up to 128 bytes, then four sizes for each doubling up to 32 KiB: at most a fifth
// of a block above 128 bytes is lost.
inline constexpr uint32_t kSizeClasses = 40;
inline constexpr size_t kMaxSmallSize = 32 << 10;
inline constexpr size_t kMaxSmallAlignment = 4096;

// The class of what is not small.
inline constexpr uint32_t kLarge = kSizeClasses;

constexpr size_t ClassSize(uint32_t size_class) {
  if (size_class < 8) return (size_class + 1) * 16;
  const uint32_t doubling = (size_class - 8) / 4;
  return (size_t{128} << doubling) + ((size_class - 8) % 4 + 1) * (size_t{32} << doubling);
}

// To what each block of a class is aligned: what divides its size, up to a page.
constexpr size_t ClassAlignment(uint32_t size_class) {
  const size_t size = ClassSize(size_class);
  return std::min(size & -size, kMaxSmallAlignment);
}

// Up to where every class is aligned.
inline constexpr size_t kCommonAlignment = 16;

// The smallest class with blocks of `size` bytes, from 1 to kMaxSmallSize.
constexpr uint32_t ClassOfSize(size_t size) {
  if (size <= 128) return static_cast<uint32_t>((size - 1) / 16);
  const auto width = static_cast<uint32_t>(std::bit_width(size - 1));
  return 4 * (width - 8) + static_cast<uint32_t>((size - 1) >> (width - 3)) + 4;
}

// The smallest class whose blocks suffice for the layout, or kLarge.
constexpr uint32_t ClassOf(Layout layout) {
  if (layout.alignment <= kCommonAlignment) [[likely]] {
    return layout.size <= kMaxSmallSize ? ClassOfSize(std::max(layout.size, size_t{1})) : kLarge;
  }
  const size_t size = std::max(layout.size, layout.alignment);
  if (size > kMaxSmallSize || layout.alignment > kMaxSmallAlignment) return kLarge;
  uint32_t size_class = ClassOfSize(size);
  // Ends at a power of two at the latest.
  while (ClassAlignment(size_class) < layout.alignment) ++size_class;
  return size_class;
}

// Of the slab that holds blocks of a class, which is aligned to its size.
constexpr size_t SlabBytes(uint32_t size_class) {
  return size_class <= ClassOfSize(1024) ? size_t{64} << 10 : size_t{256} << 10;
}

static_assert(ClassSize(kSizeClasses - 1) == kMaxSmallSize);
static_assert(ClassAlignment(0) == kCommonAlignment && ClassAlignment(2) == kCommonAlignment);
static_assert(ClassSize(ClassOfSize(1024)) == 1024);
static_assert(ClassOf({.size = 0}) == 0 && ClassOf({.size = 16}) == 0 &&
              ClassOf({.size = 17}) == 1);
static_assert(ClassOf({.size = 128}) == 7 && ClassOf({.size = 129}) == 8);
static_assert(ClassOf({.size = 256}) == 11 && ClassOf({.size = 257}) == 12);
static_assert(ClassOf({.size = 32'768}) == 39 && ClassOf({.size = 32'769}) == kLarge);

}  // namespace tenon::alloc::concurrent

#endif  // TENON_ALLOC_CONCURRENT_SIZE_CLASS_H_
