#include "tenon/tools/conform/mutants.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/conformance/allocator/model_allocator.h"
#include "tenon/conformance/rules/allocator_rules.h"
#include "tenon/conformance/rules/loop_rules.h"
#include "tenon/tools/conform/allocator_mutant_suite.h"
#include "tenon/tools/conform/loop_mutant_suite.h"

namespace tenon::conformance {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const Rule& First() { return AllocatorRules()[0]; }

const std::vector<MutantSuite>& Suites() {
  static const auto* const suites = new std::vector<MutantSuite>{
      AllocatorMutantSuite(ModelAllocatorFactory(), AllocatorMutants())};
  return *suites;
}

RuleResult Result(const Rule& rule, Verdict verdict, std::string detail = "") {
  return {.rule = &rule, .verdict = verdict, .detail = std::move(detail)};
}

// A run of the first rule: on the good backend, on its mutant, and on one cheater.
Report RunOf(RuleResult good, RuleResult mutant, std::vector<RuleResult> cheater) {
  Report report;
  report.subjects = {
      {"mutant-" + std::string(First().id), "allocator", {std::move(mutant)}},
      {"good", "allocator", {std::move(good)}},
      {"cheater-sleeps", "allocator", std::move(cheater)},
  };
  return report;
}

// The detail of a failure for the expected reason.
std::string Expected() {
  return "a.cc:1: " + std::string(AllocatorMutants()[0].expected_reason) + " x";
}

TEST(LoopMutantsTest, EachIsOfItsRuleAndDoesSomething) {
  const std::vector<LoopMutant> mutants = LoopMutants();
  ASSERT_EQ(mutants.size(), LoopRules().size());
  for (size_t i = 0; i < mutants.size(); ++i) {
    EXPECT_EQ(mutants[i].rule, LoopRules()[i].id);
    EXPECT_FALSE(mutants[i].name.empty()) << mutants[i].rule;
    EXPECT_FALSE(mutants[i].expected_reason.empty()) << mutants[i].rule;
    EXPECT_TRUE(mutants[i].wrap != nullptr || mutants[i].loop_mutation.has_value())
        << mutants[i].rule;
  }
}

TEST(AllocatorMutantsTest, EachIsOfItsRuleAndDoesSomething) {
  const std::vector<AllocatorMutant> mutants = AllocatorMutants();
  const absl::Span<const Rule> rules = AllocatorRules();
  ASSERT_GE(mutants.size(), rules.size());
  std::set<std::string_view> names;
  for (size_t i = 0; i < mutants.size(); ++i) {
    const AllocatorMutant& mutant = mutants[i];
    // The first of each rule stand in its order, and are those of the rule table.
    if (i < rules.size()) {
      EXPECT_EQ(mutant.rule, rules[i].id);
      EXPECT_EQ(mutant.name, rules[i].mutant);
    } else {
      EXPECT_LT(IndexOf(mutant.rule, rules), rules.size()) << mutant.rule;
    }
    EXPECT_TRUE(names.insert(mutant.name).second) << mutant.name;
    EXPECT_FALSE(mutant.expected_reason.empty()) << mutant.rule;
    EXPECT_NE(mutant.wrap, nullptr) << mutant.rule;
  }
}

TEST(MutantSubjectsTest, AreTheSelectedRulesTheGoodOneAndTheCheaters) {
  std::set<std::string> names;
  for (const Subject& subject : MutantSubjects(Suites(), {"ALC-1", "ALC-2"})) {
    names.insert(subject.name);
    if (subject.name == "good") {
      EXPECT_THAT(subject.rules, SizeIs(2));
    }
  }
  EXPECT_TRUE(names.contains("good"));
  EXPECT_TRUE(names.contains("mutant-ALC-1"));
  EXPECT_TRUE(names.contains("cheater-hangs"));
  EXPECT_FALSE(names.contains("mutant-ALC-3"));
  EXPECT_THAT(MutantSubjects(Suites(), {"TD-4"}), IsEmpty());
}

TEST(JudgeMutantsTest, KilledForTheExpectedReason) {
  const MutantReport judged = JudgeMutants(
      RunOf(Result(First(), Verdict::kPass), Result(First(), Verdict::kFail, Expected()),
            {Result(First(), Verdict::kFail, "x")}),
      Suites());
  ASSERT_THAT(judged.mutants, SizeIs(1));
  EXPECT_TRUE(judged.mutants[0].killed) << judged.mutants[0].reason;
  EXPECT_THAT(judged.rules_without_mutant, IsEmpty());
  EXPECT_TRUE(AllCaught(judged));
  EXPECT_THAT(FormatMutantTable(judged), HasSubstr("1 of 1 mutants killed, 1 of 1 cheaters red\n"));
  EXPECT_THAT(FormatMutantJson(judged),
              HasSubstr("{\n  \"mutants\": 1,\n  \"killed\": 1,\n  \"rules_without_mutant\": [],\n"
                        "  \"cheaters\": 1,\n  \"cheaters_red\": 1,\n"));
}

TEST(JudgeMutantsTest, AliveOtherwise) {
  const std::pair<RuleResult, RuleResult> runs[] = {
      // Fails for another reason, passes, is undecided; or the rule fails on the good one as well.
      {Result(First(), Verdict::kPass), Result(First(), Verdict::kFail, "something else")},
      {Result(First(), Verdict::kPass), Result(First(), Verdict::kPass)},
      {Result(First(), Verdict::kPass), Result(First(), Verdict::kInconclusive, Expected())},
      {Result(First(), Verdict::kFail, Expected()), Result(First(), Verdict::kFail, Expected())},
  };
  for (const auto& [good, mutant] : runs) {
    const MutantReport judged =
        JudgeMutants(RunOf(good, mutant, {Result(First(), Verdict::kFail, "x")}), Suites());
    ASSERT_THAT(judged.mutants, SizeIs(1));
    EXPECT_FALSE(judged.mutants[0].killed) << judged.mutants[0].reason;
    EXPECT_FALSE(AllCaught(judged));
  }
}

TEST(JudgeMutantsTest, ACheaterThatPassesAnythingIsGreen) {
  const RuleResult good = Result(First(), Verdict::kPass);
  const RuleResult mutant = Result(First(), Verdict::kFail, Expected());
  const RuleResult red = Result(First(), Verdict::kFail, "x");
  const RuleResult undecided = Result(First(), Verdict::kInconclusive, "x");
  EXPECT_EQ(CountRedCheaters(JudgeMutants(RunOf(good, mutant, {red, undecided}), Suites())), 1);
  EXPECT_EQ(CountRedCheaters(JudgeMutants(RunOf(good, mutant, {red, good}), Suites())), 0);
  EXPECT_EQ(CountRedCheaters(JudgeMutants(RunOf(good, mutant, {undecided}), Suites())), 0);
  EXPECT_FALSE(AllCaught(JudgeMutants(RunOf(good, mutant, {red, good}), Suites())));
}

TEST(JudgeMutantsTest, NothingProvesNothing) {
  EXPECT_FALSE(AllCaught(MutantReport()));
  EXPECT_FALSE(AllCaught(JudgeMutants(Report(), Suites())));
}

}  // namespace
}  // namespace tenon::conformance
