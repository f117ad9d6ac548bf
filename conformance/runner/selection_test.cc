#include "tenon/conformance/runner/selection.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/conformance/runner/known_failures.h"

namespace tenon::conformance {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

MATCHER_P2(StatusIs, code, message, "") {
  *result_listener << arg.status();
  return arg.status().code() == code &&
         testing::ExplainMatchResult(message, arg.status().message(), result_listener);
}

constexpr Rule kRules[] = {{.id = "TD-1", .facet = "loop"},
                           {.id = "TD-2", .facet = "loop"},
                           {.id = "INIT-1", .facet = "loop"}};

TEST(MatchesGlobTest, MatchesWholeTexts) {
  EXPECT_TRUE(MatchesGlob("TD-1", "TD-1"));
  EXPECT_FALSE(MatchesGlob("TD-1", "TD-10"));
  EXPECT_FALSE(MatchesGlob("D-1", "TD-1"));
  EXPECT_TRUE(MatchesGlob("td-1", "TD-1"));
  EXPECT_FALSE(MatchesGlob("", "TD-1"));
  EXPECT_TRUE(MatchesGlob("", ""));
}

TEST(MatchesGlobTest, StarsAndQuestionMarks) {
  EXPECT_TRUE(MatchesGlob("*", ""));
  EXPECT_TRUE(MatchesGlob("TD-*", "TD-10"));
  EXPECT_TRUE(MatchesGlob("*-1*", "INIT-1"));
  EXPECT_TRUE(MatchesGlob("T?-1", "TD-1"));
  EXPECT_FALSE(MatchesGlob("TD-?", "TD-10"));
  EXPECT_TRUE(MatchesGlob("*a*b*c", "xaxxbxbxc"));
  EXPECT_FALSE(MatchesGlob("*a*b*c", "xaxxbxbx"));
}

TEST(NearNamesTest, NearestFirst) {
  const std::vector<std::string> names = {"epoll", "io_uring", "asio"};
  EXPECT_THAT(NearNames("eppol", names), ElementsAre("epoll"));
  EXPECT_THAT(NearNames("iouring", names), ElementsAre("io_uring"));
  EXPECT_THAT(NearNames("kqueue", names), IsEmpty());
  EXPECT_THAT(NearNames("TD-11", {"TD-2", "TD-1", "CMP-9"}), ElementsAre("TD-1", "TD-2"));
}

std::vector<Subject> TwoSubjects() {
  std::vector<Subject> subjects;
  for (const char* name : {"epoll", "asio"}) {
    Subject subject = {.name = name, .facet = "loop", .rules = {}, .known_failures = {}};
    for (const Rule& rule : kRules) subject.rules.push_back({&rule, [](RuleContext&) {}});
    subjects.push_back(std::move(subject));
  }
  return subjects;
}

TEST(SelectTest, EverythingByDefault) {
  const auto selected = Select(TwoSubjects(), {});
  ASSERT_TRUE(selected.ok()) << selected.status();
  ASSERT_EQ(selected->size(), 2u);
  EXPECT_EQ((*selected)[0].rules.size(), 3u);
}

TEST(SelectTest, ByRuleAndSubject) {
  const auto selected =
      Select(TwoSubjects(), {.facets = {}, .subjects = {"e*"}, .rules = {"TD-*"}});
  ASSERT_TRUE(selected.ok()) << selected.status();
  ASSERT_EQ(selected->size(), 1u);
  EXPECT_EQ((*selected)[0].name, "epoll");
  EXPECT_EQ((*selected)[0].rules.size(), 2u);
}

TEST(SelectTest, UnknownNamesAreErrorsThatHelp) {
  EXPECT_THAT(Select(TwoSubjects(), {.facets = {}, .subjects = {}, .rules = {"DT-1"}}),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("no rule matches \"DT-1\""), HasSubstr("TD-1"))));
  EXPECT_THAT(Select(TwoSubjects(), {.facets = {}, .subjects = {"eppoll"}, .rules = {}}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("did you mean epoll?")));
  EXPECT_THAT(Select(TwoSubjects(), {.facets = {}, .subjects = {"kqueue"}, .rules = {}}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("there are: asio, epoll")));
  EXPECT_THAT(Select(TwoSubjects(), {.facets = {"pool"}, .subjects = {}, .rules = {}}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no facet matches \"pool\"")));
  // One good pattern does not excuse the other.
  EXPECT_FALSE(Select(TwoSubjects(), {.facets = {}, .subjects = {}, .rules = {"TD-1", "X"}}).ok());
}

TEST(KnownFailuresTest, ReadsRulesAndReasons) {
  const auto known = ParseKnownFailures(
      "# a comment\n\nTD-1  drains for ever # really\n  INIT-1\tno memory\n", "file", kRules);
  ASSERT_TRUE(known.ok()) << known.status();
  EXPECT_THAT(*known,
              ElementsAre(Pair("INIT-1", "no memory"), Pair("TD-1", "drains for ever # really")));
}

TEST(KnownFailuresTest, RefusesWhatSaysTooLittle) {
  EXPECT_THAT(
      ParseKnownFailures("\nTD-1\n", "f.txt", kRules),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("f.txt:2: TD-1 has no reason")));
  EXPECT_THAT(ParseKnownFailures("TD-9 x", "f.txt", kRules),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("f.txt:1: no rule matches")));
  EXPECT_THAT(
      ParseKnownFailures("TD-1 x\nTD-1 y", "f.txt", kRules),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("f.txt:2: TD-1 is listed twice")));
  EXPECT_THAT(ParseKnownFailures("TD-* x", "f.txt", kRules),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a pattern")));
  EXPECT_EQ(ReadKnownFailures("/no/such/file", kRules).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace tenon::conformance
