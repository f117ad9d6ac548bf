// For tests: the machine's kernel, seen at work and made to misbehave.

#ifndef TENON_BACKENDS_IO_URING_SCRIPTED_KERNEL_H_
#define TENON_BACKENDS_IO_URING_SCRIPTED_KERNEL_H_

#include <liburing.h>

#include <cstdint>
#include <functional>

#include "tenon/backends/io_uring/ring.h"

namespace tenon::io_uring {

// Calls what is set here before and after the real kernel.
//
// Threads: one.
class ScriptedKernel final : public Kernel {
 public:
  // Returns 0 to go on, or the negated errno that the call is to fail with instead of being made.
  std::function<int(::io_uring& ring, Enter how)> before;
  // Sees each entry that is about to be submitted, and may change it.
  std::function<void(io_uring_sqe& entry)> on_entry;
  // Sees each completion once, as soon as it is in the queue, and may change it.
  std::function<void(io_uring_cqe& completion)> on_completion;
  // How many entries are taken at most in one call.
  uint32_t most_taken = UINT32_MAX;

  // What happened.
  uint64_t calls = 0;
  bool saw_overflow = false;

  // Begins with a new ring, whose queues are empty.
  void BeginRing() { entries_shown_ = completions_shown_ = 0; }

  int EnterRing(::io_uring& ring, Enter how, __kernel_timespec* timeout) override {
    ++calls;
    if (before) {
      if (const int refusal = before(ring, how); refusal != 0) return refusal;
    }
    ShowEntries(ring);
    const bool limited = io_uring_sq_ready(&ring) > most_taken;
    const int result = limited ? TakeSome(ring, how) : Kernel::Real().EnterRing(ring, how, timeout);
    saw_overflow |= io_uring_cq_has_overflow(&ring);
    ShowCompletions(ring);
    return result;
  }

 private:
  // Those that have not been shown: a refused call leaves them in the queue.
  void ShowEntries(::io_uring& ring) {
    for (; entries_shown_ != ring.sq.sqe_tail; ++entries_shown_) {
      if (on_entry) on_entry(ring.sq.sqes[entries_shown_ & ring.sq.ring_mask]);
    }
  }

  void ShowCompletions(::io_uring& ring) {
    const unsigned tail = *ring.cq.khead + io_uring_cq_ready(&ring);
    for (; completions_shown_ != tail; ++completions_shown_) {
      if (on_completion) on_completion(ring.cq.cqes[completions_shown_ & ring.cq.ring_mask]);
    }
  }

  // The call as the kernel makes it that is short of requests: fewer entries, and no wait.
  int TakeSome(::io_uring& ring, Enter how) {
    ring.sq.sqe_head = ring.sq.sqe_tail;
    *ring.sq.ktail = ring.sq.sqe_tail;
    return io_uring_enter(static_cast<unsigned>(ring.ring_fd), most_taken, 0,
                          how == Enter::kSubmit ? 0 : IORING_ENTER_GETEVENTS, nullptr);
  }

  unsigned entries_shown_ = 0;
  unsigned completions_shown_ = 0;
};

}  // namespace tenon::io_uring

#endif  // TENON_BACKENDS_IO_URING_SCRIPTED_KERNEL_H_
