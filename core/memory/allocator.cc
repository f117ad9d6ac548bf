#include "tenon/core/memory/allocator.h"

#include <algorithm>
#include <cstring>

namespace tenon {

bool Allocator::TryResize(void* /*ptr*/, Layout /*layout*/, size_t /*new_size*/) noexcept {
  return false;
}

Block Allocator::Reallocate(void* ptr, Layout layout, size_t new_size) noexcept {
  if (TryResize(ptr, layout, new_size)) return Block{ptr, new_size};
  const Block moved = Allocate({.size = new_size, .alignment = layout.alignment});
  if (moved.ptr == nullptr) return moved;
  std::memcpy(moved.ptr, ptr, std::min(layout.size, new_size));
  Deallocate(ptr, layout);
  return moved;
}

void Allocator::VisitLive(absl::FunctionRef<void(const LiveBlock&)> /*visit*/) const {}

}  // namespace tenon
