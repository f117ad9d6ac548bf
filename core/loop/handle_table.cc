#include "tenon/core/loop/handle_table.h"

#include <memory>
#include <new>

#include "absl/log/check.h"

namespace tenon {

HandleTable::~HandleTable() {
  if (slots_ == nullptr) return;
  std::destroy_n(slots_, used_);
  allocator_->Deallocate(
      slots_, {.size = capacity_ * sizeof(HandleSlot), .alignment = alignof(HandleSlot)});
}

bool HandleTable::Init(Allocator& allocator, uint32_t capacity) {
  const Block block =
      allocator.Allocate({.size = capacity * sizeof(HandleSlot), .alignment = alignof(HandleSlot)});
  if (block.ptr == nullptr) return false;
  allocator_ = &allocator;
  slots_ = static_cast<HandleSlot*>(block.ptr);
  capacity_ = capacity;
  return true;
}

uint32_t HandleTable::Take() {
  uint32_t index = first_free_;
  if (index != Handle::kNoIndex) {
    first_free_ = slots_[index].next_free;
  } else {
    if (used_ == capacity_) return Handle::kNoIndex;
    index = used_++;
    ::new (&slots_[index]) HandleSlot();
  }
  ++taken_;
  slots_[index].state = HandleSlot::State::kOpen;
  return index;
}

void HandleTable::Free(uint32_t index) {
  HandleSlot& slot = slots_[index];
  DCHECK(slot.state != HandleSlot::State::kFree);
  DCHECK_EQ(slot.in_flight, 0u);
  DCHECK(slot.reading.waiting.empty() && slot.writing.waiting.empty());
  slot.fd = -1;
  // Stale handles are told apart for 2^32 uses of a slot.
  ++slot.generation;
  slot.state = HandleSlot::State::kFree;
  slot.attached = false;
  slot.owner = nullptr;
  slot.close_operation = nullptr;
  slot.next_free = first_free_;
  first_free_ = index;
  --taken_;
}

HandleSlot* HandleTable::Find(Handle handle) {
  if (handle.index >= used_) return nullptr;
  HandleSlot& slot = slots_[handle.index];
  const bool current =
      slot.generation == handle.generation && slot.state == HandleSlot::State::kOpen;
  return current ? &slot : nullptr;
}

}  // namespace tenon
