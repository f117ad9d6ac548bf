#include "tenon/core/loop/perform.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "absl/log/check.h"
#include "absl/log/log.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/sigpipe_guard.h"

namespace tenon {
namespace {

// What one read(2) or write(2) transfers at most on Linux; also keeps results within 31 bits.
constexpr size_t kMaxTransfer = 0x7ffff000;

// Calls until no signal interrupts; a negated errno on failure, kWouldBlock where it would block.
template <typename Call>
int32_t Retry(Call call) {
  while (true) {
    const ssize_t result = call();
    if (result >= 0) return static_cast<int32_t>(result);
    if (errno == EINTR) continue;
    return errno == EAGAIN || errno == EWOULDBLOCK ? kWouldBlock : -errno;
  }
}

bool IsSocket(DescriptorKind kind) {
  return kind == DescriptorKind::kTcpSocket || kind == DescriptorKind::kOtherSocket;
}

int32_t PerformAccept(Operation& operation) {
  const auto& parameters = operation.parameters().address;
  return Retry([&] {
    return ::accept4(operation.fd(), parameters.address, parameters.length_out,
                     SOCK_CLOEXEC | SOCK_NONBLOCK);
  });
}

int32_t PerformConnect(Operation& operation) {
  const auto& parameters = operation.parameters().address;
  if (::connect(operation.fd(), parameters.address, parameters.length) == 0) return 0;
  // An interrupted connect goes on in the background, like one in progress. EAGAIN is a full
  // backlog of a local socket: a result, since nothing tells when it empties.
  return errno == EINPROGRESS || errno == EINTR ? kWouldBlock : -errno;
}

int32_t PerformRead(Operation& operation, DescriptorKind kind) {
  const auto& buffer = operation.parameters().buffer;
  const size_t size = std::min(buffer.size, kMaxTransfer);
  if (IsSocket(kind)) {
    return Retry([&] { return ::recv(operation.fd(), buffer.data, size, MSG_DONTWAIT); });
  }
  return Retry([&] { return ::read(operation.fd(), buffer.data, size); });
}

int32_t PerformWrite(Operation& operation, DescriptorKind kind) {
  const auto& buffer = operation.parameters().buffer;
  const size_t size = std::min(buffer.size, kMaxTransfer);
  if (IsSocket(kind)) {
    return Retry(
        [&] { return ::send(operation.fd(), buffer.data, size, MSG_DONTWAIT | MSG_NOSIGNAL); });
  }
  SigpipeGuard guard;
  return guard.Absorb(Retry([&] { return ::write(operation.fd(), buffer.data, size); }));
}

int32_t PerformSplice(Operation& operation, unsigned int extra_flags) {
  const auto& splice = operation.parameters().splice;
  off64_t from_offset = splice.from_offset;
  off64_t to_offset = splice.to_offset;
  SigpipeGuard guard;
  return guard.Absorb(Retry([&] {
    return ::splice(operation.fd(), splice.from_offset == kCurrentOffset ? nullptr : &from_offset,
                    operation.second_fd(),
                    splice.to_offset == kCurrentOffset ? nullptr : &to_offset,
                    std::min(splice.size, kMaxTransfer), splice.flags | extra_flags);
  }));
}

int32_t PerformFile(Operation& operation) {
  const auto& buffer = operation.parameters().buffer;
  const size_t size = std::min(buffer.size, kMaxTransfer);
  const int fd = operation.fd();
  const bool current = buffer.offset == kCurrentOffset;
  if (operation.opcode() == Opcode::kRead) {
    return Retry([&] {
      return current ? ::read(fd, buffer.data, size)
                     : ::pread(fd, buffer.data, size, buffer.offset);
    });
  }
  return Retry([&] {
    return current ? ::write(fd, buffer.data, size)
                   : ::pwrite(fd, buffer.data, size, buffer.offset);
  });
}

int32_t PerformPath(Operation& operation) {
  const auto& path = operation.parameters().path;
  const int directory = operation.fd();
  switch (operation.opcode()) {
    case Opcode::kOpenAt:
      return Retry(
          [&] { return ::openat(directory, path.path, path.flags | O_CLOEXEC, path.mode); });
    case Opcode::kStatx:
      return Retry(
          [&] { return ::statx(directory, path.path, path.flags, path.mode, path.statx_result); });
    case Opcode::kRename:
      return Retry([&] {
        return ::renameat2(directory, path.path, operation.second_fd(), path.to_path,
                           static_cast<unsigned int>(path.flags));
      });
    case Opcode::kUnlink:
      return Retry([&] { return ::unlinkat(directory, path.path, path.flags); });
    default:
      DCHECK(operation.opcode() == Opcode::kMkdir);
      return Retry([&] { return ::mkdirat(directory, path.path, path.mode); });
  }
}

}  // namespace

absl::Status SetNonBlocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return OsError(errno, "fcntl(F_GETFL)");
  if ((flags & O_NONBLOCK) != 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0) {
    return absl::OkStatus();
  }
  return OsError(errno, "fcntl(F_SETFL, O_NONBLOCK)");
}

