// A server in a process of its own.

#ifndef TENON_TOOLS_BENCH_SERVER_PROCESS_H_
#define TENON_TOOLS_BENCH_SERVER_PROCESS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/tools/bench/child_process.h"

namespace tenon::bench {

// Serves `listen_fd`, a non-blocking listening TCP socket, on the calling thread, and returns only
// on an error of its own: it is ended by a signal.
using Serve = std::function<absl::Status(int listen_fd)>;

// Ownership and threads as of ChildProcess.
class ServerProcess {
 public:
  // Opens a listening socket at a free port of 127.0.0.1 and forks; the child runs `serve`. The
  // port accepts connections from the moment this returns, whether the child runs yet or not.
  static absl::StatusOr<std::unique_ptr<ServerProcess>> Start(const Serve& serve,
                                                              const ChildOptions& options);

  uint16_t port() const { return port_; }
  ChildProcess& process() { return *process_; }

 private:
  ServerProcess(uint16_t port, std::unique_ptr<ChildProcess> process)
      : port_(port), process_(std::move(process)) {}

  const uint16_t port_;
  const std::unique_ptr<ChildProcess> process_;
};

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_SERVER_PROCESS_H_
