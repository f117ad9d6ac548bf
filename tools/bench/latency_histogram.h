// Latencies in bounded memory, with the precision that percentiles need.

#ifndef TENON_TOOLS_BENCH_LATENCY_HISTOGRAM_H_
#define TENON_TOOLS_BENCH_LATENCY_HISTOGRAM_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace tenon::bench {

// Counts durations in buckets, 32 to each power of two: whatever the durations, and however many,
// it takes 16 KiB, and a percentile is within 1.6 % of the truth.
//
// Threads: one.
class LatencyHistogram {
 public:
  // Counts one duration; a negative one as 0.
  void Record(int64_t duration_ns) {
    ++counts_[IndexOf(duration_ns < 0 ? 0 : static_cast<uint64_t>(duration_ns))];
    ++count_;
  }

  void Clear();

  int64_t count() const { return count_; }

  // The duration that `share` (from 0 to 1) of all those recorded do not exceed; 0 if there are
  // none.
  double Percentile(double share) const;

 private:
  // A bucket holds one value below 2 * kSteps, and 2^n values above.
  static constexpr int kStepBits = 5;
  static constexpr uint64_t kSteps = uint64_t{1} << kStepBits;
  static constexpr size_t kBuckets = size_t{64} << kStepBits;

  static size_t IndexOf(uint64_t value);
  // The middle of a bucket.
  static double ValueOf(size_t index);

  std::array<int64_t, kBuckets> counts_ = {};
  int64_t count_ = 0;
};

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_LATENCY_HISTOGRAM_H_
