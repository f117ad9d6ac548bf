#include "tenon/tools/bench/timer_bench.h"

#include <errno.h>
#include <sys/wait.h>

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/subject.h"
#include "tenon/tools/bench/timer_subjects.h"

namespace tenon::bench {
namespace {

using ::testing::HasSubstr;

bool HasChildren() { return waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD; }

TimerPlan SmallPlan(TimerSubject subject) {
  TimerPlan plan;
  plan.subjects = {std::move(subject)};
  plan.timers = 1000;
  plan.counted_timers = 500;
  plan.run.rounds = 2;
  return plan;
}

std::vector<TimerSubject> UsableSubjects() {
  std::vector<TimerSubject> usable;
  for (TimerSubject& subject : TimerSubjects()) {
    if (Probe(subject.subject).ok()) usable.push_back(std::move(subject));
  }
  return usable;
}

class EveryTimerSubject : public ::testing::TestWithParam<TimerSubject> {};

// Each subject itself finds out whether a timer was lost or fired early.
TEST_P(EveryTimerSubject, DoesEveryPhase) {
  absl::StatusOr<Report> report = RunTimers(SmallPlan(GetParam()));
  ASSERT_TRUE(report.ok()) << report.status();
  for (const char* phase : {"arm", "re-arm", "cancel", "fire", "total"}) {
    const Result* cpu = FindResult(*report, "timers", phase, GetParam().subject.name, "cpu_per_op");
    ASSERT_NE(cpu, nullptr) << phase;
    EXPECT_GT(cpu->summary.min, 0) << phase;
    EXPECT_EQ(cpu->summary.rounds, 2u);
  }
  EXPECT_GT(
      FindResult(*report, "timers", "fire", GetParam().subject.name, "latency_p99")->summary.min,
      0);
  EXPECT_FALSE(HasChildren());
}

INSTANTIATE_TEST_SUITE_P(All, EveryTimerSubject, ::testing::ValuesIn(UsableSubjects()),
                         [](const auto& info) {
                           return absl::StrReplaceAll(info.param.subject.name, {{"-", "_"}});
                         });

TEST(TimerLoadTest, GoesToEachTimerOnce) {
  for (size_t timers : {size_t{1}, size_t{1000}, size_t{20'000}}) {
    const TimerLoad load(timers);
    std::vector<bool> seen(timers, false);
    for (size_t i = 0; i < timers; ++i) {
      EXPECT_FALSE(seen[load.Jump(i)]);
      seen[load.Jump(i)] = true;
    }
  }
}

TEST(TimerLoadTest, DeadlinesLieWhereTheyShould) {
  TimerLoad load(1000);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_GE(load.FarDeadline(5), 3'600'000'000'005);
    const int64_t soon = load.FiringDeadline(5);
    EXPECT_GE(soon, 5 + load.firing_ns());
    EXPECT_LT(soon, 5 + 2 * load.firing_ns());
  }
}

TEST(CheckTimersTest, FindsWhatIsLostOrEarly) {
  EXPECT_TRUE(CheckTimers("fire", 5, 5, 0).ok());
  EXPECT_THAT(CheckTimers("fire", 4, 5, 0).message(), HasSubstr("4 of 5"));
  EXPECT_THAT(CheckTimers("fire", 5, 5, 1).message(), HasSubstr("early"));
}

TEST(RunTimersTest, SaysWhoLostATimer) {
  absl::StatusOr<Report> report = RunTimers(
      SmallPlan({.subject = Handwritten("bad", "loses one"), .run = [](TimerLoad load, Stopwatch&) {
                   return CheckTimers("fire", load.timers() - 1, load.timers(), 0);
                 }}));
  EXPECT_THAT(report.status().message(), HasSubstr("subject bad, timers"));
  EXPECT_THAT(report.status().message(), HasSubstr("999 of 1000"));
  EXPECT_FALSE(HasChildren());
}

TEST(RunTimersTest, RefusesASubjectThatLeavesPhasesOut) {
  absl::StatusOr<Report> report =
      RunTimers(SmallPlan({.subject = Handwritten("bad", "does nothing"),
                           .run = [](TimerLoad, Stopwatch&) { return absl::OkStatus(); }}));
  EXPECT_TRUE(absl::IsInternal(report.status())) << report.status();
}

}  // namespace
}  // namespace tenon::bench
