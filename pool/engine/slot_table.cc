#include "tenon/pool/engine/slot_table.h"

#include <algorithm>
#include <limits>
#include <new>

namespace tenon::pool {
namespace {

constexpr size_t RoundUp(size_t size, size_t alignment) {
  return (size + alignment - 1) / alignment * alignment;
}

}  // namespace

bool SlotTable::Fill(uint32_t count, Layout resource, PoolCore& core) {
  const size_t alignment = std::max(alignof(Slot), resource.alignment);
  const size_t offset = RoundUp(sizeof(Slot), resource.alignment);
  if (resource.size > std::numeric_limits<size_t>::max() / 2 - offset) return false;
  stride_ = RoundUp(offset + resource.size, alignment);
  if (stride_ > std::numeric_limits<size_t>::max() / count) return false;
  layout_ = {.size = stride_ * count, .alignment = alignment};
  block_ = static_cast<char*>(allocator_.Allocate(layout_).ptr);
  if (block_ == nullptr) return false;
  for (; size_ < count; ++size_) {
    char* const at = block_ + size_ * stride_;
    ::new (at) Slot(core, core.loop(), allocator_, at + offset);
  }
  return true;
}

SlotTable::~SlotTable() {
  if (block_ == nullptr) return;
  while (size_ > 0) (*this)[--size_].~Slot();
  allocator_.Deallocate(block_, layout_);
}

}  // namespace tenon::pool
