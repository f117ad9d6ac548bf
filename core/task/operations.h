// The operations of a loop as things to co_await.
//
//   absl::StatusOr<size_t> count = co_await Recv(loop, socket, absl::MakeSpan(buffer));
//
// Each does what the Operation::Prepare of its name says, and results as that does; here stands
// what is added to it. For all of them:
//
// - What the arguments refer to, buffers, paths, addresses, messages, lives until the co_await is
//   over, also when the task is asked to stop (CAN-7).
// - A task that is asked to stop cancels the operation: the result is Cancelled, without a message,
//   or what had been achieved by then (CAN-1, CAN-3). A task that has been asked before does not
//   begin it: Cancelled at once, without a turn of the loop.
// - Errors are those of OperationError.
// - Each is awaited once. Two of them at a time take two tasks (WhenAll, Scope).

#ifndef TENON_CORE_TASK_OPERATIONS_H_
#define TENON_CORE_TASK_OPERATIONS_H_

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "tenon/core/loop/handle.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/task/operation_awaiter.h"

namespace tenon {

// ---- Turns and time ----

// Lets the loop go on: the task continues in its next round.
inline StatusResult Nop(Loop& loop) {
  return {loop, [](Operation& operation) { operation.PrepareNop(); }};
}

// OK after `delay_ns` nanoseconds, never early (TIM-1).
inline StatusResult Sleep(Loop& loop, int64_t delay_ns) {
  return {loop, [=](Operation& operation) { operation.PrepareTimer(delay_ns); }};
}

// OK when Loop::Now() has reached `deadline_ns`; kForeverNs waits until the task is asked to stop.
inline StatusResult SleepUntil(Loop& loop, int64_t deadline_ns) {
  return {loop, [=](Operation& operation) { operation.PrepareTimerAt(deadline_ns); }};
}

// ---- Sockets and pipes ----

// The ready subset of `events`, POLLIN and such.
inline EventsResult Poll(Loop& loop, Handle handle, uint32_t events) {
  return {loop, [=](Operation& operation) { operation.PreparePoll(handle, events); }};
}

// A connection, to be given to Loop::Adopt.
inline DescriptorResult Accept(Loop& loop, Handle listener, sockaddr* address = nullptr,
                               socklen_t* length = nullptr) {
  return {loop, [=](Operation& operation) { operation.PrepareAccept(listener, address, length); }};
}

// OK when the connection stands.
inline StatusResult Connect(Loop& loop, Handle socket, const sockaddr* address, socklen_t length) {
  return {loop, [=](Operation& operation) { operation.PrepareConnect(socket, address, length); }};
}

// The count of bytes received, 0 at the end of the stream.
inline CountResult Recv(Loop& loop, Handle socket, absl::Span<char> buffer, int flags = 0) {
  return {loop, [=](Operation& operation) { operation.PrepareRecv(socket, buffer, flags); }};
}

// The count of bytes sent, which may be short (CMP-5); see SendAll.
inline CountResult Send(Loop& loop, Handle socket, absl::Span<const char> buffer, int flags = 0) {
  return {loop, [=](Operation& operation) { operation.PrepareSend(socket, buffer, flags); }};
}

// The count of bytes received; `message` is filled as by recvmsg(2).
inline CountResult RecvMsg(Loop& loop, Handle socket, msghdr* message, int flags = 0) {
  return {loop, [=](Operation& operation) { operation.PrepareRecvMsg(socket, message, flags); }};
}

// The count of bytes sent.
inline CountResult SendMsg(Loop& loop, Handle socket, const msghdr* message, int flags = 0) {
  return {loop, [=](Operation& operation) { operation.PrepareSendMsg(socket, message, flags); }};
}

inline StatusResult Shutdown(Loop& loop, Handle socket, int how) {
  return {loop, [=](Operation& operation) { operation.PrepareShutdown(socket, how); }};
}

// The count of bytes moved, 0 at the end of the input.
inline CountResult Splice(Loop& loop, Handle from, int64_t from_offset, Handle to,
                          int64_t to_offset, size_t size, uint32_t flags = 0) {
  return {loop, [=](Operation& operation) {
            operation.PrepareSplice(from, from_offset, to, to_offset, size, flags);
          }};
}

// ---- Files, and whatever can be read and written ----

// The count of bytes read, 0 at the end; see ReadExactly.
inline CountResult Read(Loop& loop, Handle handle, absl::Span<char> buffer,
                        int64_t offset = kCurrentOffset) {
  return {loop, [=](Operation& operation) { operation.PrepareRead(handle, buffer, offset); }};
}

// The count of bytes written, which may be short (CMP-5); see WriteAll.
inline CountResult Write(Loop& loop, Handle handle, absl::Span<const char> buffer,
                         int64_t offset = kCurrentOffset) {
  return {loop, [=](Operation& operation) { operation.PrepareWrite(handle, buffer, offset); }};
}

inline StatusResult Fsync(Loop& loop, Handle file, bool data_only = false) {
  return {loop, [=](Operation& operation) { operation.PrepareFsync(file, data_only); }};
}

// A descriptor, to be given to Loop::Adopt.
inline DescriptorResult OpenAt(Loop& loop, Handle directory, const char* path, int flags,
                               uint32_t mode = 0) {
  return {loop,
          [=](Operation& operation) { operation.PrepareOpenAt(directory, path, flags, mode); }};
}

inline StatusResult Statx(Loop& loop, Handle directory, const char* path, int flags, uint32_t mask,
                          struct statx* result) {
  return {loop, [=](Operation& operation) {
            operation.PrepareStatx(directory, path, flags, mask, result);
          }};
}

inline StatusResult Rename(Loop& loop, Handle from_directory, const char* from, Handle to_directory,
                           const char* to, uint32_t flags = 0) {
  return {loop, [=](Operation& operation) {
            operation.PrepareRename(from_directory, from, to_directory, to, flags);
          }};
}

inline StatusResult Unlink(Loop& loop, Handle directory, const char* path, int flags = 0) {
  return {loop, [=](Operation& operation) { operation.PrepareUnlink(directory, path, flags); }};
}

inline StatusResult Mkdir(Loop& loop, Handle directory, const char* path, uint32_t mode) {
  return {loop, [=](Operation& operation) { operation.PrepareMkdir(directory, path, mode); }};
}

// ---- Closing ----

// Awaits the end of a handle, as Loop::Close begins it (HDL-5): it is not begun twice, not
// cancelled, and not refused to a task that was asked to stop, so that cleaning up is always
// possible.
class [[nodiscard]] CloseResult : public OperationAwaiter {
 public:
  CloseResult(Loop& loop, Handle handle) : OperationAwaiter(loop, &Completed) {
    operation().PrepareClose(handle);
  }

  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
    BeginRegardless(awaiting.promise());
  }
  absl::Status await_resume() noexcept {
    absl::Status result;
    ReadResult(operation(), result);
    return result;
  }
};

// OK when the descriptor is closed.
inline CloseResult Close(Loop& loop, Handle handle) { return {loop, handle}; }

}  // namespace tenon

#endif  // TENON_CORE_TASK_OPERATIONS_H_
