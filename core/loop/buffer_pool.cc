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
  for (uint32_t i = 0; i < count; ++i) {
    pool.slots_[i] = {.next_free = static_cast<uint16_t>(i + 1), .is_lent = false};
  }
  pool.first_free_ = 0;
  return pool;
}

int32_t BufferPool::Take() {
  if (lent_ == count_) return kNone;
  const int32_t id = first_free_;
  Slot& slot = slots_[static_cast<size_t>(id)];
  DCHECK(!slot.is_lent);
  slot.is_lent = true;
  first_free_ = slot.next_free;
  ++lent_;
  return id;
}

void BufferPool::Return(uint16_t id) {
  CHECK(id < count_ && slots_[id].is_lent)
      << "CMP-10: buffer " << id << " is returned but was not lent";
  slots_[id] = {.next_free = static_cast<uint16_t>(first_free_), .is_lent = false};
  first_free_ = id;
  --lent_;
}

absl::Span<char> BufferPool::Bytes(uint16_t id) {
  CHECK_LT(id, count_);
  return absl::MakeSpan(bytes_.data() + size_t{id} * size_, size_);
}

}  // namespace tenon
