#include "tenon/tools/bench/latency_histogram.h"

#include <cstdint>
#include <limits>

#include "gtest/gtest.h"

namespace tenon::bench {
namespace {

TEST(LatencyHistogramTest, IsExactForSmallDurations) {
  LatencyHistogram histogram;
  for (int64_t i = 1; i <= 60; ++i) histogram.Record(i);
  EXPECT_EQ(histogram.count(), 60);
  EXPECT_EQ(histogram.Percentile(0.5), 30);
  EXPECT_EQ(histogram.Percentile(1), 60);
  EXPECT_EQ(histogram.Percentile(0), 1);
}

TEST(LatencyHistogramTest, IsWithinItsPrecisionForLargeOnes) {
  for (int64_t value : {int64_t{64}, int64_t{1000}, int64_t{123'456}, int64_t{987'654'321},
                        std::numeric_limits<int64_t>::max()}) {
    LatencyHistogram histogram;
    histogram.Record(value);
    const auto expected = static_cast<double>(value);
    EXPECT_NEAR(histogram.Percentile(0.5), expected, expected * 0.016) << value;
  }
}

TEST(LatencyHistogramTest, FindsTheTail) {
  LatencyHistogram histogram;
  for (int i = 0; i < 9'980; ++i) histogram.Record(50);
  for (int i = 0; i < 20; ++i) histogram.Record(1'000'000);
  EXPECT_EQ(histogram.Percentile(0.5), 50);
  EXPECT_EQ(histogram.Percentile(0.99), 50);
  EXPECT_NEAR(histogram.Percentile(0.999), 1e6, 16'000);
}

TEST(LatencyHistogramTest, NeverGoesDownFromOneBucketToTheNext) {
  double previous = -1;
  for (int64_t value = 0; value < 100'000; ++value) {
    LatencyHistogram histogram;
    histogram.Record(value);
    const double now = histogram.Percentile(1);
    ASSERT_GE(now, previous) << value;
    previous = now;
    value += value / 50;
  }
}

TEST(LatencyHistogramTest, NothingIsZeroAndNegativeTooIsZero) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.Percentile(0.99), 0);
  histogram.Record(-5);
  EXPECT_EQ(histogram.Percentile(0.99), 0);
  EXPECT_EQ(histogram.count(), 1);
  histogram.Record(40);
  histogram.Clear();
  EXPECT_EQ(histogram.count(), 0);
  EXPECT_EQ(histogram.Percentile(1), 0);
}

}  // namespace
}  // namespace tenon::bench
