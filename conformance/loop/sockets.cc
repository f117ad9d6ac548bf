#include "tenon/conformance/loop/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

// Makes a descriptor non-blocking for a scope, so that no call of ours can hang.
class NonBlockingScope {
 public:
  explicit NonBlockingScope(int fd) : fd_(fd), saved_(::fcntl(fd, F_GETFL)) {
    ::fcntl(fd_, F_SETFL, saved_ | O_NONBLOCK);
  }
  ~NonBlockingScope() { ::fcntl(fd_, F_SETFL, saved_); }
  NonBlockingScope(const NonBlockingScope&) = delete;
  NonBlockingScope& operator=(const NonBlockingScope&) = delete;

 private:
  const int fd_;
  const int saved_;
};

UniqueFd Checked(int fd, const char* what) {
  EXPECT_GE(fd, 0) << what << ": " << std::strerror(errno);
  return UniqueFd(fd);
}

void TurnNagleOff(int fd) {
  const int on = 1;
  EXPECT_EQ(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0)
      << "setsockopt(TCP_NODELAY): " << std::strerror(errno);
}

// write(2), without SIGPIPE on sockets.
ssize_t WriteSome(int fd, const char* data, size_t size) {
  const ssize_t sent = ::send(fd, data, size, MSG_NOSIGNAL);
  if (sent >= 0 || errno != ENOTSOCK) return sent;
  return ::write(fd, data, size);
}

}  // namespace

DescriptorPair MakeSocketPair(int type) {
  int fds[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), 0)
      << "socketpair: " << std::strerror(errno);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

DescriptorPair MakeTcpPair() {
  const Listener listener;
  DescriptorPair pair;
  pair.theirs = listener.Connect();
  pair.ours = Checked(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC), "accept4");
  TurnNagleOff(pair.theirs.get());
  TurnNagleOff(pair.ours.get());
  return pair;
}

DescriptorPair MakePipeToRead() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0) << "pipe2: " << std::strerror(errno);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

DescriptorPair MakePipeToWrite() {
  DescriptorPair pair = MakePipeToRead();
  return {std::move(pair.theirs), std::move(pair.ours)};
}

Listener::Listener(int backlog) : fd_(MakeTcpSocket()) {
  address_.sin_family = AF_INET;
  address_.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address_);
  EXPECT_EQ(::bind(fd_.get(), address(), length), 0) << "bind: " << std::strerror(errno);
  EXPECT_EQ(::listen(fd_.get(), backlog), 0) << "listen: " << std::strerror(errno);
  EXPECT_EQ(::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address_), &length), 0)
      << "getsockname: " << std::strerror(errno);
}

UniqueFd Listener::Connect() const {
  UniqueFd client = MakeTcpSocket();
  EXPECT_EQ(::connect(client.get(), address(), address_length()), 0)
      << "connect: " << std::strerror(errno);
  return client;
}

UniqueFd MakeTcpSocket() {
  return Checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
}

size_t FillUntilFull(int fd) {
  const NonBlockingScope non_blocking(fd);
  static constexpr std::array<char, 4096> kBytes = {};
  size_t total = 0;
  // Single bytes at last: a pipe refuses a page when less than one is free.
  for (const size_t size : {kBytes.size(), size_t{1}}) {
    while (true) {
      const ssize_t written = WriteSome(fd, kBytes.data(), size);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        EXPECT_EQ(errno, EAGAIN) << "write: " << std::strerror(errno);
        break;
      }
      total += written;
    }
  }
  return total;
}

std::string ReadAvailable(int fd) {
  const NonBlockingScope non_blocking(fd);
  std::string bytes;
  char buffer[4096];
  while (true) {
    const ssize_t count = ::read(fd, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return bytes;
    bytes.append(buffer, count);
  }
}

std::string ReadExactly(int fd, size_t size) {
  std::string bytes;
  while (bytes.size() < size) {
    if (WaitFor(fd, POLLIN) == 0) {
      ADD_FAILURE() << "only " << bytes.size() << " of " << size << " bytes arrived";
      return bytes;
    }
    char buffer[4096];
    const ssize_t count = ::read(fd, buffer, std::min(sizeof(buffer), size - bytes.size()));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      ADD_FAILURE() << "the stream ended after " << bytes.size() << " of " << size << " bytes"
                    << (count < 0 ? absl::StrCat(": ", std::strerror(errno)) : "");
      return bytes;
    }
    bytes.append(buffer, count);
  }
  return bytes;
}

void WriteAll(int fd, std::string_view bytes) {
  const NonBlockingScope non_blocking(fd);
  while (!bytes.empty()) {
    const ssize_t count = WriteSome(fd, bytes.data(), bytes.size());
    if (count > 0) {
      bytes.remove_prefix(count);
    } else if (errno == EAGAIN && WaitFor(fd, POLLOUT) != 0) {
      continue;
    } else if (errno != EINTR) {
      ADD_FAILURE() << "write of the other side: " << std::strerror(errno);
      return;
    }
  }
}

short WaitFor(int fd, short events, int milliseconds) {
  pollfd entry = {.fd = fd, .events = events, .revents = 0};
  while (::poll(&entry, 1, milliseconds) < 0) {
    if (errno != EINTR) {
      ADD_FAILURE() << "poll: " << std::strerror(errno);
      return 0;
    }
  }
  return entry.revents;
}

bool IsOpen(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

std::string IdentityOf(int fd) {
  char target[256];
  const std::string link = absl::StrCat("/proc/self/fd/", fd);
  const ssize_t length = ::readlink(link.c_str(), target, sizeof(target));
  return length < 0 ? std::string() : std::string(target, length);
}

void Reset(UniqueFd socket) {
  const linger at_once = {.l_onoff = 1, .l_linger = 0};
  EXPECT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0)
      << "setsockopt(SO_LINGER): " << std::strerror(errno);
}

}  // namespace tenon::conformance
