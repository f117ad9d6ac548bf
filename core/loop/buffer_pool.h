// The receive buffers that a loop lends to its callbacks.

#ifndef TENON_CORE_LOOP_BUFFER_POOL_H_
#define TENON_CORE_LOOP_BUFFER_POOL_H_

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/owned.h"

namespace tenon {

// A fixed number of equal buffers in one block, aligned to pages, each either free or lent. The
// bound is the count given at creation; when all are lent, Take says so.
//
// Threads: the loop's thread.
class BufferPool {
 public:
  // What Take returns when every buffer is lent.
  static constexpr int32_t kNone = -1;
  static constexpr uint32_t kMaxCount = 32'768;

  // A pool without buffers.
  BufferPool() = default;
  // `count` buffers of `size` bytes; not ok() when there is no memory.
  // REQUIRES: 1 <= count <= kMaxCount, size >= 1.
  static BufferPool Create(Allocator& allocator, uint32_t count, uint32_t size);

  bool ok() const { return count_ != 0; }
  uint32_t count() const { return count_; }
  uint32_t buffer_size() const { return size_; }
  uint32_t lent() const { return lent_; }

  // Lends a buffer: its id, or kNone.
  int32_t Take();
  // Lends this buffer, which a kernel has chosen. CHECKs that it is free (CMP-10).
  void Lend(uint16_t id);
  // Takes a buffer back. CHECKs that it was lent (CMP-10).
  void Return(uint16_t id);
  // The bytes of a buffer. REQUIRES: id < count().
  absl::Span<char> Bytes(uint16_t id);

 private:
  // A link in the list of free buffers, in either direction.
  static constexpr uint16_t kNoLink = UINT16_MAX;
  struct Slot {
    uint16_t next_free;
    uint16_t previous_free;
    bool is_lent;
  };

  void PushFree(uint16_t id);

  OwnedArray<char> bytes_;
  OwnedArray<Slot> slots_;
  uint32_t count_ = 0;
  uint32_t size_ = 0;
  uint32_t lent_ = 0;
  uint16_t first_free_ = kNoLink;
};

}  // namespace tenon

#endif  // TENON_CORE_LOOP_BUFFER_POOL_H_