int32_t PerformNonBlocking(Operation& operation, DescriptorKind kind) {
  const int fd = operation.fd();
  const auto& buffer = operation.parameters().buffer;
  const auto& message = operation.parameters().message;
  switch (operation.opcode()) {
    case Opcode::kAccept:
      return PerformAccept(operation);
    case Opcode::kConnect:
      return PerformConnect(operation);
    case Opcode::kRecv:
      return Retry([&] {
        return ::recv(fd, buffer.data, std::min(buffer.size, kMaxTransfer),
                      buffer.flags | MSG_DONTWAIT);
      });
    case Opcode::kSend:
      return Retry([&] {
        return ::send(fd, buffer.data, std::min(buffer.size, kMaxTransfer),
                      buffer.flags | MSG_DONTWAIT | MSG_NOSIGNAL);
      });
    case Opcode::kRecvMsg:
      return Retry([&] {
        return ::recvmsg(fd, message.message, message.flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
      });
    case Opcode::kSendMsg:
      return Retry([&] {
        return ::sendmsg(fd, message.message, message.flags | MSG_DONTWAIT | MSG_NOSIGNAL);
      });
    case Opcode::kShutdown:
      return Retry([&] { return ::shutdown(fd, operation.parameters().shutdown_how); });
    case Opcode::kRead:
      return PerformRead(operation, kind);
    case Opcode::kWrite:
      return PerformWrite(operation, kind);
    case Opcode::kSplice:
      return PerformSplice(operation, SPLICE_F_NONBLOCK);
    default:
      LOG(FATAL) << OpcodeName(operation.opcode()) << " is not performed on a ready descriptor";
  }
}

int32_t FinishConnect(Operation& operation) {
  const auto& parameters = operation.parameters().address;
  // Asking again reports the outcome of the attempt under way, and forgets its error (connect(2)).
  if (::connect(operation.fd(), parameters.address, parameters.length) == 0) return 0;
  if (errno == EISCONN) return 0;
  return errno == EALREADY || errno == EINPROGRESS || errno == EINTR ? kWouldBlock : -errno;
}

int32_t PerformRecvPooled(Operation& operation, BufferPool& pool, uint16_t* buffer_id) {
  const int32_t taken = pool.Take();
  if (taken == BufferPool::kNone) return PerformRecvWithoutBuffer(operation);
  const uint16_t id = static_cast<uint16_t>(taken);
  const absl::Span<char> bytes = pool.Bytes(id);
  const int32_t result = Retry([&] {
    return ::recv(operation.fd(), bytes.data(), bytes.size(),
                  operation.parameters().buffer.flags | MSG_DONTWAIT);
  });
  if (result > 0) {
    *buffer_id = id;
  } else {
    pool.Return(id);
  }
  return result;
}

int32_t PerformRecvWithoutBuffer(const Operation& operation) {
  // An end or an error needs no buffer, and must not hide behind their lack.
  char byte;
  const int32_t peeked =
      Retry([&] { return ::recv(operation.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT); });
  return peeked > 0 ? -ENOBUFS : peeked;
}

bool ExhaustedBy(const Operation& operation, int32_t result, size_t size, DescriptorKind kind) {
  if (result <= 0 || static_cast<size_t>(result) >= std::min(size, kMaxTransfer)) return false;
  const bool tcp = kind == DescriptorKind::kTcpSocket;
  switch (operation.opcode()) {
    case Opcode::kRecv:
      // A peek leaves the data where it is.
      return tcp && (operation.parameters().buffer.flags & (MSG_PEEK | MSG_OOB)) == 0;
    case Opcode::kRead:
    case Opcode::kSend:
      return tcp;
    case Opcode::kWrite:
      return tcp || kind == DescriptorKind::kPipe;
    default:
      return false;
  }
}

int32_t PollNow(int fd, uint32_t events) {
  pollfd entry = {.fd = fd, .events = static_cast<short>(events), .revents = 0};
  const int32_t count = Retry([&] { return ::poll(&entry, 1, 0); });
  if (count < 0) return count;
  if ((entry.revents & POLLNVAL) != 0) return -EBADF;
  return static_cast<uint16_t>(entry.revents);
}

int32_t PerformBlocking(Operation& operation) {
  int32_t result = 0;
  switch (operation.opcode()) {
    case Opcode::kRead:
    case Opcode::kWrite:
      result = PerformFile(operation);
      break;
    case Opcode::kFsync:
      result = Retry([&] {
        return operation.parameters().data_only ? ::fdatasync(operation.fd())
                                                : ::fsync(operation.fd());
      });
      break;
    case Opcode::kSplice:
      result = PerformSplice(operation, 0);
      break;
    case Opcode::kWork:
      return operation.parameters().work.function(operation.parameters().work.argument);
    default:
      result = PerformPath(operation);
      break;
  }
  return result == kWouldBlock ? -EAGAIN : result;
}

}  // namespace tenon
