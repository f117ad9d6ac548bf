#include "tenon/tools/bench/rounds.h"

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/tools/bench/figures.h"
#include "tenon/tools/bench/report.h"

namespace tenon::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr Figures kFigures = {.operations = 10, .wall_ns = 100, .cpu_ns = 100, .system_calls = 20};

const std::vector<CaseGroup> kGroups = {
    {.name = "one", .cases = {{.name = "a"}}},
    {.name = "two", .cases = {{.name = "b"}, {.name = "c"}}},
};
const std::vector<Participant> kParticipants = {{.name = "ours", .ours = true}, {.name = "peer"}};

std::vector<Figures> FiguresFor(size_t group) {
  return std::vector<Figures>(kGroups[group].cases.size(), kFigures);
}

TEST(RunRoundsTest, BeginsEachRoundWithAnotherSubjectAndCountsLast) {
  std::vector<std::string> order;
  RunPlan plan = {.rounds = 2};
  plan.progress = [&](absl::string_view text) { order.emplace_back(text); };
  absl::StatusOr<Report> report =
      RunRounds("test", plan, kGroups, kParticipants,
                [](size_t group, size_t, Pass) -> absl::StatusOr<std::vector<Figures>> {
                  return FiguresFor(group);
                });
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(
      order,
      ElementsAre("round 1/2  one  ours", "round 1/2  one  peer", "round 1/2  two  ours",
                  "round 1/2  two  peer", "round 2/2  one  peer", "round 2/2  one  ours",
                  "round 2/2  two  peer", "round 2/2  two  ours", "system calls  one  ours",
                  "system calls  one  peer", "system calls  two  ours", "system calls  two  peer"));
}

TEST(RunRoundsTest, ReportsEveryCaseOfEveryGroup) {
  absl::StatusOr<Report> report =
      RunRounds("test", {.rounds = 3}, kGroups, kParticipants,
                [](size_t group, size_t, Pass) -> absl::StatusOr<std::vector<Figures>> {
                  return FiguresFor(group);
                });
  ASSERT_TRUE(report.ok()) << report.status();
  for (const char* case_name : {"a", "b", "c"}) {
    const Result* cpu = FindResult(*report, "test", case_name, "peer", "cpu_per_op");
    ASSERT_NE(cpu, nullptr) << case_name;
    EXPECT_EQ(cpu->summary.median, 10);
    EXPECT_EQ(cpu->summary.rounds, 3u);
    const Result* calls = FindResult(*report, "test", case_name, "ours", "syscalls_per_op");
    ASSERT_NE(calls, nullptr) << case_name;
    EXPECT_EQ(calls->summary.median, 2);
  }
}

TEST(RunRoundsTest, SaysWhoFailedAndWhere) {
  absl::StatusOr<Report> report =
      RunRounds("test", {.rounds = 1}, kGroups, kParticipants,
                [](size_t group, size_t subject, Pass) -> absl::StatusOr<std::vector<Figures>> {
                  if (group == 1 && subject == 1) return absl::UnavailableError("gone");
                  return FiguresFor(group);
                });
  EXPECT_TRUE(absl::IsUnavailable(report.status()));
  EXPECT_EQ(report.status().message(), "subject peer, two: gone");
}

TEST(RunRoundsTest, RefusesFiguresThatSayNothing) {
  const auto run = [](std::vector<Figures> figures) {
    return RunRounds("test", {.rounds = 1}, {kGroups[0]}, kParticipants,
                     [&](size_t, size_t, Pass) -> absl::StatusOr<std::vector<Figures>> {
                       return figures;
                     })
        .status();
  };
  EXPECT_TRUE(run({kFigures}).ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(run({Figures()})));
  EXPECT_TRUE(absl::IsInternal(run({})));
}

TEST(RunRoundsTest, IsNotStoppedByWhatCannotBeCounted) {
  absl::StatusOr<Report> report =
      RunRounds("test", {.rounds = 1}, kGroups, kParticipants,
                [](size_t group, size_t, Pass pass) -> absl::StatusOr<std::vector<Figures>> {
                  if (pass == Pass::kCounted) return absl::PermissionDeniedError("no ptrace");
                  return FiguresFor(group);
                });
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->notes.size(), 1u);
  EXPECT_THAT(report->notes[0], HasSubstr("no ptrace"));
  EXPECT_EQ(FindResult(*report, "test", "a", "ours", "syscalls_per_op"), nullptr);
}

TEST(RunRoundsTest, EndsWhenCancelledInEitherPass) {
  for (Pass when : {Pass::kTimed, Pass::kCounted}) {
    absl::StatusOr<Report> report =
        RunRounds("test", {.rounds = 1}, kGroups, kParticipants,
                  [when](size_t group, size_t, Pass pass) -> absl::StatusOr<std::vector<Figures>> {
                    if (pass == when) return absl::CancelledError("interrupted");
                    return FiguresFor(group);
                  });
    EXPECT_TRUE(absl::IsCancelled(report.status())) << report.status();
  }
}

}  // namespace
}  // namespace tenon::bench
