#include "tenon/alloc/adapters/memory_resource.h"

#include <new>

namespace tenon::alloc {

void* MemoryResource::do_allocate(size_t bytes, size_t alignment) {
  const Block block = allocator_.Allocate({.size = bytes, .alignment = alignment});
  if (block.ptr == nullptr) throw std::bad_alloc();
  return block.ptr;
}

void MemoryResource::do_deallocate(void* ptr, size_t bytes, size_t alignment) {
  allocator_.Deallocate(ptr, {.size = bytes, .alignment = alignment});
}

bool MemoryResource::do_is_equal(const std::pmr::memory_resource& other) const noexcept {
  const auto* same = dynamic_cast<const MemoryResource*>(&other);
  return same != nullptr && &same->allocator_ == &allocator_;
}

}  // namespace tenon::alloc
