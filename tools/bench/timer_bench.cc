#include "tenon/tools/bench/timer_bench.h"

#include <cstddef>
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
#include "tenon/tools/bench/timer_subjects.h"
#include "tenon/tools/bench/workload.h"

namespace tenon::bench {
namespace {

constexpr size_t kTimers = 1'000'000;
constexpr size_t kQuickTimers = 100'000;
constexpr size_t kCountedTimers = 20'000;

CaseGroup Phases() {
  const auto busy = [](const char* name) {
    return Case{.name = name,
                .throughput = ThroughputRatio::kIfBusy,
                .idle_means = "nothing but this has to be done"};
  };
  // Timers fire when they are due: how many a second is chosen here.
  const auto paced = [](const char* name) {
    return Case{.name = name, .throughput = ThroughputRatio::kNever};
  };
  return {.name = "timers",
          .cases = {busy("arm"), busy("re-arm"), busy("cancel"), paced("fire"), paced("total")}};
}

Figures Total(const std::vector<Figures>& phases) {
  Figures total;
  for (const Figures& phase : phases) {
    total.operations += phase.operations;
    total.wall_ns += phase.wall_ns;
    total.cpu_ns += phase.cpu_ns;
    total.user_part += phase.user_part;
    total.system_part += phase.system_part;
    total.displaced_ns += phase.displaced_ns;
    total.system_calls += phase.system_calls;
  }
  return total;
}

}  // namespace

absl::StatusOr<Report> RunTimers(const TimerPlan& plan) {
  absl::StatusOr<std::vector<int>> cpus = AllowedCpus();
  if (!cpus.ok()) return cpus.status();
  std::vector<Participant> participants;
  for (const TimerSubject& subject : plan.subjects) {
    participants.push_back({.name = subject.subject.name, .ours = subject.subject.ours});
  }
  return RunRounds(
      "timers", plan.run, {Phases()}, participants,
      [&](size_t /*group*/, size_t subject, Pass pass) -> absl::StatusOr<std::vector<Figures>> {
        const bool counted = pass == Pass::kCounted;
        const TimerLoad load(counted ? plan.counted_timers : plan.timers);
        absl::StatusOr<std::vector<Figures>> phases = RunWorkload(
            [&](Stopwatch& stopwatch) { return plan.subjects[subject].run(load, stopwatch); },
            kTimerPhases, {.cpu = cpus->front(), .count_system_calls = counted},
            plan.run.cancel_fd);
        if (phases.ok()) phases->push_back(Total(*phases));
        return phases;
      });
}

Command TimersCommand() {
  std::vector<Subject> subjects;
  for (TimerSubject& each : TimerSubjects()) subjects.push_back(std::move(each.subject));
  return {.name = "timers",
          .summary = "a million timers armed, re-armed, cancelled, fired",
          .options = {.subjects = NamesOf(subjects)},
          .run = [subjects](const Options& options, int cancel_fd) {
            return RunCommand("timers", options, subjects, cancel_fd,
                              [&](const std::vector<size_t>& chosen, const RunPlan& run) {
                                std::vector<TimerSubject> all = TimerSubjects();
                                TimerPlan plan;
                                for (size_t i : chosen) plan.subjects.push_back(all[i]);
                                plan.timers = options.quick ? kQuickTimers : kTimers;
                                plan.counted_timers = kCountedTimers;
                                plan.run = run;
                                return RunTimers(plan);
                              });
          }};
}

}  // namespace tenon::bench
