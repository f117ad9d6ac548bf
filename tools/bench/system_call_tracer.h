// Counting the system calls of a process from outside, by ptrace(2).

#ifndef TENON_TOOLS_BENCH_SYSTEM_CALL_TRACER_H_
#define TENON_TOOLS_BENCH_SYSTEM_CALL_TRACER_H_

#include <atomic>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"

namespace tenon::bench {

// How many system calls a process has begun, as its tracer counts them, in memory that tracer,
// process and parent share. Zero for ever where nobody counts.
class SystemCallCounter {
 public:
  // Each call is two stops of the traced thread, at its begin and at its end.
  void CountStop() { stops_.fetch_add(1, std::memory_order_relaxed); }
  int64_t Read() const { return stops_.load(std::memory_order_relaxed) / 2; }

 private:
  std::atomic<int64_t> stops_{0};
};

// Forks a process that runs `body`, which does not return, and counts each system call of it and of
// its threads into `counter` until it has ended. OK if it exited with 0; Aborted if with anything
// else or by a signal; the kernel's refusal, with nothing left, where it may not be traced.
//
// Threads: the calling process has one, and no other children.
absl::Status TraceSystemCalls(const std::function<void()>& body, SystemCallCounter& counter);

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_SYSTEM_CALL_TRACER_H_
