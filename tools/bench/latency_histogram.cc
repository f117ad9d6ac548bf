#include "tenon/tools/bench/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace tenon::bench {

size_t LatencyHistogram::IndexOf(uint64_t value) {
  const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - (kStepBits + 1));
  return static_cast<size_t>(static_cast<uint64_t>(shift) * kSteps + (value >> shift));
}

double LatencyHistogram::ValueOf(size_t index) {
  if (index < 2 * kSteps) return static_cast<double>(index);
  const uint64_t shift = index / kSteps - 1;
  const uint64_t lowest = (index % kSteps + kSteps) << shift;
  return static_cast<double>(lowest) + static_cast<double>((uint64_t{1} << shift) - 1) / 2;
}

void LatencyHistogram::Clear() {
  counts_.fill(0);
  count_ = 0;
}

double LatencyHistogram::Percentile(double share) const {
  if (count_ == 0) return 0;
  const auto wanted =
      std::max<int64_t>(1, static_cast<int64_t>(std::ceil(share * static_cast<double>(count_))));
  int64_t seen = 0;
  size_t index = 0;
  while (index < kBuckets - 1) {
    seen += counts_[index];
    if (seen >= wanted) break;
    ++index;
  }
  return ValueOf(index);
}

}  // namespace tenon::bench
