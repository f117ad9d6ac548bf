#include "tenon/core/loop/buffer_pool.h"

#include "absl/log/check.h"

namespace tenon {

BufferPool BufferPool::Create(Allocator& allocator, uint32_t count, uint32_t size) {
  CHECK(count >= 1 && count <= kMaxCount) << "buffer count " << count;
  CHECK_GE(size, 1u);
  BufferPool pool;
  pool.bytes_ = OwnedArray<char>::Create(allocator, size_t{count} * size);
  pool.slots_ = OwnedArray<Slot>::Create(allocator, count);
  if (!pool.bytes_.ok() || !pool.slots_.ok()) return BufferPool();
  pool.count_ = count;
  pool.size_ = size;
  for (uint32_t i = count; i-- > 0;) pool.PushFree(static_cast<uint16_t>(i));
  return pool;
}

int32_t BufferPool::Take() {
  if (first_free_ == kNoLink) return kNone;
  const uint16_t id = first_free_;
  Lend(id);
  return id;
}

void BufferPool::Lend(uint16_t id) {
  CHECK(id < count_ && !slots_[id].is_lent)
      << "CMP-10: buffer " << id << " is lent twice, or does not exist";
  Slot& slot = slots_[id];
  slot.is_lent = true;
  ++lent_;
  (slot.previous_free == kNoLink ? first_free_ : slots_[slot.previous_free].next_free) =
      slot.next_free;
  if (slot.next_free != kNoLink) slots_[slot.next_free].previous_free = slot.previous_free;
}

void BufferPool::Return(uint16_t id) {
  CHECK(id < count_ && slots_[id].is_lent)
      << "CMP-10: buffer " << id << " is returned but was not lent";
  --lent_;
  PushFree(id);
}

void BufferPool::PushFree(uint16_t id) {
  slots_[id] = {.next_free = first_free_, .previous_free = kNoLink, .is_lent = false};
  if (first_free_ != kNoLink) slots_[first_free_].previous_free = id;
  first_free_ = id;
}

absl::Span<char> BufferPool::Bytes(uint16_t id) {
  CHECK_LT(id, count_);
  return absl::MakeSpan(bytes_.data() + size_t{id} * size_, size_);
}

}  // namespace tenon
