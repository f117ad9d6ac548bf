// The echo client, on epoll.

#include "tenon/tools/bench/echo_client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "tenon/tools/bench/child_process.h"

namespace tenon::bench {
namespace {

constexpr int kEventsPerWait = 512;
constexpr int64_t kStallNs = 10'000'000'000;
constexpr time_t kConnectSeconds = 10;

absl::Status SetUp(int fd) {
  const int on = 1;
  // Closing resets: thousands of connections a minute would otherwise use up the ports.
  const linger reset = {.l_onoff = 1, .l_linger = 0};
  const timeval connect_limit = {.tv_sec = kConnectSeconds, .tv_usec = 0};
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
      setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) != 0 ||
      setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &connect_limit, sizeof(connect_limit)) != 0) {
    return absl::ErrnoToStatus(errno, "setsockopt of a client");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UniqueFd> ConnectTo(uint16_t port) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.ok()) {
    return absl::ErrnoToStatus(errno, "socket of a client (is `ulimit -n` large enough?)");
  }
  absl::Status status = SetUp(socket.get());
  if (!status.ok()) return status;
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return absl::ErrnoToStatus(errno, "connect to the server");
  }
  return socket;
}

absl::StatusOr<std::unique_ptr<EchoClient>> EchoClient::Connect(uint16_t port, int connections,
                                                                AfterEcho after_echo,
                                                                int cancel_fd) {
  UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.ok()) return absl::ErrnoToStatus(errno, "epoll_create1");
  if (cancel_fd >= 0) {
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;
    if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, cancel_fd, &event) != 0) {
      return absl::ErrnoToStatus(errno, "epoll_ctl of the descriptor to cancel by");
    }
  }
  std::unique_ptr<EchoClient> client(new EchoClient(port, after_echo, std::move(epoll)));
  // Their addresses go to the kernel: they must not move any more.
  client->connections_ = std::vector<Connection>(static_cast<size_t>(connections));
  for (size_t i = 0; i < client->connections_.size(); ++i) {
    client->connections_[i].index = static_cast<uint32_t>(i);
    absl::Status status = client->Open(client->connections_[i]);
    if (!status.ok()) return status;
  }
  return client;
}

absl::Status EchoClient::Open(Connection& connection) {
  absl::StatusOr<UniqueFd> socket = ConnectTo(port_);
  if (!socket.ok()) return socket.status();
  if (fcntl(socket->get(), F_SETFL, O_NONBLOCK) != 0) return absl::ErrnoToStatus(errno, "fcntl");
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.ptr = &connection;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket->get(), &event) != 0) {
    return absl::ErrnoToStatus(errno, "epoll_ctl of a client");
  }
  connection.socket = *std::move(socket);
  // No two connections send the same bytes, so that an echo on the wrong one is noticed.
  for (size_t i = 0; i < kMessageSize; ++i) {
    connection.sent[i] = static_cast<char>(connection.index * 31 + i * 7);
  }
  std::memcpy(connection.sent.data() + sizeof(uint64_t), &connection.index,
              sizeof(connection.index));
  return absl::OkStatus();
}

absl::Status EchoClient::Send(Connection& connection) {
  // Nor does one connection send the same bytes twice.
  std::memcpy(connection.sent.data(), &connection.echoes, sizeof(connection.echoes));
  connection.received = 0;
  const ssize_t count =
      send(connection.socket.get(), connection.sent.data(), kMessageSize, MSG_NOSIGNAL);
  if (count == static_cast<ssize_t>(kMessageSize)) return absl::OkStatus();
  if (count < 0 && errno != EAGAIN) {
    return absl::UnavailableError(absl::StrCat("send to the server: ", strerror(errno)));
  }
  // All that was ever sent on it has come back, so its buffers are empty.
  return absl::InternalError("a socket with empty buffers did not take one message");
}

absl::Status EchoClient::Receive(Connection& connection) {
  const ssize_t count = recv(connection.socket.get(), connection.echo.data() + connection.received,
                             connection.echo.size() - connection.received, 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return absl::OkStatus();
  if (count < 0) {
    return absl::UnavailableError(absl::StrCat("receive from the server: ", strerror(errno)));
  }
  if (count == 0) return absl::UnavailableError("the server closed a connection");
  connection.received += static_cast<size_t>(count);
  if (connection.received < kMessageSize) return absl::OkStatus();
  if (connection.received > kMessageSize ||
      std::memcmp(connection.echo.data(), connection.sent.data(), kMessageSize) != 0) {
    return absl::DataLossError("the server sent back something else than it was sent");
  }
  if (connection.echoes++ == 0) ++answered_connections_;
  ++requests_;
  return GoOn(connection);
}

absl::Status EchoClient::GoOn(Connection& connection) {
  const int64_t now_ns = MonotonicNs();
  latency_.Record(now_ns - connection.begun_ns);
  connection.begun_ns = now_ns;
  if (after_echo_ == AfterEcho::kReconnect) {
    connection.socket.Reset();
    absl::Status status = Open(connection);
    if (!status.ok()) return status;
  }
  return Send(connection);
}

absl::Status EchoClient::WaitOnce(int64_t now_ns, int64_t wake_ns) {
  std::array<epoll_event, kEventsPerWait> events;
  // Rounded up, so that the last wait before the end is not a busy loop.
  const int timeout_ms =
      static_cast<int>(std::clamp<int64_t>((wake_ns - now_ns + 999'999) / 1'000'000, 0, 10'000));
  const int count = epoll_wait(epoll_.get(), events.data(), kEventsPerWait, timeout_ms);
  if (count < 0 && errno != EINTR) return absl::ErrnoToStatus(errno, "epoll_wait of the client");
  for (int i = 0; i < count; ++i) {
    if (events[i].data.ptr == nullptr) return absl::CancelledError("interrupted");
    absl::Status status = Receive(*static_cast<Connection*>(events[i].data.ptr));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<EchoLoad> EchoClient::Run(int64_t duration_ns) {
  const int64_t start_ns = MonotonicNs();
  const int64_t requests_before = requests_;
  latency_.Clear();
  if (!started_) {
    started_ = true;
    for (Connection& connection : connections_) {
      connection.begun_ns = MonotonicNs();
      absl::Status status = Send(connection);
      if (!status.ok()) return status;
    }
  }
  const int64_t end_ns = start_ns + duration_ns;
  int64_t last_progress_ns = start_ns;
  int64_t now_ns = start_ns;
  while (now_ns < end_ns || answered_connections_ < connections_.size()) {
    const int64_t requests_so_far = requests_;
    const int64_t stall_ns = last_progress_ns + kStallNs;
    absl::Status status = WaitOnce(now_ns, now_ns < end_ns ? std::min(end_ns, stall_ns) : stall_ns);
    if (!status.ok()) return status;
    now_ns = MonotonicNs();
    if (requests_ != requests_so_far) {
      last_progress_ns = now_ns;
    } else if (now_ns >= stall_ns) {
      return absl::DeadlineExceededError("the server has not answered for ten seconds");
    }
  }
  return EchoLoad{
      .requests = requests_ - requests_before, .wall_ns = now_ns - start_ns, .latency = &latency_};
}

}  // namespace tenon::bench
