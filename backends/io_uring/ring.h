// A ring of io_uring(7): its queues, and the one system call that works them.

#ifndef TENON_BACKENDS_IO_URING_RING_H_
#define TENON_BACKENDS_IO_URING_RING_H_

#include <liburing.h>

#include <cstdint>

#include "absl/status/status.h"

namespace tenon::io_uring {

// How io_uring_enter(2) is called. Each submits what is in the submission queue first.
enum class Enter : uint8_t {
  kSubmit,  // nothing more
  kReap,    // has the kernel finish what it can now, also completions that overflowed
  kWait,    // waits for a completion, or for the timeout if there is one
};

// The other end of the queues; tests put faults there.
//
// Threads: that of the ring that calls it.
class Kernel {
 public:
  // Makes the system call; `timeout` is meant for kWait only, and may be null. Returns the number
  // of entries taken, or a negated errno: -ETIME, -EINTR, -EBUSY, -EAGAIN, -EBADR and others.
  virtual int EnterRing(::io_uring& ring, Enter how, __kernel_timespec* timeout);

  // The one that the machine runs.
  static Kernel& Real();

 protected:
  ~Kernel() = default;
};

// Owns a ring, for the thread that made it: IORING_SETUP_SINGLE_ISSUER ties it to that.
//
// Threads: the one that called Init.
class Ring {
 public:
  // `kernel` outlives the ring.
  explicit Ring(Kernel& kernel = Kernel::Real()) : kernel_(kernel) {}
  // Unmaps and closes the ring. That waits for nothing: whatever is in flight goes on.
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Makes a ring with room for `entries` submissions, 1 to 32,768, and four times as many
  // completions, but at least 1,024. An error says what refused it (refusal.h), or its use, with
  // nothing left.
  absl::Status Init(uint32_t entries);

  // The next free submission entry. Null when the queue is full: a Call empties it.
  io_uring_sqe* NextEntry() { return io_uring_get_sqe(&ring_); }

  // Submits, and by the kind of call more. The kernel taking fewer entries than there are, being
  // short of memory (EAGAIN) or having too many completions unread (EBUSY) is no error: what was
  // not taken stays in the queue, in order. Returns what Kernel::EnterRing does.
  int Call(Enter how, __kernel_timespec* timeout = nullptr);

  // Entries prepared and not yet taken by the kernel.
  uint32_t unsubmitted() const { return io_uring_sq_ready(&ring_); }

  // Whether the kernel has completions for which it must be called: deferred work, or what did not
  // fit in the completion queue.
  bool NeedsReaping() const {
    return (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) !=
           0;
  }

  // The oldest unread completion, or null; valid until Advance.
  io_uring_cqe* Peek();
  void Advance() { io_uring_cq_advance(&ring_, 1); }

  ::io_uring& raw() { return ring_; }

 private:
  Kernel& kernel_;
  ::io_uring ring_ = {};
  bool initialised_ = false;
};

}  // namespace tenon::io_uring

#endif  // TENON_BACKENDS_IO_URING_RING_H_
