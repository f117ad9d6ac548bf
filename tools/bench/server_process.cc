#include "tenon/tools/bench/server_process.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::bench {
namespace {

// As many connections as a benchmark opens can wait to be accepted, where net.core.somaxconn allows
// it.
constexpr int kBacklog = 4096;

absl::StatusOr<UniqueFd> Listen(uint16_t& port) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.ok()) return absl::ErrnoToStatus(errno, "socket");
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) {
    return absl::ErrnoToStatus(errno, "bind to a free port of 127.0.0.1");
  }
  if (listen(socket.get(), kBacklog) != 0) return absl::ErrnoToStatus(errno, "listen");
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    return absl::ErrnoToStatus(errno, "getsockname");
  }
  port = ntohs(address.sin_port);
  return socket;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServerProcess>> ServerProcess::Start(const Serve& serve,
                                                                    const ChildOptions& options) {
  uint16_t port = 0;
  absl::StatusOr<UniqueFd> listener = Listen(port);
  if (!listener.ok()) return listener.status();
  const int listen_fd = listener->get();
  absl::StatusOr<std::unique_ptr<ChildProcess>> process = ChildProcess::Start(
      options, [&serve, listen_fd](const SystemCallCounter&) { return serve(listen_fd); });
  if (!process.ok()) return process.status();
  return std::unique_ptr<ServerProcess>(new ServerProcess(port, *std::move(process)));
}

}  // namespace tenon::bench
