#include "tenon/tools/bench/raw_ring.h"

#include "absl/log/check.h"
#include "absl/status/status.h"

namespace tenon::bench {

RawRing::~RawRing() {
  if (initialised_) io_uring_queue_exit(&ring_);
}

absl::Status RawRing::Init() {
  io_uring_params parameters = {};
  parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                     IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
  parameters.cq_entries = kCompletions;
  const int error = io_uring_queue_init_params(kSubmissions, &ring_, &parameters);
  if (error < 0) {
    return absl::ErrnoToStatus(-error,
                               "io_uring_setup with DEFER_TASKRUN (Linux 6.1; a seccomp profile or "
                               "kernel.io_uring_disabled may forbid it)");
  }
  initialised_ = true;
  // Only spares a look-up: without it everything works.
  io_uring_register_ring_fd(&ring_);
  return absl::OkStatus();
}

absl::Status RawRing::Probe() { return RawRing().Init(); }

io_uring_sqe* RawRing::Next() {
  io_uring_sqe* entry = io_uring_get_sqe(&ring_);
  if (entry == nullptr) {
    io_uring_submit(&ring_);
    entry = io_uring_get_sqe(&ring_);
    CHECK(entry != nullptr) << "a submission queue is full after it was submitted";
  }
  return entry;
}

}  // namespace tenon::bench
