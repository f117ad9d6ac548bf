#include "tenon/tools/bench/report.h"

#include <cmath>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tenon::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Result MakeResult(absl::string_view subject, double median, absl::string_view unit = "ns") {
  return {.bench = "echo",
          .case_name = "conns=64",
          .subject = std::string(subject),
          .metric = "cpu_per_op",
          .unit = std::string(unit),
          .summary = {.median = median, .min = median - 1, .max = median + 1, .rounds = 5}};
}

Report MakeReport() {
  Report report;
  report.host = {.kernel = "6.1",
                 .cpu_model = "Model \"X\"",
                 .cores = 2,
                 .compiler = "gcc 12.2.0",
                 .build_mode = "opt",
                 .versions = {{"tenon", "1.2"}, {"libuv", "1.50.0"}}};
  report.results = {MakeResult("epoll", 3000), MakeResult("libuv", 4000.25)};
  return report;
}

TEST(SummarizeTest, MedianOfOddNumberIsTheMiddleOne) {
  absl::StatusOr<Summary> summary = Summarize({5, 1, 9, 3, 7});
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->median, 5);
  EXPECT_EQ(summary->min, 1);
  EXPECT_EQ(summary->max, 9);
  EXPECT_EQ(summary->rounds, 5u);
}

TEST(SummarizeTest, MedianOfEvenNumberIsTheMeanOfTheMiddleTwo) {
  absl::StatusOr<Summary> summary = Summarize({4, 1, 3, 2});
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->median, 2.5);
}

TEST(SummarizeTest, OneSampleIsAllThree) {
  absl::StatusOr<Summary> summary = Summarize({-2});
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->median, -2);
  EXPECT_EQ(summary->min, -2);
  EXPECT_EQ(summary->max, -2);
}

TEST(SummarizeTest, LargeSamplesDoNotOverflowTheMean) {
  const double huge = std::numeric_limits<double>::max();
  absl::StatusOr<Summary> summary = Summarize({huge, huge});
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->median, huge);
}

TEST(SummarizeTest, RefusesNoSamplesAndWhatIsNotANumber) {
  EXPECT_TRUE(absl::IsInvalidArgument(Summarize({}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Summarize({1, std::nan(""), 2}).status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(Summarize({1, std::numeric_limits<double>::infinity()}).status()));
}

TEST(AddRatioTest, DividesTheMedians) {
  Report report = MakeReport();
  report.results[1].summary.median = 4000;
  ASSERT_TRUE(AddRatio(report, "echo", "conns=64", "epoll", "libuv", "cpu_per_op").ok());
  ASSERT_EQ(report.ratios.size(), 1u);
  EXPECT_EQ(report.ratios[0].ratio, 0.75);
  EXPECT_EQ(report.ratios[0].subject, "epoll");
  EXPECT_EQ(report.ratios[0].peer, "libuv");
}

TEST(AddRatioTest, RefusesWhatThisRunHasNotMeasured) {
  Report report = MakeReport();
  const absl::Status no_peer =
      AddRatio(report, "echo", "conns=64", "epoll", "raw-asio", "cpu_per_op");
  EXPECT_TRUE(absl::IsNotFound(no_peer));
  EXPECT_THAT(no_peer.message(), HasSubstr("raw-asio"));
  EXPECT_TRUE(
      absl::IsNotFound(AddRatio(report, "echo", "conns=1", "epoll", "libuv", "cpu_per_op")));
  EXPECT_TRUE(
      absl::IsNotFound(AddRatio(report, "echo", "conns=64", "epoll", "libuv", "throughput")));
  EXPECT_TRUE(report.ratios.empty());
}

TEST(AddRatioTest, RefusesZeroAndOtherUnits) {
  Report report = MakeReport();
  report.results.push_back(MakeResult("zero", 0));
  report.results.push_back(MakeResult("other", 1, "us"));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      AddRatio(report, "echo", "conns=64", "epoll", "zero", "cpu_per_op")));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      AddRatio(report, "echo", "conns=64", "epoll", "other", "cpu_per_op")));
  EXPECT_TRUE(report.ratios.empty());
}

TEST(ToJsonTest, HasTheStatedShape) {
  Report report = MakeReport();
  ASSERT_TRUE(AddRatio(report, "echo", "conns=64", "epoll", "libuv", "cpu_per_op").ok());
  report.notes = {"a \"note\""};
  EXPECT_EQ(ToJson(report),
            R"({
  "host":{"kernel":"6.1","cpu_model":"Model \"X\"","cores":2,"compiler":"gcc 12.2.0","build_mode":"opt","versions":{"tenon":"1.2","libuv":"1.50.0"}},
  "results":[
    {"bench":"echo","case":"conns=64","subject":"epoll","metric":"cpu_per_op","unit":"ns","median":3000,"min":2999,"max":3001,"rounds":5},
    {"bench":"echo","case":"conns=64","subject":"libuv","metric":"cpu_per_op","unit":"ns","median":4000.25,"min":3999.25,"max":4001.25,"rounds":5}
  ],
  "ratios":[
    {"bench":"echo","case":"conns=64","subject":"epoll","peer":"libuv","metric":"cpu_per_op","ratio":0.75}
  ],
  "notes":[
    "a \"note\""
  ]
}
)");
}

TEST(ToJsonTest, EmptyReportIsStillAnObject) {
  const std::string json = ToJson(Report());
  EXPECT_THAT(json, HasSubstr("\"results\":[]"));
  EXPECT_THAT(json, HasSubstr("\"ratios\":[]"));
  EXPECT_THAT(json, HasSubstr("\"notes\":[]"));
  EXPECT_THAT(json, HasSubstr("\"versions\":{}"));
}

TEST(ToTableTest, HasARowForEachCaseAndSubjectAndEndsWithNotes) {
  Report report = MakeReport();
  ASSERT_TRUE(AddRatio(report, "echo", "conns=64", "epoll", "libuv", "cpu_per_op").ok());
  report.results.push_back(MakeResult("epoll", 2.125, "calls"));
  report.results.back().metric = "syscalls_per_op";
  report.notes = {"beware"};
  EXPECT_EQ(ToTable(report),
            R"(host: kernel 6.1; Model "X", 2 cores; gcc 12.2.0, opt; tenon 1.2; libuv 1.50.0

echo               cpu_per_op  lowest  highest  syscalls_per_op
case      subject          ns      ns       ns            calls
conns=64  epoll          3000    2999     3001             2.12
conns=64  libuv          4000    3999     4001                -

ratio of                     to libuv
conns=64  epoll  cpu_per_op     0.750

medians of 5 rounds
note: beware
)");
}

TEST(ToTableTest, LeavesOutAnEmptyRatioTable) {
  EXPECT_THAT(ToTable(MakeReport()), Not(HasSubstr("ratio of")));
}

}  // namespace
}  // namespace tenon::bench
