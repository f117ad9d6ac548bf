// The rounds that every benchmark runs in.

#ifndef TENON_TOOLS_BENCH_ROUNDS_H_
#define TENON_TOOLS_BENCH_ROUNDS_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tenon/tools/bench/figures.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/series.h"

namespace tenon::bench {

struct RunPlan {
  int rounds = 0;
  // Ends the run as soon as it can be read; -1 is none.
  int cancel_fd = -1;
  // Whether system calls are counted, in a pass of its own after the rounds.
  bool count_system_calls = true;
  // Told what is being measured; may be empty.
  std::function<void(absl::string_view)> progress = {};
};

// Cases that one process of a subject measures one after another.
struct CaseGroup {
  std::string name = {};
  std::vector<Case> cases = {};
};

// A subject, as far as rounds are concerned.
struct Participant {
  std::string name = {};
  bool ours = false;
};

enum class Pass {
  kTimed,
  // A short one, under a tracer: only operations and system calls count.
  kCounted,
};

// Measures one subject at one group of cases, once: figures for each case, in order.
using Measure = absl::FunctionRef<absl::StatusOr<std::vector<Figures>>(size_t group, size_t subject,
                                                                       Pass pass)>;

// Runs each round over every group and every subject, beginning with another subject each time, so
// that whatever changes on the machine meanwhile meets all of them alike; then counts system calls.
//
// The report lacks the host. Cancelled if `measure` was; any other error of a round says which
// subject failed and why. Where system calls cannot be counted, a note says why.
absl::StatusOr<Report> RunRounds(absl::string_view bench, const RunPlan& plan,
                                 const std::vector<CaseGroup>& groups,
                                 const std::vector<Participant>& subjects, Measure measure);

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_ROUNDS_H_
