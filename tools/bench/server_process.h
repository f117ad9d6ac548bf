// A server in a process of its own, on a processor of its own, and what it has cost.

#ifndef TENON_TOOLS_BENCH_SERVER_PROCESS_H_
#define TENON_TOOLS_BENCH_SERVER_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::bench {

// Processor time of a process, all its threads together, since its start.
struct CpuTime {
  // From its CPU clock, which is exact.
  int64_t total_ns = 0;
  // The two parts as /proc has them: the kernel samples them with its tick, so they are good for a
  // proportion only.
  int64_t user_ticks = 0;
  int64_t system_ticks = 0;
  // How long its first thread was ready to run while something else had the processor; 0 where the
  // kernel does not say.
  int64_t displaced_ns = 0;
};

// The allowed processors of the calling process, in order. At least one.
absl::StatusOr<std::vector<int>> AllowedCpus();

// Restricts the calling thread to one processor.
absl::Status PinToCpu(int cpu);

// Ownership: owns the process; the destructor kills it by its id and reaps it. It dies with its
// parent, too, however
//   that ends.
// Threads: one. The calling process must have no second thread, for the child goes on from a fork
// without an exec.
class ServerProcess {
 public:
  // Opens a listening socket at a free port of 127.0.0.1 and forks; the child runs `serve` on
  // `cpu`. The port accepts connections from the moment this returns, whether the child runs yet or
  // not.
  static absl::StatusOr<std::unique_ptr<ServerProcess>> Start(absl::Status (*serve)(int listen_fd),
                                                              int cpu);
  ~ServerProcess();

  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  uint16_t port() const { return port_; }

  // Unavailable if the process has ended.
  absl::StatusOr<CpuTime> ReadCpuTime() const;

  // Kills and reaps the process; says how it had ended and what it gave as a reason if it had ended
  // by itself.
  std::string Stop();

 private:
  ServerProcess(pid_t pid, uint16_t port, UniqueFd reason)
      : pid_(pid), port_(port), reason_(std::move(reason)) {}

  pid_t pid_;
  const uint16_t port_;
  // Read end of a pipe to which the child writes why it ends.
  UniqueFd reason_;
};

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_SERVER_PROCESS_H_
