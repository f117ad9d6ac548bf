#include "tenon/tools/bench/wake_bench.h"

#include <errno.h>
#include <sys/wait.h>

#include <cstddef>
#include <memory>
#include <semaphore>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/subject.h"
#include "tenon/tools/bench/wake_subjects.h"

namespace tenon::bench {
namespace {

using ::testing::HasSubstr;

bool HasChildren() { return waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD; }

WakePlan SmallPlan(WakeSubject subject) {
  WakePlan plan;
  plan.subjects = {std::move(subject)};
  plan.cases = WakeCases();
  plan.load = {.bursts = 3, .burst_size = 500, .round_trips = 200};
  plan.counted_load = {.bursts = 1, .burst_size = 100, .round_trips = 50};
  plan.run.rounds = 2;
  return plan;
}

std::vector<WakeSubject> UsableSubjects() {
  std::vector<WakeSubject> usable;
  for (WakeSubject& subject : WakeSubjects()) {
    if (Probe(subject.subject).ok()) usable.push_back(std::move(subject));
  }
  return usable;
}

class EveryWakeSubject : public ::testing::TestWithParam<WakeSubject> {};

// A burst ends only when all its messages have arrived, and fails when one did so twice.
TEST_P(EveryWakeSubject, DeliversEveryMessage) {
  absl::StatusOr<Report> report = RunWake(SmallPlan(GetParam()));
  ASSERT_TRUE(report.ok()) << report.status();
  for (const std::string& case_name : WakeCases()) {
    for (const char* metric : {"cpu_per_op", "throughput"}) {
      const Result* result =
          FindResult(*report, "wake", case_name, GetParam().subject.name, metric);
      ASSERT_NE(result, nullptr) << case_name << " " << metric;
      EXPECT_GT(result->summary.min, 0) << case_name << " " << metric;
      EXPECT_EQ(result->summary.rounds, 2u);
    }
  }
  EXPECT_GT(
      FindResult(*report, "wake", "ping-pong", GetParam().subject.name, "latency_p50")->summary.min,
      0);
  EXPECT_FALSE(HasChildren());
}

INSTANTIATE_TEST_SUITE_P(All, EveryWakeSubject, ::testing::ValuesIn(UsableSubjects()),
                         [](const auto& info) {
                           return absl::StrReplaceAll(info.param.subject.name, {{"-", "_"}});
                         });

// Tells of everything twice, at once and on the wrong thread, and so needs no loop.
class Stutterer : public MessageLoop {
 public:
  explicit Stutterer(MessageHandler& handler) : handler_(handler) {}
  void Post(size_t message) override {
    handler_.OnMessage(message);
    handler_.OnMessage(message);
  }
  void Run() override { stop_.acquire(); }
  void Stop() override { stop_.release(); }

 private:
  MessageHandler& handler_;
  std::binary_semaphore stop_{0};
};

TEST(RunWakeTest, RefusesWhoDeliversTwice) {
  WakePlan plan = SmallPlan(
      {.subject = Handwritten("bad", "stutters"),
       .make = [](size_t, MessageHandler& handler) -> absl::StatusOr<std::unique_ptr<MessageLoop>> {
         return std::make_unique<Stutterer>(handler);
       }});
  plan.cases = {"burst"};
  plan.load.bursts = 1;
  absl::StatusOr<Report> report = RunWake(plan);
  EXPECT_THAT(report.status().message(), HasSubstr("subject bad, burst"));
  EXPECT_THAT(report.status().message(), HasSubstr("more than once"));
  EXPECT_FALSE(HasChildren());
}

TEST(RunWakeTest, SaysWhyALoopCannotBeMade) {
  absl::StatusOr<Report> report = RunWake(SmallPlan(
      {.subject = Handwritten("bad", "cannot be made"),
       .make = [](size_t, MessageHandler&) -> absl::StatusOr<std::unique_ptr<MessageLoop>> {
         return absl::ResourceExhaustedError("no loops left");
       }}));
  EXPECT_THAT(report.status().message(), HasSubstr("no loops left"));
  EXPECT_FALSE(HasChildren());
}

}  // namespace
}  // namespace tenon::bench
