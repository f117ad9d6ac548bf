// The tables of all facets.

#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_replace.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "tenon/conformance/rules/allocator_rules.h"
#include "tenon/conformance/rules/loop_rules.h"

namespace tenon::conformance {
namespace {

struct Table {
  std::string_view facet;
  absl::Span<const Rule> rules;
  // The first column.
  std::vector<std::string_view> names;
};

void PrintTo(const Table& table, std::ostream* stream) { *stream << table.facet; }

const Table kTables[] = {
    {"loop",
     LoopRules(),
     {
#define TENON_RULE(name, ...) #name,
#include "tenon/conformance/rules/loop_rules.inc"
#undef TENON_RULE
     }},
    {"allocator",
     AllocatorRules(),
     {
#define TENON_RULE(name, ...) #name,
#include "tenon/conformance/rules/allocator_rules.inc"
#undef TENON_RULE
     }},
};

class RuleTableTest : public testing::TestWithParam<Table> {};

TEST_P(RuleTableTest, NamesOfBodiesFollowFromIds) {
  const Table& table = GetParam();
  ASSERT_EQ(table.names.size(), table.rules.size());
  for (size_t i = 0; i < table.rules.size(); ++i) {
    EXPECT_EQ(absl::StrReplaceAll(table.rules[i].id, {{"-", "_"}}), table.names[i]);
  }
}

TEST_P(RuleTableTest, IdsCountFromOneInEachGroup) {
  std::string group;
  int number = 0;
  std::set<std::string> groups;
  for (const Rule& rule : GetParam().rules) {
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

TEST_P(RuleTableTest, EveryRuleIsExplained) {
  for (const Rule& rule : GetParam().rules) {
    EXPECT_EQ(rule.facet, GetParam().facet) << rule.id;
    EXPECT_TRUE(rule.text.ends_with('.')) << rule.id;
    EXPECT_TRUE(rule.why.ends_with('.')) << rule.id;
    EXPECT_FALSE(rule.origin.empty()) << rule.id;
    EXPECT_FALSE(rule.mutant.empty()) << rule.id;
    EXPECT_EQ(rule.capability.empty(), rule.level != RuleLevel::kCapability) << rule.id;
  }
}

INSTANTIATE_TEST_SUITE_P(Facets, RuleTableTest, testing::ValuesIn(kTables));

TEST(RuleTablesTest, NoIdIsInTwoTables) {
  std::set<std::string_view> ids;
  for (const Table& table : kTables) {
    for (const Rule& rule : table.rules) EXPECT_TRUE(ids.insert(rule.id).second) << rule.id;
  }
}

TEST(RuleTest, LevelsAreNamed) {
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
