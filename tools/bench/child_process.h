// What is measured runs in a process of its own, on a processor of its own; what it has cost.

#ifndef TENON_TOOLS_BENCH_CHILD_PROCESS_H_
#define TENON_TOOLS_BENCH_CHILD_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/tools/bench/shared_memory.h"
#include "tenon/tools/bench/system_call_tracer.h"

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

// Unavailable if there is no such process.
absl::StatusOr<CpuTime> ReadCpuTime(pid_t pid);

// The allowed processors of the calling process, in order. At least one.
absl::StatusOr<std::vector<int>> AllowedCpus();

// Restricts the calling thread to one processor.
absl::Status PinToCpu(int cpu);

// CLOCK_MONOTONIC.
int64_t MonotonicNs();

struct ChildOptions {
  // The processor to restrict it to; -1 leaves it those that the parent may use.
  int cpu = -1;
  // Whether its system calls, and those of its threads, are counted by ptrace(2). That makes each
  // of them several times as expensive: such a process is good for counting, and for nothing else.
  bool count_system_calls = false;
};

// Ownership: owns the process; the destructor kills it by its id and reaps it. It dies with its
//   parent, too, however that ends.
// Threads: one. The calling process must have no second thread, for the child goes on from a fork
//   without an exec.
class ChildProcess {
 public:
  using Body = std::function<absl::Status(const SystemCallCounter& system_calls)>;

  // Forks; the child runs `body`, with SIGPIPE and SIGINT ignored, and ends with it. Where system
  // calls cannot be counted, Wait says why.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(const ChildOptions& options,
                                                             const Body& body);
  ~ChildProcess();

  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Unavailable if the process has ended.
  absl::StatusOr<CpuTime> ReadCpuTime() const { return bench::ReadCpuTime(pid_); }

  // System calls begun so far; 0 unless they are counted.
  int64_t system_calls() const { return system_calls_->Read(); }

  // Waits until the process ends by itself: OK if its body did, else an error that says how it
  // ended. Cancelled as soon as `cancel_fd` can be read (-1 is none), DeadlineExceeded after
  // `timeout_ns`; it is still running then.
  absl::Status Wait(int cancel_fd, int64_t timeout_ns);

  // Kills and reaps the process; says how it had ended and what it gave as a reason if it had ended
  // by itself.
  std::string Stop();

 private:
  ChildProcess(pid_t pid, bool traced, UniqueFd reason,
               SharedMemory<SystemCallCounter> system_calls)
      : pid_(pid),
        traced_(traced),
        reason_(std::move(reason)),
        system_calls_(std::move(system_calls)) {}

  // Reaps the process, and with a tracer also awaits the end of what that traced.
  int Reap();

  pid_t pid_;
  // `pid_` is the tracer then.
  const bool traced_;
  // Read end of a pipe to which the child writes why it ends; hung up when it has.
  UniqueFd reason_;
  const SharedMemory<SystemCallCounter> system_calls_;
};

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_CHILD_PROCESS_H_
