// From the figures of single rounds to what a report says of them.

#ifndef TENON_TOOLS_BENCH_SERIES_H_
#define TENON_TOOLS_BENCH_SERIES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tenon/tools/bench/figures.h"
#include "tenon/tools/bench/report.h"

namespace tenon::bench {

// Whether the throughput of a case says something of the subject, so that ratios are made of it.
enum class ThroughputRatio {
  kNever,
  // Only where the subject was busy all the time; a note says where it was not.
  kIfBusy,
  kAlways,
};

struct Case {
  std::string name = {};
  ThroughputRatio throughput = ThroughputRatio::kAlways;
  // For kIfBusy: what throughput is where the subject was not busy.
  std::string idle_means = {};
};

// One subject, one case, all rounds.
struct Series {
  std::string subject = {};
  // Ours is compared with everything that is not.
  bool ours = false;
  std::vector<Figures> rounds = {};
  // Of a run of its own; without operations where system calls were not counted.
  Figures counted = {};
};

// Adds to `report` what one case comes to: results, ratios of ours to each peer, and notes on what
// to beware of. InvalidArgument if a series is empty or counts no operations.
absl::Status AddCase(absl::string_view bench, const Case& which, const std::vector<Series>& all,
                     Report& report);

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_SERIES_H_
