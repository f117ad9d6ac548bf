#include "tenon/backends/io_uring/prepare.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>

#include "absl/log/log.h"

namespace tenon::io_uring {
namespace {

// What one system call transfers at most on Linux.
constexpr size_t kMaxTransfer = 0x7ffff000;

constexpr int kNoWait = MSG_DONTWAIT | MSG_WAITALL;

unsigned LengthOf(size_t size) { return static_cast<unsigned>(std::min(size, kMaxTransfer)); }

bool IsSocket(DescriptorKind kind) {
  return kind == DescriptorKind::kTcpSocket || kind == DescriptorKind::kOtherSocket;
}

void PrepareAccept(const Operation& operation, io_uring_sqe* entry) {
  const auto& address = operation.parameters().address;
  constexpr int kFlags = SOCK_CLOEXEC | SOCK_NONBLOCK;
  if (operation.multishot()) {
    io_uring_prep_multishot_accept(entry, operation.fd(), nullptr, nullptr, kFlags);
  } else {
    io_uring_prep_accept(entry, operation.fd(), address.address, address.length_out, kFlags);
  }
}

void PrepareRecv(const Operation& operation, io_uring_sqe* entry) {
  const auto& buffer = operation.parameters().buffer;
  const int flags = buffer.flags & ~kNoWait;
  if (!operation.pooled_buffer()) {
    io_uring_prep_recv(entry, operation.fd(), buffer.data, LengthOf(buffer.size), flags);
    return;
  }
  io_uring_prep_recv(entry, operation.fd(), nullptr, 0, flags);
  io_uring_sqe_set_flags(entry, IOSQE_BUFFER_SELECT);
  entry->buf_group = kBufferGroup;
}

void PrepareSend(const Operation& operation, bool zero_copy, io_uring_sqe* entry) {
  const auto& buffer = operation.parameters().buffer;
  const int flags = (buffer.flags & ~kNoWait) | MSG_NOSIGNAL;
  if (zero_copy) {
    io_uring_prep_send_zc(entry, operation.fd(), buffer.data, LengthOf(buffer.size), flags, 0);
  } else {
    io_uring_prep_send(entry, operation.fd(), buffer.data, LengthOf(buffer.size), flags);
  }
}

void PrepareReadOrWrite(const Operation& operation, const Attempt& attempt, io_uring_sqe* entry) {
  const auto& buffer = operation.parameters().buffer;
  const unsigned length = LengthOf(buffer.size);
  // All bits set is the descriptor's own position, as is kCurrentOffset.
  const uint64_t offset = static_cast<uint64_t>(buffer.offset);
  const bool reads = operation.opcode() == Opcode::kRead;
  if (IsSocket(attempt.kind)) {
    if (reads) {
      io_uring_prep_recv(entry, operation.fd(), buffer.data, length, 0);
    } else {
      io_uring_prep_send(entry, operation.fd(), buffer.data, length, MSG_NOSIGNAL);
    }
  } else if (reads) {
    io_uring_prep_read(entry, operation.fd(), buffer.data, length, offset);
  } else {
    io_uring_prep_write(entry, operation.fd(), buffer.data, length, offset);
    if (attempt.no_signal && attempt.kind == DescriptorKind::kPipe) entry->rw_flags = kNoSignalFlag;
  }
}

void PrepareOnPath(const Operation& operation, io_uring_sqe* entry) {
  const auto& path = operation.parameters().path;
  const int directory = operation.fd();
  switch (operation.opcode()) {
    case Opcode::kOpenAt:
      return io_uring_prep_openat(entry, directory, path.path, path.flags | O_CLOEXEC, path.mode);
    case Opcode::kStatx:
      return io_uring_prep_statx(entry, directory, path.path, path.flags, path.mode,
                                 path.statx_result);
    case Opcode::kRename:
      return io_uring_prep_renameat(entry, directory, path.path, operation.second_fd(),
                                    path.to_path, static_cast<unsigned>(path.flags));
    case Opcode::kUnlink:
      return io_uring_prep_unlinkat(entry, directory, path.path, path.flags);
    default:
      return io_uring_prep_mkdirat(entry, directory, path.path, path.mode);
  }
}

void PrepareSplice(const Operation& operation, io_uring_sqe* entry) {
  const auto& splice = operation.parameters().splice;
  // A thread of the kernel does it, which must not be kept by a pipe that nobody fills: it says
  // EAGAIN instead, and the ring waits.
  io_uring_prep_splice(entry, operation.fd(), splice.from_offset, operation.second_fd(),
                       splice.to_offset, LengthOf(splice.size), splice.flags | SPLICE_F_NONBLOCK);
}

}  // namespace

void Prepare(Operation& operation, const Attempt& attempt, io_uring_sqe& entry) {
  const auto& parameters = operation.parameters();
  const int fd = operation.fd();
  switch (operation.opcode()) {
    case Opcode::kAccept:
      PrepareAccept(operation, &entry);
      break;
    case Opcode::kConnect:
      io_uring_prep_connect(&entry, fd, parameters.address.address, parameters.address.length);
      break;
    case Opcode::kRecv:
      PrepareRecv(operation, &entry);
      break;
    case Opcode::kSend:
      PrepareSend(operation, attempt.zero_copy, &entry);
      break;
    case Opcode::kRecvMsg:
      io_uring_prep_recvmsg(
          &entry, fd, parameters.message.message,
          static_cast<unsigned>((parameters.message.flags & ~kNoWait) | MSG_CMSG_CLOEXEC));
      break;
    case Opcode::kSendMsg:
      io_uring_prep_sendmsg(
          &entry, fd, parameters.message.message,
          static_cast<unsigned>((parameters.message.flags & ~kNoWait) | MSG_NOSIGNAL));
      break;
    case Opcode::kRead:
    case Opcode::kWrite:
      PrepareReadOrWrite(operation, attempt, &entry);
      break;
    case Opcode::kFsync:
      io_uring_prep_fsync(&entry, fd, parameters.data_only ? IORING_FSYNC_DATASYNC : 0);
      break;
    case Opcode::kOpenAt:
    case Opcode::kStatx:
    case Opcode::kRename:
    case Opcode::kUnlink:
    case Opcode::kMkdir:
      PrepareOnPath(operation, &entry);
      break;
    case Opcode::kSplice:
      PrepareSplice(operation, &entry);
      break;
    default:
      LOG(FATAL) << OpcodeName(operation.opcode()) << " is not prepared for a ring";
  }
  if (attempt.blocking) entry.flags |= IOSQE_ASYNC;
}

uint32_t AwaitedEvents(const Flight& flight) {
  const Operation& operation = flight.operation;
  constexpr uint32_t kAlways = POLLERR | POLLHUP;
  if (operation.opcode() == Opcode::kPoll) return operation.parameters().poll_events | kAlways;
  const bool writes = flight.second || DirectionOf(operation.opcode()) == Direction::kWrite;
  return (writes ? POLLOUT : POLLIN) | kAlways;
}

void PrepareWait(const Flight& flight, io_uring_sqe& entry) {
  const Operation& operation = flight.operation;
  const int fd = flight.second ? operation.second_fd() : operation.fd();
  if (flight.at_edges) {
    io_uring_prep_poll_multishot(&entry, fd, AwaitedEvents(flight));
  } else {
    io_uring_prep_poll_add(&entry, fd, AwaitedEvents(flight));
  }
}

}  // namespace tenon::io_uring
