// Runs rules against subjects, each in a process of its own.

#ifndef TENON_CONFORMANCE_RUNNER_RUNNER_H_
#define TENON_CONFORMANCE_RUNNER_RUNNER_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "tenon/conformance/runner/report.h"
#include "tenon/conformance/runner/subject.h"

namespace tenon::conformance {

// Where a run stands.
struct Progress {
  size_t done = 0;
  size_t total = 0;
  size_t failed = 0;
  // "epoll TD-4": what was started or judged last.
  std::string current;
  // What was judged now; null when something was started. Valid during the call.
  const SubjectReport* subject = nullptr;
  const RuleResult* result = nullptr;
};

struct RunOptions {
  // Rules running at once, at least 1.
  int jobs = 1;
  // After which a rule is killed.
  std::chrono::seconds timeout{30};
  uint64_t seed = 0;
  // How to run this program by hand: "bazel run //tools:conform --". The rule, subject and seed are
  // appended as flags.
  std::string replay_program;
  // Called on the calling thread, if set, whenever a rule starts or ends.
  std::function<void(const Progress&)> progress;
  // Set from a signal handler to stop: what runs is killed. May be null.
  const std::atomic<bool>* interrupted = nullptr;
};

// Runs every rule of every subject and returns the results, in the order of the subjects and their
// rules. Each rule runs in a child, which is this program executed again: its main() must begin
// with `if (IsRuleChild(argc, argv)) return RunRuleChild(argc, argv, ...)` over at least these
// subjects. Children die with the calling thread, and whatever they started is killed when they
// end.
//
// Fails with Cancelled when interrupted, InvalidArgument when there is no rule to run, and with
// what the system refused when a child could not be started.
absl::StatusOr<Report> RunSubjects(const std::vector<Subject>& subjects, const RunOptions& options);

// As many jobs as this machine has processors.
int DefaultJobs();

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RUNNER_RUNNER_H_
