// Time as loops measure it: nanoseconds of CLOCK_MONOTONIC, or of a simulated backend's clock.

#ifndef TENON_CORE_LOOP_TIME_H_
#define TENON_CORE_LOOP_TIME_H_

#include <cstdint>
#include <limits>

namespace tenon {

// A deadline that never comes, and a duration without end, in nanoseconds.
inline constexpr int64_t kForeverNs = std::numeric_limits<int64_t>::max();

inline constexpr int64_t kMicrosecondNs = 1'000;
inline constexpr int64_t kMillisecondNs = 1'000'000;
inline constexpr int64_t kSecondNs = 1'000'000'000;

// The deadline `delay_ns` after `now_ns`: at `now_ns` for a negative delay, kForeverNs where the
// sum cannot be represented (TIM-4). REQUIRES: now_ns >= 0.
constexpr int64_t DeadlineAfter(int64_t now_ns, int64_t delay_ns) {
  if (delay_ns <= 0) return now_ns;
  return delay_ns > kForeverNs - now_ns ? kForeverNs : now_ns + delay_ns;
}

}  // namespace tenon

#endif  // TENON_CORE_LOOP_TIME_H_
