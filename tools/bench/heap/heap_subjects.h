// Whose heaps are measured, as a table.

#ifndef TENON_TOOLS_BENCH_HEAP_HEAP_SUBJECTS_H_
#define TENON_TOOLS_BENCH_HEAP_HEAP_SUBJECTS_H_

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "tenon/tools/bench/heap/heap_patterns.h"
#include "tenon/tools/bench/subject.h"
#include "tenon/tools/bench/workload.h"

namespace tenon::bench {

struct HeapSubject {
  Subject subject;
  // Measures one load, in one phase.
  std::function<absl::Status(const HeapLoad& load, Stopwatch& stopwatch)> run;
};

// All subjects, ours first. Ours are named by their spec and called through the Allocator
// interface, but for `…-direct`, called by its class, and `guarded(one-thread)`, which has no spec.
// The peers are called as their users call them.
std::vector<HeapSubject> HeapSubjects();

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_HEAP_HEAP_SUBJECTS_H_
