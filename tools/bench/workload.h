// What is measured from within: a process that does a fixed piece of work, phase by phase.

#ifndef TENON_TOOLS_BENCH_WORKLOAD_H_
#define TENON_TOOLS_BENCH_WORKLOAD_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "tenon/tools/bench/child_process.h"
#include "tenon/tools/bench/figures.h"
#include "tenon/tools/bench/latency_histogram.h"

namespace tenon::bench {

// Takes the figures of one phase after another.
//
// Threads: the one that Start is called on; CPU time is that of the whole process.
class Stopwatch {
 public:
  // Figures go to `phases`, in order.
  Stopwatch(const SystemCallCounter& system_calls, absl::Span<Figures> phases)
      : system_calls_(system_calls), phases_(phases) {}

  // A phase begins.
  void Start();

  // It ends, with as many operations done since. REQUIRES: there is room for a further phase.
  void Stop(int64_t operations, const LatencyHistogram* latency = nullptr);

  size_t phases_done() const { return done_; }

 private:
  static Figures Read();

  const SystemCallCounter& system_calls_;
  const absl::Span<Figures> phases_;
  size_t done_ = 0;
  Figures start_;
};

// Runs in a process of its own. An error ends the benchmark.
using Workload = std::function<absl::Status(Stopwatch& stopwatch)>;

inline constexpr size_t kMaxPhases = 8;

// Runs a workload of `phases` phases (up to kMaxPhases) to its end; their figures. Errors of
// ChildProcess::Start and Wait, and of the workload.
absl::StatusOr<std::vector<Figures>> RunWorkload(const Workload& workload, size_t phases,
                                                 const ChildOptions& options, int cancel_fd);

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_WORKLOAD_H_
