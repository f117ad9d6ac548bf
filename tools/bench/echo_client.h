// The client of the server benchmarks: closed-loop, one outstanding message a connection.

#ifndef TENON_TOOLS_BENCH_ECHO_CLIENT_H_
#define TENON_TOOLS_BENCH_ECHO_CLIENT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/tools/bench/latency_histogram.h"

namespace tenon::bench {

inline constexpr size_t kMessageSize = 64;

// A blocking connection to `port` of 127.0.0.1, with TCP_NODELAY, that is reset when it is closed:
// lingering ones would use up the ports. Gives up after ten seconds.
absl::StatusOr<UniqueFd> ConnectTo(uint16_t port);

// What becomes of a connection that has had its echo.
enum class AfterEcho {
  kSendNext,
  // It is reset, and another opened in its place; a latency is then from before that to its echo.
  kReconnect,
};

// What one stretch of time has brought.
struct EchoLoad {
  int64_t requests = 0;
  int64_t wall_ns = 0;
  // Of each request. The client's, valid until its next Run.
  const LatencyHistogram* latency = nullptr;
};

// Sends a message on every connection, waits for its echo, compares the bytes, and goes on.
//
// Ownership: owns its sockets; the descriptor to cancel by is the caller's and outlives it.
// Threads: one.
// Shutdown: the destructor resets the connections, so that none lingers in TIME_WAIT.
class EchoClient {
 public:
  // Opens `connections` to `port` of 127.0.0.1. The client gives up with Cancelled as soon as
  // `cancel_fd` can be read; -1 is none.
  static absl::StatusOr<std::unique_ptr<EchoClient>> Connect(uint16_t port, int connections,
                                                             AfterEcho after_echo, int cancel_fd);

  // Keeps messages going for `duration_ns`, and until each of the first connections has had an
  // echo. They stay underway afterwards: the next call goes on with them. DataLoss if an echo is
  // not what was sent, Unavailable if the server ended a connection, DeadlineExceeded if there was
  // no echo at all for ten seconds, Cancelled.
  absl::StatusOr<EchoLoad> Run(int64_t duration_ns);

 private:
  struct Connection {
    UniqueFd socket;
    uint32_t index = 0;
    size_t received = 0;
    uint64_t echoes = 0;
    int64_t begun_ns = 0;
    std::array<char, kMessageSize> sent;
    // One more than a message: a server that sends too much is found out.
    std::array<char, kMessageSize + 1> echo;
  };

  EchoClient(uint16_t port, AfterEcho after_echo, UniqueFd epoll)
      : port_(port), after_echo_(after_echo), epoll_(std::move(epoll)) {}

  absl::Status Open(Connection& connection);
  absl::Status GoOn(Connection& connection);
  absl::Status Send(Connection& connection);
  absl::Status Receive(Connection& connection);
  absl::Status WaitOnce(int64_t now_ns, int64_t wake_ns);

  const uint16_t port_;
  const AfterEcho after_echo_;
  UniqueFd epoll_;
  LatencyHistogram latency_;
  std::vector<Connection> connections_;
  size_t answered_connections_ = 0;
  int64_t requests_ = 0;
  bool started_ = false;
};

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_ECHO_CLIENT_H_
