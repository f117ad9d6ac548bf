// An echo server on epoll as an expert writes it by hand: edge-triggered, registered once, two
// system calls a message.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/tools/bench/echo_subjects.h"

namespace tenon::bench {
namespace {

constexpr int kEventsPerWait = 512;
constexpr uint32_t kReadEvents = EPOLLIN | EPOLLRDHUP | EPOLLET;

struct Connection {
  UniqueFd socket;
  // Bytes of `buffer` that are still to be written: [written, filled).
  size_t filled = 0;
  size_t written = 0;
  bool waits_for_write = false;
  std::array<char, kEchoBufferSize> buffer;
};

enum class Progress { kDone, kBlocked, kClosed };

class RawEpollServer {
 public:
  explicit RawEpollServer(int listen_fd) : listen_fd_(listen_fd) {}

  absl::Status Run() {
    epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_.ok()) return absl::ErrnoToStatus(errno, "epoll_create1");
    epoll_event listening = {};
    listening.events = EPOLLIN;
    listening.data.ptr = nullptr;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listen_fd_, &listening) != 0) {
      return absl::ErrnoToStatus(errno, "epoll_ctl of the listening socket");
    }
    std::array<epoll_event, kEventsPerWait> events;
    while (true) {
      const int count = epoll_wait(epoll_.get(), events.data(), kEventsPerWait, -1);
      if (count < 0 && errno != EINTR) return absl::ErrnoToStatus(errno, "epoll_wait");
      for (int i = 0; i < count; ++i) {
        if (events[i].data.ptr != nullptr) {
          Serve(static_cast<Connection*>(events[i].data.ptr), events[i].events);
          continue;
        }
        absl::Status status = AcceptAll();
        if (!status.ok()) return status;
      }
    }
  }

 private:
  absl::Status AcceptAll() {
    while (true) {
      UniqueFd socket(accept4(listen_fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!socket.ok()) {
        if (errno == EAGAIN) return absl::OkStatus();
        if (errno == EINTR || errno == ECONNABORTED) continue;
        return absl::ErrnoToStatus(errno, "accept4");
      }
      const int on = 1;
      setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      // Not value-initialised: the buffer's pages stay untouched until they are needed.
      auto* connection = new Connection;
      connection->socket = std::move(socket);
      epoll_event event = {};
      event.events = kReadEvents;
      event.data.ptr = connection;
      if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection->socket.get(), &event) != 0) {
        const int error = errno;
        delete connection;
        return absl::ErrnoToStatus(error, "epoll_ctl of a connection");
      }
    }
  }

  // Reads and writes until neither is possible any more; the connection is gone afterwards if it
  // has ended. Deleting it here is safe: a descriptor occurs once in what one epoll_wait returns.
  void Serve(Connection* connection, uint32_t events) {
    // After one of these no further edge may come, so reading has to go on until end of file or an
    // error is seen.
    const bool ends = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    Progress progress = Flush(connection);
    while (progress == Progress::kDone) {
      const ssize_t count =
          recv(connection->socket.get(), connection->buffer.data(), kEchoBufferSize, 0);
      if (count > 0) {
        connection->filled = static_cast<size_t>(count);
        connection->written = 0;
        progress = Flush(connection);
        // A short read has emptied the socket; whatever comes next is a new edge, so there is no
        // need to ask.
        if (connection->filled < kEchoBufferSize && !ends) break;
      } else if (count < 0 && errno == EINTR) {
        continue;
      } else if (count < 0 && errno == EAGAIN) {
        break;
      } else {
        progress = Progress::kClosed;
      }
    }
    if (progress == Progress::kClosed || !WaitForWrite(connection, progress)) delete connection;
  }

  // Writes what is pending.
  Progress Flush(Connection* connection) {
    while (connection->written < connection->filled) {
      const ssize_t count =
          send(connection->socket.get(), connection->buffer.data() + connection->written,
               connection->filled - connection->written, MSG_NOSIGNAL);
      if (count >= 0) {
        connection->written += static_cast<size_t>(count);
      } else if (errno == EAGAIN) {
        return Progress::kBlocked;
      } else if (errno != EINTR) {
        return Progress::kClosed;
      }
    }
    return Progress::kDone;
  }

  // Asks for EPOLLOUT while, and only while, something is pending. False on an error.
  bool WaitForWrite(Connection* connection, Progress progress) {
    const bool wait = progress == Progress::kBlocked;
    if (wait == connection->waits_for_write) return true;
    connection->waits_for_write = wait;
    epoll_event event = {};
    event.events = kReadEvents | (wait ? uint32_t{EPOLLOUT} : 0u);
    event.data.ptr = connection;
    return epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, connection->socket.get(), &event) == 0;
  }

  const int listen_fd_;
  UniqueFd epoll_;
};

}  // namespace

absl::Status ServeRawEpoll(int listen_fd) { return RawEpollServer(listen_fd).Run(); }

}  // namespace tenon::bench
