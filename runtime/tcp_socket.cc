#include "tenon/runtime/tcp_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "tenon/core/loop/os_error.h"

namespace tenon::runtime {
namespace {

absl::string_view BindHint(int errnum) {
  switch (errnum) {
    case EADDRINUSE:
      return "another socket listens there; stop its process or choose another port (0 is any "
             "free one)";
    case EADDRNOTAVAIL:
      return "it is not an address of this machine; use one that is, or 0.0.0.0 for all";
    case EACCES:
      return "ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE; choose a "
             "higher one";
    default:
      return {};
  }
}

absl::Status EnableOption(int fd, int level, int option, absl::string_view name) {
  const int on = 1;
  if (::setsockopt(fd, level, option, &on, sizeof(on)) == 0) return absl::OkStatus();
  return OsError(errno, absl::StrCat("setsockopt(", name, ")"));
}

}  // namespace

absl::StatusOr<SocketAddress> SocketAddress::Parse(absl::string_view host, uint16_t port) {
  const std::string text(host);
  SocketAddress address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage_);
  if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.size_ = sizeof(sockaddr_in);
    return address;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage_);
  if (::inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.size_ = sizeof(sockaddr_in6);
    return address;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", host,
      "\" is not a numeric address, such as 127.0.0.1 or ::1; names are not looked up"));
}

absl::StatusOr<SocketAddress> SocketAddress::OfSocket(int fd) {
  SocketAddress address;
  address.size_ = sizeof(address.storage_);
  auto* storage = reinterpret_cast<sockaddr*>(&address.storage_);
  if (::getsockname(fd, storage, &address.size_) != 0) return OsError(errno, "getsockname");
  return address;
}

uint16_t SocketAddress::port() const {
  // The port stands at the same place in both families.
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
}

std::string SocketAddress::ToString() const {
  char text[INET6_ADDRSTRLEN] = "?";
  if (family() == AF_INET6) {
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr, text,
                sizeof(text));
    return absl::StrCat("[", text, "]:", port());
  }
  ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr, text,
              sizeof(text));
  return absl::StrCat(text, ":", port());
}

absl::StatusOr<UniqueFd> ListenTcp(const SocketAddress& address, const ListenOptions& options) {
  UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.ok()) return OsError(errno, "socket");
  absl::Status status = EnableOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR");
  if (options.reuse_port) {
    status.Update(EnableOption(fd.get(), SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT"));
  }
  if (!status.ok()) return status;
  const std::string name = address.ToString();
  if (::bind(fd.get(), address.data(), address.size()) != 0) {
    return OsError(errno, absl::StrCat("bind to ", name), BindHint(errno));
  }
  if (::listen(fd.get(), options.backlog) != 0) {
    return OsError(errno, absl::StrCat("listen at ", name), BindHint(errno));
  }
  return fd;
}

absl::StatusOr<UniqueFd> OpenTcp(const SocketAddress& peer) {
  UniqueFd fd(::socket(peer.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.ok()) return OsError(errno, "socket");
  absl::Status status = EnableOption(fd.get(), IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY");
  if (!status.ok()) return status;
  return fd;
}

}  // namespace tenon::runtime
