#include "tenon/conformance/allocator/linear_fit.h"

#include <vector>

#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

TEST(FittedSlopeTest, IsThatOfALine) {
  EXPECT_DOUBLE_EQ(FittedSlope({{1, 5}, {2, 7}, {10, 23}}), 2);
  EXPECT_DOUBLE_EQ(FittedSlope({{100, 3}, {1000, 3}, {100'000, 3}}), 0);
  EXPECT_DOUBLE_EQ(FittedSlope({{1, 4}, {3, 0}}), -2);
}

TEST(FittedSlopeTest, IsTheNearestToPointsOffALine) {
  // By hand: means 2 and 3, products 3, squares 2.
  EXPECT_DOUBLE_EQ(FittedSlope({{1, 1}, {2, 4}, {3, 4}}), 1.5);
}

TEST(FittedSlopeTest, IsNoneOfOnePlace) {
  EXPECT_EQ(FittedSlope({}), 0);
  EXPECT_EQ(FittedSlope({{7, 1}}), 0);
  EXPECT_EQ(FittedSlope({{7, 1}, {7, 9}}), 0);
}

}  // namespace
}  // namespace tenon::conformance
