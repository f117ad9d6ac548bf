// The table from operations to submission entries.

#ifndef TENON_BACKENDS_IO_URING_PREPARE_H_
#define TENON_BACKENDS_IO_URING_PREPARE_H_

#include <liburing.h>

#include <cstdint>

#include "tenon/backends/io_uring/flight.h"
#include "tenon/core/loop/loop_backend.h"
#include "tenon/core/loop/operation.h"

namespace tenon::io_uring {

// What an attempt at an operation depends on, besides the operation.
struct Attempt {
  // Of its descriptor; without meaning for operations on paths.
  DescriptorKind kind = DescriptorKind::kOther;
  // Send with zero_copy(): leave the bytes where they are.
  bool zero_copy = false;
  // On a thread of the kernel at once, where it may block.
  bool blocking = false;
  // Writes to pipes say RWF_NOSIGNAL (Linux 6.18).
  bool no_signal = false;
};

// The group of provided buffers, of which a ring has one.
inline constexpr uint16_t kBufferGroup = 0;

// Has a write to a pipe that nobody reads raise no SIGPIPE: RWF_NOSIGNAL of Linux 6.18.
inline constexpr int kNoSignalFlag = 0x100;

// Prepares an entry that attempts the operation, save for Poll, which is a wait, and for Shutdown,
// which never waits and is a system call of its own. Leaves user_data to the caller. An Accept with
// multishot() is one of the kernel's; of a Recv, each attempt is for one buffer.
//
// Nothing asks the kernel not to wait: MSG_DONTWAIT, and MSG_WAITALL with which a short count would
// have to be waited for, are left out on every backend. Descriptors that are made are close-on-exec
// and sockets among them non-blocking (INIT-7); no SIGPIPE comes from sockets (CMP-6).
void Prepare(Operation& operation, const Attempt& attempt, io_uring_sqe& entry);

// The events that an entry of PrepareWait reports: those that a Poll asks for, or those after which
// the operation may be worth another attempt, of a Splice's first descriptor or its second.
uint32_t AwaitedEvents(const Flight& flight);

// Prepares an entry that waits for AwaitedEvents, once or at every edge.
void PrepareWait(const Flight& flight, io_uring_sqe& entry);

}  // namespace tenon::io_uring

#endif  // TENON_BACKENDS_IO_URING_PREPARE_H_
