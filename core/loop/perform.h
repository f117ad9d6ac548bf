// The system calls behind the operations: one table for every backend that performs operations
// itself, and one for the blocking threads.

#ifndef TENON_CORE_LOOP_PERFORM_H_
#define TENON_CORE_LOOP_PERFORM_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "tenon/core/loop/buffer_pool.h"
#include "tenon/core/loop/loop_backend.h"
#include "tenon/core/loop/operation.h"

namespace tenon {

// Not a result: the operation cannot go on before the descriptor is ready.
inline constexpr int32_t kWouldBlock = INT32_MIN;

// Makes a descriptor non-blocking, or says what the kernel refused.
absl::Status SetNonBlocking(int fd);

// Attempts an operation on a non-blocking descriptor: Accept, Connect, Recv (not pooled), Send,
// RecvMsg, SendMsg, Shutdown, Read, Write, Splice. Returns its result, or kWouldBlock with nothing
// done. For Connect that means that it is under way: go on with FinishConnect when the
// socket becomes writable.
//
// Restarts after signals (CMP-8); raises no SIGPIPE (CMP-6); descriptors it makes are close-on-exec
// and non-blocking (INIT-7).
int32_t PerformNonBlocking(Operation& operation, DescriptorKind kind);

// The outcome of a Connect that was under way, or kWouldBlock if it still is.
int32_t FinishConnect(Operation& operation);

// Attempts a Recv with pooled_buffer(). On a positive result `*buffer_id` is lent and holds the
// bytes; on any other, none is. -ENOBUFS when the pool has no buffer, with the data left in place.
int32_t PerformRecvPooled(Operation& operation, BufferPool& pool, uint16_t* buffer_id);

// The outcome of a Recv with pooled_buffer() for which there is no buffer: 0 or a negated errno
// where that needs none, -ENOBUFS when there is data, which stays, kWouldBlock when there is
// nothing yet.
int32_t PerformRecvWithoutBuffer(const Operation& operation);

// Whether after this result the descriptor has no more to give or to take, so that another attempt
// would only find out by kWouldBlock: a short count on TCP, or of a write to a pipe. It proves
// nothing elsewhere: a read also ends at a descriptor that a local socket passes, and at a packet
// of a pipe. On TCP it ends at urgent data too, and at the end of the stream: a backend that uses
// this watches for both (EPOLLPRI, EPOLLRDHUP), and disregards the answer once it has met one.
// `size` is that of the buffer, the operation's own or one of the pool.
bool ExhaustedBy(const Operation& operation, int32_t result, size_t size, DescriptorKind kind);

// The ready subset of a Poll's events, now; 0 if none; a negated errno.
int32_t PollNow(int fd, uint32_t events);

// Performs Read, Write, Fsync, OpenAt, Statx, Rename, Unlink, Mkdir, Splice or Work to the end and
// returns the result. Blocks. Any thread.
int32_t PerformBlocking(Operation& operation);

}  // namespace tenon

#endif  // TENON_CORE_LOOP_PERFORM_H_
