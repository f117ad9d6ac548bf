#include "tenon/core/loop/operation.h"

#include <algorithm>

namespace tenon {

absl::string_view OpcodeName(Opcode opcode) {
  switch (opcode) {
    case Opcode::kNop:
      return "Nop";
    case Opcode::kTimer:
      return "Timer";
    case Opcode::kPoll:
      return "Poll";
    case Opcode::kAccept:
      return "Accept";
    case Opcode::kConnect:
      return "Connect";
    case Opcode::kRecv:
      return "Recv";
    case Opcode::kSend:
      return "Send";
    case Opcode::kRecvMsg:
      return "RecvMsg";
    case Opcode::kSendMsg:
      return "SendMsg";
    case Opcode::kShutdown:
      return "Shutdown";
    case Opcode::kRead:
      return "Read";
    case Opcode::kWrite:
      return "Write";
    case Opcode::kFsync:
      return "Fsync";
    case Opcode::kOpenAt:
      return "OpenAt";
    case Opcode::kStatx:
      return "Statx";
    case Opcode::kRename:
      return "Rename";
    case Opcode::kUnlink:
      return "Unlink";
    case Opcode::kMkdir:
      return "Mkdir";
    case Opcode::kSplice:
      return "Splice";
    case Opcode::kClose:
      return "Close";
    case Opcode::kWork:
      return "Work";
  }
  return "unknown";
}

Direction DirectionOf(Opcode opcode) {
  switch (opcode) {
    case Opcode::kAccept:
    case Opcode::kRecv:
    case Opcode::kRecvMsg:
    case Opcode::kRead:
      return Direction::kRead;
    case Opcode::kConnect:
    case Opcode::kSend:
    case Opcode::kSendMsg:
    case Opcode::kShutdown:
    case Opcode::kWrite:
      return Direction::kWrite;
    default:
      return Direction::kNone;
  }
}

void Operation::Begin(Opcode opcode, Handle handle) {
  CHECK(idle()) << "SUB-6: " << OpcodeName(opcode_) << " is prepared again before it completed";
  opcode_ = opcode;
  handle_ = handle;
  multishot_ = false;
  pooled_buffer_ = false;
  zero_copy_ = false;
}

void Operation::PrepareNop() { Begin(Opcode::kNop, {}); }

void Operation::PrepareTimer(int64_t delay_ns) {
  Begin(Opcode::kTimer, {});
  parameters_.timer = {.when_ns = delay_ns, .relative = true, .in_wheel = false, .sequence = 0};
}

void Operation::PrepareTimerAt(int64_t deadline_ns) {
  Begin(Opcode::kTimer, {});
  parameters_.timer = {.when_ns = std::max<int64_t>(deadline_ns, 0),
                       .relative = false,
                       .in_wheel = false,
                       .sequence = 0};
}

void Operation::PreparePoll(Handle handle, uint32_t events) {
  Begin(Opcode::kPoll, handle);
  parameters_.poll_events = events;
}

void Operation::PrepareAccept(Handle listener, sockaddr* address, socklen_t* length) {
  Begin(Opcode::kAccept, listener);
  parameters_.address = {.address = address, .length_out = length, .length = 0};
}

void Operation::PrepareAcceptMultishot(Handle listener) {
  PrepareAccept(listener);
  multishot_ = true;
}

void Operation::PrepareConnect(Handle socket, const sockaddr* address, socklen_t length) {
  Begin(Opcode::kConnect, socket);
  // connect(2) only reads it.
  parameters_.address = {
      .address = const_cast<sockaddr*>(address), .length_out = nullptr, .length = length};
}

void Operation::PrepareRecv(Handle socket, absl::Span<char> buffer, int flags) {
  Begin(Opcode::kRecv, socket);
  parameters_.buffer = {
      .data = buffer.data(), .size = buffer.size(), .offset = kCurrentOffset, .flags = flags};
}

void Operation::PrepareRecvPooled(Handle socket, int flags) {
  PrepareRecv(socket, {}, flags);
  pooled_buffer_ = true;
}

void Operation::PrepareRecvMultishot(Handle socket, int flags) {
  PrepareRecvPooled(socket, flags);
  multishot_ = true;
}

void Operation::PrepareSend(Handle socket, absl::Span<const char> buffer, int flags) {
  Begin(Opcode::kSend, socket);
  // send(2) only reads it.
  parameters_.buffer = {.data = const_cast<char*>(buffer.data()),
                        .size = buffer.size(),
                        .offset = kCurrentOffset,
                        .flags = flags};
}

void Operation::PrepareSendZeroCopy(Handle socket, absl::Span<const char> buffer, int flags) {
  PrepareSend(socket, buffer, flags);
  zero_copy_ = true;
}

void Operation::PrepareRecvMsg(Handle socket, msghdr* message, int flags) {
  Begin(Opcode::kRecvMsg, socket);
  parameters_.message = {.message = message, .flags = flags};
}

void Operation::PrepareSendMsg(Handle socket, const msghdr* message, int flags) {
  Begin(Opcode::kSendMsg, socket);
  // sendmsg(2) only reads it.
  parameters_.message = {.message = const_cast<msghdr*>(message), .flags = flags};
}

void Operation::PrepareShutdown(Handle socket, int how) {
  Begin(Opcode::kShutdown, socket);
  parameters_.shutdown_how = how;
}

void Operation::PrepareRead(Handle handle, absl::Span<char> buffer, int64_t offset) {
  Begin(Opcode::kRead, handle);
  parameters_.buffer = {.data = buffer.data(), .size = buffer.size(), .offset = offset, .flags = 0};
}

void Operation::PrepareWrite(Handle handle, absl::Span<const char> buffer, int64_t offset) {
  Begin(Opcode::kWrite, handle);
  // write(2) only reads it.
  parameters_.buffer = {.data = const_cast<char*>(buffer.data()),
                        .size = buffer.size(),
                        .offset = offset,
                        .flags = 0};
}

void Operation::PrepareFsync(Handle file, bool data_only) {
  Begin(Opcode::kFsync, file);
  parameters_.data_only = data_only;
}

void Operation::PrepareOpenAt(Handle directory, const char* path, int flags, uint32_t mode) {
  Begin(Opcode::kOpenAt, directory);
  parameters_.path = {.path = path,
                      .to_path = nullptr,
                      .to_directory = {},
                      .statx_result = nullptr,
                      .flags = flags,
                      .mode = mode};
}

void Operation::PrepareStatx(Handle directory, const char* path, int flags, uint32_t mask,
                             struct statx* result) {
  Begin(Opcode::kStatx, directory);
  parameters_.path = {.path = path,
                      .to_path = nullptr,
                      .to_directory = {},
                      .statx_result = result,
                      .flags = flags,
                      .mode = mask};
}

void Operation::PrepareRename(Handle from_directory, const char* from, Handle to_directory,
                              const char* to, uint32_t flags) {
  Begin(Opcode::kRename, from_directory);
  parameters_.path = {.path = from,
                      .to_path = to,
                      .to_directory = to_directory,
                      .statx_result = nullptr,
                      .flags = static_cast<int>(flags),
                      .mode = 0};
}

void Operation::PrepareUnlink(Handle directory, const char* path, int flags) {
  PrepareOpenAt(directory, path, flags, 0);
  opcode_ = Opcode::kUnlink;
}

void Operation::PrepareMkdir(Handle directory, const char* path, uint32_t mode) {
  PrepareOpenAt(directory, path, 0, mode);
  opcode_ = Opcode::kMkdir;
}

void Operation::PrepareSplice(Handle from, int64_t from_offset, Handle to, int64_t to_offset,
                              size_t size, uint32_t flags) {
  Begin(Opcode::kSplice, from);
  parameters_.splice = {
      .to = to, .from_offset = from_offset, .to_offset = to_offset, .size = size, .flags = flags};
}

void Operation::PrepareClose(Handle handle) { Begin(Opcode::kClose, handle); }

void Operation::PrepareWork(int32_t (*function)(void*), void* argument) {
  Begin(Opcode::kWork, {});
  parameters_.work = {.function = function, .argument = argument};
}

}  // namespace tenon
