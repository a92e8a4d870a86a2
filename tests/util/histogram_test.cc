#include "util/histogram.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "gtest/gtest.h"
#include "util/random.h"

namespace eve {
namespace {

TEST(HistogramTest, AnEmptyOneIsAllZero) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.min(), 0u);
  EXPECT_EQ(histogram.max(), 0u);
  EXPECT_EQ(histogram.Mean(), 0);
  EXPECT_EQ(histogram.P99(), 0u);
}

TEST(HistogramTest, SmallValuesAreExact) {
  Histogram histogram;
  for (uint64_t value = 1; value <= 20; ++value) histogram.Add(value);
  EXPECT_EQ(histogram.P50(), 10u);
  EXPECT_EQ(histogram.Percentile(0), 1u);
  EXPECT_EQ(histogram.Percentile(100), 20u);
  EXPECT_DOUBLE_EQ(histogram.Mean(), 10.5);
}

// Against a sorted list: never below the true percentile, and at most 1/32
// above it, over values from one nanosecond to an hour.
TEST(HistogramTest, PercentilesAreWithinOneBucketOfTheTruth) {
  Random random(11);
  Histogram histogram;
  std::vector<uint64_t> values;
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t value =
        1 + random.Uniform(uint64_t{1} << (1 + random.Uniform(41)));
    values.push_back(value);
    histogram.Add(value);
  }
  std::sort(values.begin(), values.end());
  for (double percent : {1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    const auto rank = static_cast<size_t>(
        std::max(1.0, std::ceil(percent / 100 * values.size())));
    const uint64_t truth = values[rank - 1];
    EXPECT_GE(histogram.Percentile(percent), truth) << percent;
    EXPECT_LE(histogram.Percentile(percent), truth + truth / 32) << percent;
  }
}

TEST(HistogramTest, ValuesPastTheLimitCountAsTheLimit) {
  Histogram histogram;
  histogram.Add(Histogram::kValueMax);
  histogram.Add(Histogram::kValueMax + 1);
  histogram.Add(UINT64_MAX);
  EXPECT_EQ(histogram.count(), 3u);
  EXPECT_EQ(histogram.max(), Histogram::kValueMax);
  EXPECT_EQ(histogram.P50(), Histogram::kValueMax);
}

TEST(HistogramTest, MergingEqualsAddingAllToOne) {
  Histogram whole;
  Histogram parts[2];
  Random random(5);
  for (int i = 0; i < 1000; ++i) {
    const uint64_t value = random.Uniform(1'000'000);
    whole.Add(value);
    parts[i % 2].Add(value);
  }
  parts[0].Merge(parts[1]);
  EXPECT_EQ(parts[0].ToString(), whole.ToString());
  parts[0].Merge(Histogram());
  EXPECT_EQ(parts[0].ToString(), whole.ToString());
  parts[0].Clear();
  EXPECT_EQ(parts[0].ToString(), Histogram().ToString());
}

TEST(HistogramTest, SurvivesACopyOfItsBytes) {
  Histogram original;
  original.Add(42);
  unsigned char bytes[sizeof(Histogram)];
  std::memcpy(bytes, &original, sizeof(bytes));
  Histogram copy;
  std::memcpy(static_cast<void*>(&copy), bytes, sizeof(bytes));
  EXPECT_EQ(copy.ToString(),
            "count=1 mean=42 min=42 p50=42 p99=42 p999=42 max=42");
}

}  // namespace
}  // namespace eve
