#include "tenon/alloc/adapters/c_hooks.h"

#include <cerrno>
#include <cstring>
#include <limits>
#include <new>

namespace tenon::alloc::c_hooks {
namespace {

struct alignas(std::max_align_t) Header {
  size_t size = 0;
};

constexpr size_t kMaxSize = std::numeric_limits<size_t>::max() - sizeof(Header);

Header* HeaderOf(void* ptr) { return static_cast<Header*>(ptr) - 1; }

Layout LayoutOf(size_t size) {
  return {.size = sizeof(Header) + size, .alignment = alignof(Header)};
}

// Writes the header of a block that has `size` bytes now. Null, with errno, where there is none.
void* Finish(const Block& block, size_t size) {
  if (block.ptr == nullptr) {
    errno = ENOMEM;
    return nullptr;
  }
  auto* const header = ::new (block.ptr) Header{.size = size};
  return header + 1;
}

}  // namespace

void* Malloc(void* opaque, size_t size) noexcept {
  if (size > kMaxSize) return Finish({}, size);
  return Finish(static_cast<Allocator*>(opaque)->Allocate(LayoutOf(size)), size);
}

void* Calloc(void* opaque, size_t count, size_t size) noexcept {
  if (size != 0 && count > std::numeric_limits<size_t>::max() / size) return Finish({}, 0);
  void* const ptr = Malloc(opaque, count * size);
  if (ptr != nullptr) std::memset(ptr, 0, count * size);
  return ptr;
}

void* Realloc(void* opaque, void* ptr, size_t size) noexcept {
  if (ptr == nullptr) return Malloc(opaque, size);
  if (size == 0) {
    Free(opaque, ptr);
    return nullptr;
  }
  if (size > kMaxSize) return Finish({}, size);
  Header* const header = HeaderOf(ptr);
  return Finish(static_cast<Allocator*>(opaque)->Reallocate(header, LayoutOf(header->size),
                                                            sizeof(Header) + size),
                size);
}

void Free(void* opaque, void* ptr) noexcept {
  if (ptr == nullptr) return;
  Header* const header = HeaderOf(ptr);
  static_cast<Allocator*>(opaque)->Deallocate(header, LayoutOf(header->size));
}

size_t UsableSize(const void* ptr) noexcept {
  return ptr == nullptr ? 0 : (static_cast<const Header*>(ptr) - 1)->size;
}

}  // namespace tenon::alloc::c_hooks
