// What measuring one thing once has brought.

#ifndef TENON_TOOLS_BENCH_FIGURES_H_
#define TENON_TOOLS_BENCH_FIGURES_H_

#include <cstdint>

namespace tenon::bench {

// Trivially copyable: it passes through memory that processes share.
struct Figures {
  int64_t operations = 0;
  int64_t wall_ns = 0;
  // CPU time of the measured process, all its threads together.
  int64_t cpu_ns = 0;
  // Its two parts, as the kernel samples them with its tick, in any unit. A round has too few
  // samples to say much: a share is taken from all rounds together.
  int64_t user_part = 0;
  int64_t system_part = 0;
  // For how long the process's first thread could have run, but something else had its processor.
  int64_t displaced_ns = 0;
  // 0 where they were not counted.
  int64_t system_calls = 0;
  // The most memory that the process had at a time, what it was begun with included; 0 where it
  // was not asked for.
  int64_t peak_rss_bytes = 0;
  // Percentiles of an operation's latency; 0 where it has none.
  double p50_ns = 0;
  double p99_ns = 0;
  double p999_ns = 0;
};

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_FIGURES_H_
