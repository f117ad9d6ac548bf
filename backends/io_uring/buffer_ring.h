// The loop's pool of buffers, as the kernel takes from it.

#ifndef TENON_BACKENDS_IO_URING_BUFFER_RING_H_
#define TENON_BACKENDS_IO_URING_BUFFER_RING_H_

#include <liburing.h>

#include <cstdint>

#include "absl/status/status.h"
#include "tenon/backends/io_uring/ring.h"
#include "tenon/core/loop/buffer_pool.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/owned.h"

namespace tenon::io_uring {

// A ring of the pool's free buffers, from which the kernel picks one when there are bytes to
// receive (io_uring_register_buf_ring(3), Linux 5.19). What is lent to callbacks is not in it.
//
// Threads: the ring's.
class BufferRing {
 public:
  // Offers all buffers of `pool`, which outlives the ring. ResourceExhausted without a message when
  // there is no memory, or what the kernel says; nothing is then registered.
  absl::Status Init(Ring& ring, BufferPool& pool, Allocator& allocator);

  bool ok() const { return pool_ != nullptr; }

  // Whether some buffer is not lent to a callback.
  bool any_free() const { return pool_->lent() < pool_->count(); }

  // The kernel picked this buffer: it is lent from now on.
  void Lend(uint16_t id) { pool_->Lend(id); }
  // Puts a buffer back that came back from a callback, or that the kernel picked in vain.
  void Offer(uint16_t id);

 private:
  // Entries as the kernel wants them, in a block aligned to pages.
  struct alignas(4096) Page {
    char bytes[4096];
  };

  io_uring_buf_ring* entries() { return reinterpret_cast<io_uring_buf_ring*>(pages_.data()); }

  OwnedArray<Page> pages_;
  BufferPool* pool_ = nullptr;
  int mask_ = 0;
};

}  // namespace tenon::io_uring

#endif  // TENON_BACKENDS_IO_URING_BUFFER_RING_H_
