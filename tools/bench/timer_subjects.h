// What holds the timers that are measured, as a table.
//
// Each makes all its timers beforehand and runs them on one loop of one thread, in four phases:
//
//   arm     all timers, with random deadlines an hour or two away
//   re-arm  each of them to another such deadline, in an order that jumps about
//   cancel  each of them, in another such order
//   fire    all of them, armed again, with random deadlines within a second or so
//
// A cancelled timer counts as done where the library has told of it, if it does tell. Where that
// takes a turn of the loop, a turn is made after every kTimersPerTurn.

#ifndef TENON_TOOLS_BENCH_TIMER_SUBJECTS_H_
#define TENON_TOOLS_BENCH_TIMER_SUBJECTS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tenon/tools/bench/subject.h"
#include "tenon/tools/bench/workload.h"

namespace tenon::bench {

inline constexpr size_t kTimersPerTurn = 256;
inline constexpr size_t kTimerPhases = 4;

// How many timers, and their deadlines: the same for every subject and every round.
class TimerLoad {
 public:
  // REQUIRES: 1 <= timers <= 10,000,000.
  explicit TimerLoad(size_t timers) : timers_(timers) {}

  size_t timers() const { return timers_; }

  // A deadline an hour or two after `base_ns`.
  int64_t FarDeadline(int64_t base_ns);

  // The deadlines to fire at begin this long after arming them does, and take as long again: time
  // enough to arm them all before the first.
  int64_t firing_ns() const { return static_cast<int64_t>(timers_) * kFiringIntervalNs; }
  int64_t FiringDeadline(int64_t base_ns);

  // The timer to go to as number `i`: each comes once.
  size_t Jump(size_t i) const { return i * kStride % timers_; }

 private:
  static constexpr int64_t kFiringIntervalNs = 1'000;
  // A prime greater than any number of timers, so that it has no factor in common with it.
  static constexpr size_t kStride = 15'485'863;

  uint64_t NextRandom();

  const size_t timers_;
  uint64_t random_ = 0x9e3779b97f4a7c15;
};

struct TimerSubject {
  Subject subject;
  // Measures the four phases. An error if a timer was lost or fired early.
  std::function<absl::Status(TimerLoad load, Stopwatch& stopwatch)> run;
};

// All subjects, ours first.
std::vector<TimerSubject> TimerSubjects();

absl::Status RunTenonTimers(absl::string_view backend, TimerLoad load, Stopwatch& stopwatch);
absl::Status RunLibuvTimers(TimerLoad load, Stopwatch& stopwatch);
absl::Status RunAsioTimers(TimerLoad load, Stopwatch& stopwatch);

// What a phase that did `done` of `expected` timers comes to, `early` of them before their time.
absl::Status CheckTimers(absl::string_view phase, size_t done, size_t expected, size_t early);

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_TIMER_SUBJECTS_H_
