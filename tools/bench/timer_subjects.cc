#include "tenon/tools/bench/timer_subjects.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tenon/tools/bench/subject.h"
#include "tenon/tools/bench/workload.h"

namespace tenon::bench {
namespace {

constexpr int64_t kHourNs = 3'600'000'000'000;

}  // namespace

// xorshift64* (Marsaglia 2003, Vigna 2014): a few instructions, so that what is measured is not it.
uint64_t TimerLoad::NextRandom() {
  random_ ^= random_ >> 12;
  random_ ^= random_ << 25;
  random_ ^= random_ >> 27;
  return random_ * 0x2545f4914f6cdd1d;
}

int64_t TimerLoad::FarDeadline(int64_t base_ns) {
  return base_ns + kHourNs + static_cast<int64_t>(NextRandom() % uint64_t{kHourNs});
}

int64_t TimerLoad::FiringDeadline(int64_t base_ns) {
  const auto range_ns = static_cast<uint64_t>(firing_ns());
  return base_ns + firing_ns() + static_cast<int64_t>(NextRandom() % range_ns);
}

absl::Status CheckTimers(absl::string_view phase, size_t done, size_t expected, size_t early) {
  if (done != expected) {
    return absl::DataLossError(absl::StrCat(phase, ": ", done, " of ", expected, " timers done"));
  }
  if (early == 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(phase, ": ", early, " timers fired early"));
}

std::vector<TimerSubject> TimerSubjects() {
  std::vector<TimerSubject> subjects;
  for (Subject& ours : TenonSubjects("timer operations")) {
    const std::string backend = ours.name;
    subjects.push_back({std::move(ours), [backend](TimerLoad load, Stopwatch& stopwatch) {
                          return RunTenonTimers(backend, load, stopwatch);
                        }});
  }
  subjects.push_back({Libuv("uv_timer_start, uv_timer_stop"), &RunLibuvTimers});
  subjects.push_back({PlainAsio("steady_timer"), &RunAsioTimers});
  return subjects;
}

}  // namespace tenon::bench
