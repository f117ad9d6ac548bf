// Blocks of Tenon's allocators in the terms of jemalloc(3)'s *allocx functions.

#ifndef TENON_ALLOC_JEMALLOC_REQUEST_H_
#define TENON_ALLOC_JEMALLOC_REQUEST_H_

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>

#include "jemalloc/jemalloc.h"
#include "tenon/alloc/live_blocks/live_blocks.h"
#include "tenon/core/memory/allocator.h"

namespace tenon::alloc::jemalloc {

// What jemalloc is asked for: never zero bytes, which it does not define. A block must be freed
// with what it was asked for with, so that everything that concerns a block goes through here.
struct Request {
  Request(size_t block_size, size_t alignment) noexcept {
    // Up to a quantum a class is as aligned as it is large; beyond it, alignment must be asked for.
    constexpr size_t kQuantum = 16;
    size = std::max<size_t>(block_size, std::min(alignment, kQuantum));
    if (alignment > kQuantum) flags = MALLOCX_LG_ALIGN(std::countr_zero(alignment));
  }
  explicit Request(Layout layout) noexcept : Request(layout.size, layout.alignment) {}

  size_t size = 0;
  int flags = 0;
};

// The functions below do what those of Allocator promise, statistics excepted, for the blocks of
// `owner`. `where` is jemalloc's flags for the arena and the cache to use.

inline void* Allocate(const LiveBlockOwner& owner, Layout layout, int where) noexcept {
  const Request request(layout);
  const int flags = request.flags | where;
  // Without flags they are the same, but only malloc has a short way through the thread's cache.
  void* const ptr = flags == 0 ? je_malloc(request.size) : je_mallocx(request.size, flags);
  if (ptr != nullptr) AddLiveBlock(owner, ptr, layout);
  return ptr;
}

inline void Deallocate(const LiveBlockOwner& owner, void* ptr, Layout layout, int where) noexcept {
  RemoveLiveBlock(owner, "Deallocate", ptr, layout);
  const int saved_errno = errno;
  const Request request(layout);
  je_sdallocx(ptr, request.size, request.flags | where);
  errno = saved_errno;
}

inline bool TryResize(const LiveBlockOwner& owner, void* ptr, Layout layout,
                      size_t new_size) noexcept {
  CheckLiveBlock(owner, "TryResize", ptr, layout);
  const Request request(new_size, layout.alignment);
  // Zero where the size overflows. xallocx may as well leave a block larger than it was asked to
  // make it, which could then not be freed with the smaller size.
  const size_t usable = je_nallocx(request.size, request.flags);
  if (usable == 0 || je_xallocx(ptr, request.size, 0, request.flags) != usable) return false;
  RemoveLiveBlock(owner, "TryResize", ptr, layout);
  AddLiveBlock(owner, ptr, {.size = new_size, .alignment = layout.alignment});
  return true;
}

inline void* Reallocate(const LiveBlockOwner& owner, void* ptr, Layout layout, size_t new_size,
                        int where) noexcept {
  // Not live meanwhile: another thread may be given its memory before this one knows that it moved.
  RemoveLiveBlock(owner, "Reallocate", ptr, layout);
  const int saved_errno = errno;
  const Request request(new_size, layout.alignment);
  void* const moved = je_rallocx(ptr, request.size, request.flags | where);
  if (moved == nullptr) {
    AddLiveBlock(owner, ptr, layout);
    return nullptr;
  }
  errno = saved_errno;
  AddLiveBlock(owner, moved, {.size = new_size, .alignment = layout.alignment});
  return moved;
}

}  // namespace tenon::alloc::jemalloc

#endif  // TENON_ALLOC_JEMALLOC_REQUEST_H_
