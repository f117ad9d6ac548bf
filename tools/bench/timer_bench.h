// `bench timers`: what arming, re-arming, cancelling and firing a timer costs among many.

#ifndef TENON_TOOLS_BENCH_TIMER_BENCH_H_
#define TENON_TOOLS_BENCH_TIMER_BENCH_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "tenon/tools/bench/command.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/rounds.h"
#include "tenon/tools/bench/timer_subjects.h"

namespace tenon::bench {

struct TimerPlan {
  // Never empty.
  std::vector<TimerSubject> subjects;
  size_t timers = 0;
  // Fewer where system calls are counted, for each costs the tracer's time.
  size_t counted_timers = 0;
  RunPlan run;
};

// Cases: the four phases, and `total`, all of them together. Latency is how late timers fire.
//
// REQUIRES, errors: as RunEcho.
absl::StatusOr<Report> RunTimers(const TimerPlan& plan);

Command TimersCommand();

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_TIMER_BENCH_H_
