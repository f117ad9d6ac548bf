#include "tenon/tools/bench/wake_bench.h"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "tenon/tools/bench/child_process.h"
#include "tenon/tools/bench/command.h"
#include "tenon/tools/bench/figures.h"
#include "tenon/tools/bench/options.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/rounds.h"
#include "tenon/tools/bench/subject.h"
#include "tenon/tools/bench/wake_subjects.h"
#include "tenon/tools/bench/wake_workload.h"
#include "tenon/tools/bench/workload.h"

namespace tenon::bench {
namespace {

constexpr char kBurst[] = "burst";
constexpr char kPingPong[] = "ping-pong";

constexpr size_t kBurstSize = 10'000;
constexpr WakeLoad kLoad = {.bursts = 100, .burst_size = kBurstSize, .round_trips = 50'000};
constexpr WakeLoad kQuickLoad = {.bursts = 20, .burst_size = kBurstSize, .round_trips = 5'000};
constexpr WakeLoad kCountedLoad = {.bursts = 2, .burst_size = kBurstSize, .round_trips = 1'000};

}  // namespace

std::vector<std::string> WakeCases() { return {kBurst, kPingPong}; }

absl::StatusOr<Report> RunWake(const WakePlan& plan) {
  absl::StatusOr<std::vector<int>> allowed = AllowedCpus();
  if (!allowed.ok()) return allowed.status();
  const TwoCpus cpus = {.first = allowed->front(), .second = allowed->back()};
  std::vector<Participant> participants;
  for (const WakeSubject& subject : plan.subjects) {
    participants.push_back({.name = subject.subject.name, .ours = subject.subject.ours});
  }
  std::vector<CaseGroup> groups;
  for (const std::string& name : plan.cases) {
    groups.push_back({.name = name, .cases = {{.name = name}}});
  }
  absl::StatusOr<Report> report = RunRounds(
      "wake", plan.run, groups, participants, [&](size_t group, size_t subject, Pass pass) {
        const bool counted = pass == Pass::kCounted;
        const WakeLoad& load = counted ? plan.counted_load : plan.load;
        const WakeSubject& which = plan.subjects[subject];
        return RunWorkload(
            [&](Stopwatch& stopwatch) {
              return plan.cases[group] == kBurst
                         ? RunBursts(which, load.bursts, load.burst_size, cpus, stopwatch)
                         : RunPingPong(which, load.round_trips, cpus, stopwatch);
            },
            1, {.cpu = -1, .count_system_calls = counted}, plan.run.cancel_fd);
      });
  if (report.ok() && cpus.first == cpus.second) {
    report->notes.push_back("wake: both threads shared the one processor there is");
  }
  return report;
}

Command WakeCommand() {
  std::vector<Subject> subjects;
  for (WakeSubject& each : WakeSubjects()) subjects.push_back(std::move(each.subject));
  return {.name = "wake",
          .summary = "messages handed to a loop on another thread",
          .options = {.subjects = NamesOf(subjects), .cases = WakeCases()},
          .run = [subjects](const Options& options, int cancel_fd) {
            return RunCommand("wake", options, subjects, cancel_fd,
                              [&](const std::vector<size_t>& chosen, const RunPlan& run) {
                                std::vector<WakeSubject> all = WakeSubjects();
                                WakePlan plan;
                                for (size_t i : chosen) plan.subjects.push_back(all[i]);
                                plan.cases = options.cases.empty() ? WakeCases() : options.cases;
                                plan.load = options.quick ? kQuickLoad : kLoad;
                                plan.counted_load = kCountedLoad;
                                plan.run = run;
                                return RunWake(plan);
                              });
          }};
}

}  // namespace tenon::bench
