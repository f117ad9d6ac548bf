// TCP sockets for loops to adopt: addresses, listeners, unconnected sockets.

#ifndef TENON_RUNTIME_TCP_SOCKET_H_
#define TENON_RUNTIME_TCP_SOCKET_H_

#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::runtime {

// An IPv4 or IPv6 address with a port, as the system calls take it. A value.
class SocketAddress {
 public:
  // From a numeric address, "127.0.0.1" or "::1", and a port, where 0 is any free one.
  // InvalidArgument for anything else: names are not looked up here, as that blocks.
  static absl::StatusOr<SocketAddress> Parse(absl::string_view host, uint16_t port);
  // The address that a socket is bound to.
  static absl::StatusOr<SocketAddress> OfSocket(int fd);

  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t size() const { return size_; }
  int family() const { return storage_.ss_family; }
  uint16_t port() const;
  // "127.0.0.1:80", "[::1]:80".
  std::string ToString() const;

 private:
  sockaddr_storage storage_ = {};
  socklen_t size_ = 0;
};

struct ListenOptions {
  // Connections that the kernel holds until they are accepted; it caps this at net.core.somaxconn.
  int backlog = 1024;
  // Lets several sockets listen at one address, each with a share of the connections
  // (SO_REUSEPORT, Linux 3.9).
  bool reuse_port = false;
};

// A close-on-exec socket that listens at an address, with SO_REUSEADDR so that a restart need not
// wait for old connections. Errors name the address, the likely cause and the remedy: a port in
// use, an address that is not of this machine, a privileged port, a limit of descriptors.
absl::StatusOr<UniqueFd> ListenTcp(const SocketAddress& address, const ListenOptions& options = {});

// A close-on-exec, non-blocking socket with TCP_NODELAY, to be connected to such an address.
absl::StatusOr<UniqueFd> OpenTcp(const SocketAddress& peer);

}  // namespace tenon::runtime

#endif  // TENON_RUNTIME_TCP_SOCKET_H_
