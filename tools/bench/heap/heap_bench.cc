#include "tenon/tools/bench/heap/heap_bench.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tenon/tools/bench/child_process.h"
#include "tenon/tools/bench/figures.h"
#include "tenon/tools/bench/options.h"
#include "tenon/tools/bench/subject.h"
#include "tenon/tools/bench/workload.h"

namespace tenon::bench {
namespace {

using Pattern = HeapLoad::Pattern;

constexpr int64_t kThousands = 1000;
constexpr int64_t kQuickThousands = 200;
constexpr int64_t kCountedThousands = 20;

std::vector<std::string> CaseNames() {
  std::vector<std::string> names;
  for (HeapCase& each : HeapCases(1)) names.push_back(std::move(each.name));
  return names;
}

// Those of these names; all where there are none.
std::vector<HeapCase> ChosenCases(int64_t thousands, const std::vector<std::string>& names) {
  std::vector<HeapCase> cases = HeapCases(thousands);
  if (names.empty()) return cases;
  std::erase_if(cases, [&](const HeapCase& each) {
    return std::find(names.begin(), names.end(), each.name) == names.end();
  });
  return cases;
}

}  // namespace

std::vector<HeapCase> HeapCases(int64_t thousands) {
  const int64_t operations = thousands * 1000;
  std::vector<HeapCase> cases;
  const auto add = [&](absl::string_view name, HeapLoad load) {
    load.operations = operations;
    cases.push_back({absl::StrCat(name, "/", load.threads), load});
  };
  for (const int threads : {1, 2}) {
    for (const size_t size : {16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10}) {
      add(absl::StrCat("size=", size), {.threads = threads, .size = size});
    }
  }
  for (const int threads : {1, 2}) {
    for (const size_t live : {100, 1'000, 10'000, 100'000}) {
      add(absl::StrCat("live=", live), {.threads = threads, .live = live});
    }
  }
  for (const int threads : {1, 2}) {
    add("larson", {.pattern = Pattern::kLarson, .threads = threads, .live = 1000});
  }
  add("hand-off", {.pattern = Pattern::kProducerConsumer, .threads = 2});
  add("scratch", {.pattern = Pattern::kCacheScratch, .threads = 2, .size = 8});
  for (const int threads : {1, 2}) add("grow", {.pattern = Pattern::kGrow, .threads = threads});
  return cases;
}

absl::StatusOr<Report> RunHeaps(const HeapPlan& plan) {
  std::vector<Participant> participants;
  for (const HeapSubject& subject : plan.subjects) {
    participants.push_back({.name = subject.subject.name, .ours = subject.subject.ours});
  }
  std::vector<CaseGroup> groups;
  for (const HeapCase& each : plan.cases) {
    Case which = {.name = each.name};
    if (each.load.threads == 1) {
      which.throughput = ThroughputRatio::kIfBusy;
      which.idle_means = "nothing but this has to be done";
    }
    groups.push_back({.name = each.name, .cases = {std::move(which)}});
  }
  return RunRounds(
      "alloc", plan.run, groups, participants, [&](size_t group, size_t subject, Pass pass) {
        const bool counted = pass == Pass::kCounted;
        const HeapLoad& load = counted ? plan.counted_cases[group].load : plan.cases[group].load;
        return RunWorkload(
            [&](Stopwatch& stopwatch) { return plan.subjects[subject].run(load, stopwatch); }, 1,
            {.count_system_calls = counted}, plan.run.cancel_fd);
      });
}

Command AllocCommand() {
  std::vector<Subject> subjects;
  for (HeapSubject& each : HeapSubjects()) subjects.push_back(std::move(each.subject));
  return {.name = "alloc",
          .summary = "blocks allocated, handed on, resized, freed, by one thread and two",
          .options = {.subjects = NamesOf(subjects), .cases = CaseNames()},
          .run = [subjects](const Options& options, int cancel_fd) {
            return RunCommand(
                "alloc", options, subjects, cancel_fd,
                [&](const std::vector<size_t>& chosen, const RunPlan& run) {
                  const std::vector<HeapSubject> all = HeapSubjects();
                  HeapPlan plan = {.subjects = {},
                                   .cases = ChosenCases(
                                       options.quick ? kQuickThousands : kThousands, options.cases),
                                   .counted_cases = ChosenCases(kCountedThousands, options.cases),
                                   .run = run};
                  for (size_t i : chosen) plan.subjects.push_back(all[i]);
                  return RunHeaps(plan);
                });
          }};
}

}  // namespace tenon::bench
