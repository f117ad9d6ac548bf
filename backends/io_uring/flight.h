// What the backend remembers of an operation in flight, in the operation's scratch.

#ifndef TENON_BACKENDS_IO_URING_FLIGHT_H_
#define TENON_BACKENDS_IO_URING_FLIGHT_H_

#include <cstdint>

#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/loop/operation.h"

namespace tenon::io_uring {

// The link puts it in a list of what waits for an entry, or of what is being cancelled.
struct Flight : ListLink<Flight> {
  explicit Flight(Operation& op) : operation(op), zero_copy(op.zero_copy()) {}

  Operation& operation;
  // What a zero-copy send achieved, until the kernel has done with its bytes.
  int32_t sent = 0;
  // What a wait for readiness, its own or that of a Poll, has found.
  uint32_t ready = 0;
  // The kernel has an entry of it, or a place in the submission queue is taken for it.
  bool in_ring = false;
  // Its entry is a wait for readiness, not an attempt.
  bool waits_for_ready = false;
  // The kernel repeats the wait at every edge, until it is cancelled.
  bool at_edges = false;
  // A Splice waits for its second descriptor next.
  bool second = false;
  // Has the kernel leave the bytes where they are; not where it turned out that it cannot.
  bool zero_copy;
  // Its last attempt met a ring without buffers.
  bool found_no_buffer = false;
  // Has a thread of the kernel do it.
  bool blocking = false;
  // Its attempt is counted among those that may raise SIGPIPE.
  bool signalling = false;
  // How often the kernel had no thread for it.
  uint8_t threads_missed = 0;
};

static_assert(sizeof(Flight) <= Operation::kScratchSize);

}  // namespace tenon::io_uring

#endif  // TENON_BACKENDS_IO_URING_FLIGHT_H_
