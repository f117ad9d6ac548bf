#include "tenon/conformance/rules/loop_rules.h"

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

constexpr std::string_view kNames[] = {
#define TENON_RULE(name, ...) #name,
#include "tenon/conformance/rules/loop_rules.inc"
#undef TENON_RULE
};

TEST(LoopRulesTest, NamesOfBodiesFollowFromIds) {
  ASSERT_EQ(std::size(kNames), LoopRules().size());
  for (size_t i = 0; i < LoopRules().size(); ++i) {
    EXPECT_EQ(absl::StrReplaceAll(LoopRules()[i].id, {{"-", "_"}}), kNames[i]);
  }
}

TEST(LoopRulesTest, IdsAreUniqueAndCountFromOneInEachGroup) {
  std::string group;
  int number = 0;
  std::set<std::string> groups;
  for (const Rule& rule : LoopRules()) {
    const size_t dash = rule.id.find('-');
    ASSERT_NE(dash, std::string_view::npos) << rule.id;
    if (rule.id.substr(0, dash) != group) {
      group = rule.id.substr(0, dash);
      number = 0;
      EXPECT_TRUE(groups.insert(group).second) << group << " appears twice";
    }
    EXPECT_EQ(rule.id.substr(dash + 1), std::to_string(++number)) << rule.id;
  }
}

TEST(LoopRulesTest, EveryRuleIsExplained) {
  for (const Rule& rule : LoopRules()) {
    EXPECT_EQ(rule.facet, "loop") << rule.id;
    EXPECT_TRUE(rule.text.ends_with('.')) << rule.id;
    EXPECT_TRUE(rule.why.ends_with('.')) << rule.id;
    EXPECT_FALSE(rule.origin.empty()) << rule.id;
    EXPECT_FALSE(rule.mutant.empty()) << rule.id;
    EXPECT_EQ(rule.capability.empty(), rule.level != RuleLevel::kCapability) << rule.id;
  }
}

TEST(LoopRulesTest, LevelsAreNamed) {
  Rule rule;
  EXPECT_EQ(LevelName(rule), "required");
  rule.level = RuleLevel::kRecommended;
  EXPECT_EQ(LevelName(rule), "recommended");
  rule.level = RuleLevel::kCapability;
  rule.capability = "multishot";
  EXPECT_EQ(LevelName(rule), "capability:multishot");
}

}  // namespace
}  // namespace tenon::conformance
