#include "tenon/tools/text/json.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace tenon::text {
namespace {

TEST(JsonNumberTest, IsShortAndNeverInvalid) {
  EXPECT_EQ(JsonNumber(4580.25, 1), "4580.2");
  EXPECT_EQ(JsonNumber(4580, 1), "4580");
  EXPECT_EQ(JsonNumber(100, 0), "100");
  EXPECT_EQ(JsonNumber(0.98765, 4), "0.9877");
  EXPECT_EQ(JsonNumber(-0.01, 1), "0");
  EXPECT_EQ(JsonNumber(1e15, 1), "1000000000000000");
  EXPECT_EQ(JsonNumber(std::nan(""), 1), "null");
  EXPECT_EQ(JsonNumber(std::numeric_limits<double>::infinity(), 1), "null");
}

TEST(JsonObjectTest, EscapesNamesAndTakesValuesAsTheyAre) {
  EXPECT_EQ(JsonObject({}), "{}");
  EXPECT_EQ(JsonObject({{"a", "1"}, {"\"b\"", JsonString("c\n")}}), R"({"a":1,"\"b\"":"c\n"})");
}

TEST(JsonArrayTest, HasAnItemALine) {
  EXPECT_EQ(JsonArray({}), "[]");
  EXPECT_EQ(JsonArray({"1"}), "[\n    1\n  ]");
  EXPECT_EQ(JsonArray({"1", "{}"}), "[\n    1,\n    {}\n  ]");
}

}  // namespace
}  // namespace tenon::text
