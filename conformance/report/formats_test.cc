#include "tenon/conformance/report/formats.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr Rule kFirst = {.id = "TD-1", .facet = "loop", .text = "Drain ends."};
constexpr Rule kSecond = {.id = "CMP-9",
                          .facet = "loop",
                          .level = RuleLevel::kCapability,
                          .capability = "multishot",
                          .text =
                              "A multishot operation gives n completions flagged more and then "
                              "one without."};

Report SmallReport() {
  Report report;
  report.host = {.system = "Linux",
                 .kernel = "6.1",
                 .machine = "x86_64",
                 .processors = 2,
                 .compiler = "gcc \"12\"",
                 .build = "debug"};
  report.subjects.push_back(
      {.name = "epoll",
       .facet = "loop",
       .rules = {{.rule = &kFirst, .verdict = Verdict::kPass, .milliseconds = 12},
                 {.rule = &kSecond,
                  .verdict = Verdict::kUnsupported,
                  .milliseconds = 1,
                  .detail = "does not declare multishot",
                  .replay = "conform --rule=CMP-9"}}});
  report.subjects.push_back({.name = "io_uring",
                             .facet = "loop",
                             .rules = {{.rule = &kFirst,
                                        .verdict = Verdict::kFail,
                                        .milliseconds = 1500,
                                        .detail = "a.cc:1: <got> 1 | 2\nsecond \"line\"",
                                        .replay = "conform --rule=TD-1"}}});
  return report;
}

TEST(FormatJsonTest, HasTheDocumentedShape) {
  EXPECT_EQ(FormatJson(SmallReport()), R"({
  "tool": "conform",
  "version": "0.1.0",
  "host": {"system": "Linux", "kernel": "6.1", "machine": "x86_64", "processors": 2, "compiler": "gcc \"12\"", "build": "debug"},
  "subjects": [
    {"name": "epoll", "facet": "loop", "rules": [
      {"id": "TD-1", "level": "required", "verdict": "pass", "ms": 12, "detail": "", "replay": ""},
      {"id": "CMP-9", "level": "capability:multishot", "verdict": "unsupported", "ms": 1, "detail": "does not declare multishot", "replay": "conform --rule=CMP-9"}
    ]},
    {"name": "io_uring", "facet": "loop", "rules": [
      {"id": "TD-1", "level": "required", "verdict": "fail", "ms": 1500, "detail": "a.cc:1: <got> 1 | 2\nsecond \"line\"", "replay": "conform --rule=TD-1"}
    ]}
  ],
  "summary": {"pass": 1, "fail": 1, "expected_fail": 0, "unsupported": 1, "inconclusive": 0}
}
)");
}

TEST(FormatTableTest, AlignsSubjectsAndSaysWhatFailed) {
  EXPECT_EQ(FormatTable(SmallReport(), false), R"(loop     epoll  io_uring  
TD-1     ok     FAIL      Drain ends.
CMP-9    -                A multishot operation gives n completions flagged more and...

- epoll: CMP-9 does not declare multishot

FAIL io_uring TD-1: a.cc:1: <got> 1 | 2
    second "line"
    replay: conform --rule=TD-1

epoll     1 pass, 1 unsupported
io_uring  1 fail
)");
}

TEST(FormatTableTest, ShowsWhatWasMeasured) {
  Report report = SmallReport();
  report.subjects[0].rules[0].detail = "3 ns a turn";
  report.subjects[1].rules[0] = {
      .rule = &kSecond, .verdict = Verdict::kPass, .detail = "40 ns an accept"};
  EXPECT_THAT(FormatTable(report, false), HasSubstr("\n\nmeasured\n"
                                                    "TD-1     epoll     3 ns a turn\n"
                                                    "CMP-9    io_uring  40 ns an accept\n\n"));
}

TEST(FormatTableTest, ColoursOnlyWhenAsked) {
  EXPECT_THAT(FormatTable(SmallReport(), false), Not(HasSubstr("\x1b")));
  EXPECT_THAT(FormatTable(SmallReport(), true), HasSubstr("\x1b[1;31mFAIL"));
}

TEST(FormatTableTest, AnEmptyReportIsNoMatrix) { EXPECT_EQ(FormatTable({}, false), "\n"); }

TEST(FormatJunitTest, CountsAndEscapes) {
  const std::string xml = FormatJunit(SmallReport());
  EXPECT_THAT(xml, HasSubstr("<testsuites name=\"conform\" tests=\"3\" failures=\"1\" errors=\"0\" "
                             "skipped=\"1\" time=\"1.513\">"));
  EXPECT_THAT(xml,
              HasSubstr("<testcase name=\"TD-1\" classname=\"loop.io_uring\" time=\"1.500\">"));
  EXPECT_THAT(xml, HasSubstr("<failure message=\"a.cc:1: &lt;got&gt; 1 | 2 / second "
                             "&quot;line&quot;\">"));
  EXPECT_THAT(xml, HasSubstr("<skipped message=\"unsupported: does not declare multishot\"/>"));
}

TEST(FormatMarkdownTest, EscapesCells) {
  const std::string markdown = FormatMarkdown(SmallReport());
  EXPECT_THAT(markdown, HasSubstr("| loop | epoll | io_uring | |\n|---|---|---|---|\n"));
  EXPECT_THAT(markdown, HasSubstr("| TD-1 | ok | **FAIL** | Drain ends. |\n"));
  EXPECT_THAT(markdown, HasSubstr("| io_uring | TD-1 | fail | a.cc:1: &lt;got> 1 \\| 2 / second"));
  EXPECT_THAT(markdown, HasSubstr("- io_uring: 1 fail\n"));
}

TEST(ParseFormatTest, KnowsItsNames) {
  EXPECT_EQ(ParseFormat("junit"), Format::kJunit);
  EXPECT_EQ(ParseFormat("xml"), std::nullopt);
  EXPECT_EQ(FormatReport(SmallReport(), Format::kJson, true), FormatJson(SmallReport()));
}

}  // namespace
}  // namespace tenon::conformance
