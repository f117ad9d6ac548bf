#include "tenon/conformance/differential/compare.h"

#include <cerrno>
#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/conformance/differential/nondeterminism.h"

namespace tenon::conformance::differential {
namespace {

using testing::HasSubstr;

Completion Received(int64_t operation, std::string bytes, bool more = false) {
  return {.operation = operation,
          .verb = Verb::kRecv,
          .result = static_cast<int32_t>(bytes.size()),
          .more = more,
          .raced = false,
          .lane = "h1<",
          .content = std::move(bytes)};
}

Completion Failed(int64_t operation, Verb verb, int32_t result) {
  return {.operation = operation,
          .verb = verb,
          .result = result,
          .more = false,
          .raced = false,
          .lane = "h1<",
          .content = ""};
}

History OnePhase(std::vector<Completion> completions) {
  return {.phases = {{.completions = std::move(completions), .observations = {}}},
          .violations = {},
          .end = ""};
}

// The sentence of the difference, or "same".
std::string Difference(const History& first, const History& second) {
  const auto difference = Compare("a", first, "b", second);
  return difference.has_value() ? difference->text : "same";
}

TEST(Compare, FindsAnotherResult) {
  const History good = OnePhase({Received(1, "abc")});
  EXPECT_EQ(Difference(good, good), "same");
  EXPECT_THAT(Difference(good, OnePhase({Received(1, "abd")})),
              HasSubstr("a: o1 recv: 3, 3 bytes"));
  EXPECT_THAT(Difference(good, OnePhase({Failed(1, Verb::kRecv, -ECANCELED)})),
              HasSubstr("b: o1 recv: -125 (ECANCELED)"));
  EXPECT_THAT(Difference(good, OnePhase({})), HasSubstr("b: nothing"));
  EXPECT_THAT(Difference(OnePhase({}), good), HasSubstr("a: nothing"));
}

TEST(Compare, FindsACompletionInAnotherPhase) {
  History late;
  late.phases = {{}, {.completions = {Received(1, "abc")}, .observations = {}}};
  History early;
  early.phases = {{.completions = {Received(1, "abc")}, .observations = {}}, {}};
  const auto difference = Compare("a", early, "b", late);
  ASSERT_TRUE(difference.has_value());
  EXPECT_EQ(difference->phase, 1u);
}

TEST(Compare, FindsAnotherOrderWithinALane) {
  EXPECT_THAT(Difference(OnePhase({Received(1, "abc"), Received(2, "d")}),
                         OnePhase({Received(2, "d"), Received(1, "abc")})),
              HasSubstr("in order of h1<, a: o1 o2; b: o2 o1"));
}

TEST(Compare, FindsWhatPlainCallsSaw) {
  History first;
  first.phases = {{.completions = {}, .observations = {"peer of h1 read nothing"}}};
  History second;
  second.phases = {{.completions = {}, .observations = {"peer of h1 read 3 bytes"}}};
  EXPECT_THAT(Difference(first, second), HasSubstr("b: peer of h1 read 3 bytes"));
}

TEST(Compare, CountsWhatIsWrongInBoth) {
  History history = OnePhase({});
  history.violations = {"left behind: descriptor 7"};
  EXPECT_EQ(Difference(history, history), "a: left behind: descriptor 7");
  History crashed = OnePhase({});
  crashed.end = "SIGSEGV";
  EXPECT_EQ(Difference(crashed, crashed), "a: SIGSEGV");
  EXPECT_EQ(Difference(OnePhase({}), crashed), "a: complete; b: SIGSEGV");
}

TEST(Compare, ComparesWhatCameBeforeACrash) {
  History crashed;
  crashed.phases = {{.completions = {Received(1, "abc")}, .observations = {}}, {}};
  crashed.end = "SIGSEGV";
  History good = crashed;
  good.phases[0].completions[0].result = 2;
  EXPECT_THAT(Difference(good, crashed), HasSubstr("a: o1 recv: 2"));
}

// One test for each of kTolerances: what is tolerated, and that no more is.

TEST(Tolerance, DescriptorNumber) {
  EXPECT_EQ(
      Difference(OnePhase({Failed(1, Verb::kAccept, 7)}), OnePhase({Failed(1, Verb::kAccept, 9)})),
      "same");
  EXPECT_NE(Difference(OnePhase({Failed(1, Verb::kAccept, 7)}),
                       OnePhase({Failed(1, Verb::kAccept, -EMFILE)})),
            "same");
  EXPECT_NE(
      Difference(OnePhase({Failed(1, Verb::kStatx, 7)}), OnePhase({Failed(1, Verb::kStatx, 9)})),
      "same");
}

TEST(Tolerance, OrderBetweenLanes) {
  Completion other = Received(2, "d");
  other.lane = "h2<";
  EXPECT_EQ(
      Difference(OnePhase({Received(1, "abc"), other}), OnePhase({other, Received(1, "abc")})),
      "same");
}

TEST(Tolerance, OrderOfCancelled) {
  const Completion cancelled = Failed(1, Verb::kRecv, -ECANCELED);
  EXPECT_EQ(
      Difference(OnePhase({cancelled, Received(2, "d")}), OnePhase({Received(2, "d"), cancelled})),
      "same");
  const Completion failed = Failed(1, Verb::kRecv, -ECONNRESET);
  EXPECT_NE(Difference(OnePhase({failed, Received(2, "d")}), OnePhase({Received(2, "d"), failed})),
            "same");
}

TEST(Tolerance, MultishotChunks) {
  EXPECT_EQ(Difference(OnePhase({Received(1, "ab", true), Received(1, "cd", true)}),
                       OnePhase({Received(1, "abc", true), Received(1, "d", true)})),
            "same");
  EXPECT_NE(Difference(OnePhase({Received(1, "ab", true), Received(1, "cd", true)}),
                       OnePhase({Received(1, "abc", true)})),
            "same");
  EXPECT_NE(Difference(OnePhase({Received(1, "ab", true), Received(1, "cd", false)}),
                       OnePhase({Received(1, "abcd", false)})),
            "same");
}

TEST(Tolerance, RacedCancel) {
  Completion won = Received(1, "abc");
  Completion lost = Failed(1, Verb::kRecv, -ECANCELED);
  won.raced = lost.raced = true;
  EXPECT_EQ(Difference(OnePhase({won}), OnePhase({lost})), "same");
  Completion failed = Failed(1, Verb::kRecv, -EIO);
  failed.raced = true;
  EXPECT_NE(Difference(OnePhase({won}), OnePhase({failed})), "same");
  lost.verb = Verb::kAccept;
  won.verb = Verb::kAccept;
  EXPECT_NE(Difference(OnePhase({won}), OnePhase({lost})), "same");
}

TEST(Tolerance, IsTestedHere) { EXPECT_EQ(kTolerances.size(), 5u); }

}  // namespace
}  // namespace tenon::conformance::differential
