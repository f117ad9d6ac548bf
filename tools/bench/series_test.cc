#include "tenon/tools/bench/series.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/tools/bench/figures.h"
#include "tenon/tools/bench/report.h"

namespace tenon::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Case kCase = {.name = "conns=64",
                    .throughput = ThroughputRatio::kIfBusy,
                    .idle_means = "the client was the bottleneck"};

// Five rounds of a thousand operations each.
Series MakeSeries(absl::string_view subject, bool ours, double cpu_ns, double busy,
                  double displaced = 0) {
  const double wall_ns = 1000 * cpu_ns / busy;
  return {.subject = std::string(subject),
          .ours = ours,
          .rounds =
              std::vector<Figures>(5, {.operations = 1000,
                                       .wall_ns = static_cast<int64_t>(wall_ns),
                                       .cpu_ns = static_cast<int64_t>(1000 * cpu_ns),
                                       .user_part = 1,
                                       .system_part = 3,
                                       .displaced_ns = static_cast<int64_t>(displaced * wall_ns)}),
          .counted = {}};
}

TEST(AddCaseTest, ComparesOursWithEachPeer) {
  Report report;
  ASSERT_TRUE(AddCase("echo", kCase,
                      {MakeSeries("epoll", true, 3000, 1), MakeSeries("libuv", false, 4000, 1),
                       MakeSeries("raw-asio", false, 6000, 1)},
                      report)
                  .ok());
  EXPECT_EQ(report.results.size(), 12u);
  ASSERT_EQ(report.ratios.size(), 4u);
  EXPECT_EQ(report.ratios[0].peer, "libuv");
  EXPECT_EQ(report.ratios[0].ratio, 0.75);
  EXPECT_EQ(report.ratios[2].peer, "raw-asio");
  EXPECT_EQ(report.ratios[2].ratio, 0.5);
  EXPECT_THAT(report.notes, IsEmpty());
}

TEST(AddCaseTest, HasTheMemoryOfThoseThatWereAskedForIt) {
  Series series = MakeSeries("system", true, 10, 1);
  for (Figures& round : series.rounds) round.peak_rss_bytes = 3 << 19;
  Report report;
  ASSERT_TRUE(AddCase("alloc", kCase, {series}, report).ok());
  EXPECT_EQ(FindResult(report, "alloc", "conns=64", "system", "peak_rss")->summary.median, 1.5);
  ASSERT_TRUE(AddCase("echo", kCase, {MakeSeries("epoll", true, 10, 1)}, report).ok());
  EXPECT_EQ(FindResult(report, "echo", "conns=64", "epoll", "peak_rss"), nullptr);
}

TEST(AddCaseTest, DividesCpuTimeByTheShareOfTicksOfAllRounds) {
  Series series = MakeSeries("epoll", true, 4000, 1);
  series.rounds[0].user_part = 6;  // 10 of 25 are user ticks now.
  Report report;
  ASSERT_TRUE(AddCase("echo", kCase, {series}, report).ok());
  EXPECT_EQ(FindResult(report, "echo", "conns=64", "epoll", "cpu_per_op")->summary.median, 4000);
  EXPECT_EQ(FindResult(report, "echo", "conns=64", "epoll", "user_cpu_per_op")->summary.median,
            1600);
  EXPECT_EQ(FindResult(report, "echo", "conns=64", "epoll", "sys_cpu_per_op")->summary.median,
            2400);
}

TEST(AddCaseTest, ReportsLatencyAndSystemCallsWhereThereAreAny) {
  Series ours = MakeSeries("epoll", true, 4000, 1);
  Series peer = MakeSeries("libuv", false, 4000, 1);
  for (Series* series : {&ours, &peer}) {
    for (Figures& round : series->rounds) {
      round.p50_ns = 10'000;
      round.p99_ns = 20'000;
      round.p999_ns = 30'000;
    }
  }
  ours.counted = {.operations = 200, .wall_ns = 1, .system_calls = 410};
  Report report;
  ASSERT_TRUE(AddCase("echo", kCase, {ours, peer}, report).ok());
  EXPECT_EQ(FindResult(report, "echo", "conns=64", "epoll", "latency_p50")->summary.median, 10);
  EXPECT_EQ(FindResult(report, "echo", "conns=64", "epoll", "latency_p99")->summary.median, 20);
  EXPECT_EQ(FindResult(report, "echo", "conns=64", "epoll", "latency_p99.9")->summary.median, 30);
  const Result* calls = FindResult(report, "echo", "conns=64", "epoll", "syscalls_per_op");
  ASSERT_NE(calls, nullptr);
  EXPECT_EQ(calls->summary.median, 2.05);
  EXPECT_EQ(calls->summary.rounds, 1u);
  EXPECT_EQ(FindResult(report, "echo", "conns=64", "libuv", "syscalls_per_op"), nullptr);
  EXPECT_EQ(report.ratios.size(), 3u);
}

TEST(AddCaseTest, NoThroughputRatioWhereTheSubjectWasIdle) {
  Report report;
  ASSERT_TRUE(AddCase("echo", kCase,
                      {MakeSeries("epoll", true, 3000, 0.8), MakeSeries("libuv", false, 4000, 1)},
                      report)
                  .ok());
  ASSERT_EQ(report.ratios.size(), 1u);
  EXPECT_EQ(report.ratios[0].metric, "cpu_per_op");
  ASSERT_EQ(report.notes.size(), 1u);
  EXPECT_THAT(report.notes[0], HasSubstr("epoll 80 %"));
  EXPECT_THAT(report.notes[0], HasSubstr("client was the bottleneck"));
}

TEST(AddCaseTest, SaysWhatOtherProcessesTook) {
  Report report;
  ASSERT_TRUE(AddCase("echo", kCase, {MakeSeries("epoll", true, 3000, 0.5, 0.5)}, report).ok());
  ASSERT_EQ(report.notes.size(), 2u);
  EXPECT_THAT(report.notes[0], HasSubstr("other processes took"));
}

TEST(AddCaseTest, ThroughputRatioNeverOrAlwaysWhereTheCaseSaysSo) {
  for (ThroughputRatio when : {ThroughputRatio::kNever, ThroughputRatio::kAlways}) {
    Case which = kCase;
    which.throughput = when;
    Report report;
    ASSERT_TRUE(
        AddCase("echo", which,
                {MakeSeries("epoll", true, 3000, 0.5), MakeSeries("libuv", false, 4000, 0.5)},
                report)
            .ok());
    EXPECT_EQ(report.ratios.size(), when == ThroughputRatio::kAlways ? 2u : 1u);
    EXPECT_THAT(report.notes, IsEmpty());
  }
}

TEST(AddCaseTest, RefusesASeriesWithoutRounds) {
  Report report;
  EXPECT_TRUE(absl::IsInvalidArgument(AddCase("echo", kCase, {Series()}, report)));
  EXPECT_TRUE(absl::IsInvalidArgument(AddCase("echo", kCase, {}, report)));
}

}  // namespace
}  // namespace tenon::bench
