#include "tenon/backends/io_uring/buffer_ring.h"

#include <bit>
#include <cstddef>
#include <utility>

#include "tenon/backends/io_uring/prepare.h"
#include "tenon/core/loop/os_error.h"

namespace tenon::io_uring {

absl::Status BufferRing::Init(Ring& ring, BufferPool& pool, Allocator& allocator) {
  const uint32_t entry_count = std::bit_ceil(pool.count());
  const size_t size = entry_count * sizeof(io_uring_buf);
  OwnedArray<Page> pages =
      OwnedArray<Page>::Create(allocator, (size + sizeof(Page) - 1) / sizeof(Page));
  if (!pages.ok()) return OutOfMemory();
  io_uring_buf_reg registration = {};
  registration.ring_addr = reinterpret_cast<uint64_t>(pages.data());
  registration.ring_entries = entry_count;
  registration.bgid = kBufferGroup;
  const int result = io_uring_register_buf_ring(&ring.raw(), &registration, 0);
  if (result < 0) return OsError(-result, "io_uring_register(IORING_REGISTER_PBUF_RING)");
  pages_ = std::move(pages);
  pool_ = &pool;
  mask_ = io_uring_buf_ring_mask(entry_count);
  io_uring_buf_ring_init(entries());
  for (uint32_t id = 0; id < pool.count(); ++id) Offer(static_cast<uint16_t>(id));
  return absl::OkStatus();
}

void BufferRing::Offer(uint16_t id) {
  const absl::Span<char> bytes = pool_->Bytes(id);
  io_uring_buf_ring_add(entries(), bytes.data(), static_cast<unsigned>(bytes.size()), id, mask_, 0);
  io_uring_buf_ring_advance(entries(), 1);
}

}  // namespace tenon::io_uring
