#include "tenon/backends/io_uring/ring.h"

#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/log/check.h"
#include "tenon/backends/io_uring/refusal.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/time.h"

namespace tenon::io_uring {
namespace {

constexpr uint32_t kMinCompletions = 1'024;
constexpr uint32_t kMaxCompletions = 65'536;  // IORING_MAX_CQ_ENTRIES of the kernel

// One thread, which asks for its completions (DEFER_TASKRUN, Linux 6.1): no interrupts of its work,
// and completions in batches. A refused entry does not hold up those behind it (SUBMIT_ALL).
constexpr uint32_t kSetupFlags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
                                 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                                 IORING_SETUP_CQSIZE;

// The kernel gives back the memory of closed rings some time later, and counts it until then: a
// refusal for want of memory may pass. How long that is waited for, in all.
constexpr int64_t kMemoryPatienceNs = 250 * kMillisecondNs;
constexpr int64_t kMemoryPauseNs = 5 * kMillisecondNs;

// Whether a refusal of io_uring_enter(2) is no more than "not now".
bool MayPass(int result) {
  return result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY;
}

void Pause(int64_t duration_ns) {
  const timespec pause = {.tv_sec = 0, .tv_nsec = duration_ns};
  ::nanosleep(&pause, nullptr);
}

int SetUp(uint32_t entries, ::io_uring& ring) {
  for (int64_t waited_ns = 0;; waited_ns += kMemoryPauseNs) {
    io_uring_params params = {};
    params.flags = kSetupFlags;
    params.cq_entries = std::clamp(4 * entries, kMinCompletions, kMaxCompletions);
    const int result = io_uring_queue_init_params(entries, &ring, &params);
    if (result != -ENOMEM || waited_ns >= kMemoryPatienceNs) return result;
    Pause(kMemoryPauseNs);
  }
}

}  // namespace

Kernel& Kernel::Real() {
  class Machine final : public Kernel {};
  static Machine machine;
  return machine;
}

int Kernel::EnterRing(::io_uring& ring, Enter how, __kernel_timespec* timeout) {
  io_uring_cqe* cqe = nullptr;
  switch (how) {
    case Enter::kSubmit:
      return io_uring_submit(&ring);
    case Enter::kReap:
      return io_uring_submit_and_get_events(&ring);
    case Enter::kWait:
      return timeout == nullptr
                 ? io_uring_submit_and_wait(&ring, 1)
                 : io_uring_submit_and_wait_timeout(&ring, &cqe, 1, timeout, nullptr);
  }
  return -EINVAL;
}

Ring::~Ring() {
  if (initialised_) io_uring_queue_exit(&ring_);
}

absl::Status Ring::Init(uint32_t entries) {
  const int result = SetUp(entries, ring_);
  if (result < 0) {
    try {
      return SetupRefused(-result, ReadHostFacts());
    } catch (const std::bad_alloc&) {
      return OutOfMemory();
    }
  }
  initialised_ = true;
  // Spares the kernel the look-up of the descriptor in each call. A thread can do that for 16
  // rings; for more, the descriptor serves.
  io_uring_register_ring_fd(&ring_);
  // A filter may let rings be made and not be used.
  const int entered = kernel_.EnterRing(ring_, Enter::kReap, nullptr);
  return entered < 0 && !MayPass(entered) ? OsError(-entered, "io_uring_enter") : absl::OkStatus();
}

int Ring::Call(Enter how, __kernel_timespec* timeout) {
  const int result = kernel_.EnterRing(ring_, how, timeout);
  // -EBADR: completions for which the kernel had no memory outside of the queue are lost, and
  // nobody could tell their operations. Anything else that does not pass, such as a seccomp filter
  // that was installed over a running loop, leaves what is in flight without an end.
  CHECK(result >= 0 || MayPass(result))
      << "io_uring_enter: " << strerrorname_np(-result) << "; the ring cannot go on";
  // Without memory for a request it does not wait either.
  if (result == -EAGAIN && how == Enter::kWait) Pause(kMillisecondNs);
  return result;
}

io_uring_cqe* Ring::Peek() {
  if (io_uring_cq_ready(&ring_) == 0) return nullptr;
  return &ring_.cq.cqes[*ring_.cq.khead & ring_.cq.ring_mask];
}

}  // namespace tenon::io_uring
