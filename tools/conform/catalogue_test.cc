#include "tenon/tools/conform/catalogue.h"

#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(CatalogueTest, ExplainsARule) {
  const absl::StatusOr<std::string> text = ExplainRule("td-4");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, StartsWith("TD-4 (loop, required)\nRule     A handle dropped just before"));
  EXPECT_THAT(*text, HasSubstr("\nWhy      "));
  EXPECT_THAT(*text, HasSubstr("\nOrigin   monoio #229\n"));
  EXPECT_THAT(*text, HasSubstr("\nMutant   "));
}

TEST(CatalogueTest, AnUnknownRuleNamesItsNeighbours) {
  const absl::Status status = ExplainRule("TD-44").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("did you mean TD-4"));
}

TEST(CatalogueTest, SelectsByGlob) {
  const auto rules = SelectRules({.facets = {"loop"}, .subjects = {}, .rules = {"FIL-*"}});
  ASSERT_TRUE(rules.ok()) << rules.status();
  EXPECT_EQ(rules->size(), 2u);
  const auto allocators = SelectRules({.facets = {"allocator"}, .subjects = {}, .rules = {"*-3"}});
  ASSERT_TRUE(allocators.ok()) << allocators.status();
  ASSERT_EQ(allocators->size(), 1u);
  EXPECT_EQ(allocators->front()->id, "ALC-3");
  EXPECT_FALSE(SelectRules({.facets = {"pool"}, .subjects = {}, .rules = {}}).ok());
}

TEST(CatalogueTest, ListsInEveryFormat) {
  const auto rules = SelectRules({.facets = {}, .subjects = {}, .rules = {"CMP-9"}});
  ASSERT_TRUE(rules.ok()) << rules.status();
  EXPECT_THAT(FormatRules(*rules, Format::kTable), StartsWith("CMP-9    A multishot operation"));
  EXPECT_THAT(FormatRules(*rules, Format::kMarkdown),
              HasSubstr("| CMP-9 | capability:multishot | A multishot"));
  EXPECT_THAT(FormatRules(*rules, Format::kJson),
              HasSubstr("{\"id\": \"CMP-9\", \"facet\": \"loop\", \"level\": "
                        "\"capability:multishot\""));
}

}  // namespace
}  // namespace tenon::conformance
