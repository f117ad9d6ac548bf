// The two ways in which `bench wake` hands messages from thread to thread.

#ifndef TENON_TOOLS_BENCH_WAKE_WORKLOAD_H_
#define TENON_TOOLS_BENCH_WAKE_WORKLOAD_H_

#include <cstddef>

#include "absl/status/status.h"
#include "tenon/tools/bench/wake_subjects.h"
#include "tenon/tools/bench/workload.h"

namespace tenon::bench {

// The processors of the two threads.
struct TwoCpus {
  int first = 0;
  int second = 0;
};

// The calling thread posts `bursts` times `size` messages to a loop on a thread of its own, and
// waits after each burst until all of it has arrived: an operation is a message. DataLoss if one
// did not arrive once.
absl::Status RunBursts(const WakeSubject& subject, size_t bursts, size_t size, TwoCpus cpus,
                       Stopwatch& stopwatch);

// Two loops on a thread each hand one message to and fro: an operation is a round trip, both of its
// ways. Each way wakes a loop that sleeps.
absl::Status RunPingPong(const WakeSubject& subject, size_t round_trips, TwoCpus cpus,
                         Stopwatch& stopwatch);

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_WAKE_WORKLOAD_H_
