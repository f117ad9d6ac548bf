// `bench wake`: what it costs to hand a message to a loop on another thread.

#ifndef TENON_TOOLS_BENCH_WAKE_BENCH_H_
#define TENON_TOOLS_BENCH_WAKE_BENCH_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tenon/tools/bench/command.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/rounds.h"
#include "tenon/tools/bench/wake_subjects.h"

namespace tenon::bench {

// How much is done in one process.
struct WakeLoad {
  size_t bursts = 0;
  size_t burst_size = 0;
  size_t round_trips = 0;
};

struct WakePlan {
  // Never empty.
  std::vector<WakeSubject> subjects;
  // Of WakeCases; never empty.
  std::vector<std::string> cases;
  WakeLoad load;
  // Less where system calls are counted.
  WakeLoad counted_load;
  RunPlan run;
};

// "burst", "ping-pong".
std::vector<std::string> WakeCases();

// REQUIRES, errors: as RunEcho.
absl::StatusOr<Report> RunWake(const WakePlan& plan);

Command WakeCommand();

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_WAKE_BENCH_H_
