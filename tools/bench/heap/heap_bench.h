// `bench alloc`: what a block of memory costs, allocated, handed on, resized and freed.

#ifndef TENON_TOOLS_BENCH_HEAP_HEAP_BENCH_H_
#define TENON_TOOLS_BENCH_HEAP_HEAP_BENCH_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tenon/tools/bench/command.h"
#include "tenon/tools/bench/heap/heap_patterns.h"
#include "tenon/tools/bench/heap/heap_subjects.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/rounds.h"

namespace tenon::bench {

struct HeapCase {
  std::string name;
  HeapLoad load;
};

// Every case, with a multiple of `thousands` thousand operations each.
std::vector<HeapCase> HeapCases(int64_t thousands);

struct HeapPlan {
  // Never empty.
  std::vector<HeapSubject> subjects;
  std::vector<HeapCase> cases;
  // Fewer where system calls are counted, for each costs the tracer's time.
  std::vector<HeapCase> counted_cases;
  RunPlan run;
};

// A process for each case, so that none finds the heap as another left it. An operation is an
// allocation with the free that goes with it, or a reallocation.
//
// REQUIRES: as many counted cases as cases; errors: as RunEcho.
absl::StatusOr<Report> RunHeaps(const HeapPlan& plan);

Command AllocCommand();

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_HEAP_HEAP_BENCH_H_
