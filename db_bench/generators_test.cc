// What the workloads draw: keys by the distributions that the flags name, and
// values that tell by themselves whether they are whole.
#include "db_bench/generators.h"

#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace eve::bench {
namespace {

std::string MakeValue(const ValueMaker& maker, uint64_t index,
                      uint64_t generation) {
  std::string value(maker.SizeOf(index, generation), '\0');
  maker.Make(index, generation, value.data());
  return value;
}

// Absent keys are among the present ones, as bytes: whatever reads them in
// their order has 0, 0 absent, 1, 1 absent and so on.
TEST(GeneratorsTest, IntegerKeysAreInOrderAndTellTheirIndex) {
  const KeyShape shape{.type = KeyType::kInt64, .size = kInt64KeyBytes};
  std::string last;
  for (uint64_t index = 0; index < 70'000; ++index) {
    const std::string present = shape.At(index);
    std::string absent(shape.size, '\0');
    shape.Format(index, /*absent=*/true, absent.data());
    ASSERT_EQ(present.size(), 8u);
    ASSERT_LT(last, present);
    ASSERT_LT(present, absent);
    ASSERT_EQ(shape.IndexOf(present), index);
    last = absent;
  }
  EXPECT_EQ(shape.At(0x123456789A),
            std::string("\0\0\0\x24\x68\xAC\xF1\x34", 8));
  EXPECT_EQ(shape.Show(7), "14");
}

TEST(GeneratorsTest, StringKeysTellTheirIndex) {
  const KeyShape shape{.type = KeyType::kString, .size = 9};
  EXPECT_EQ(shape.At(1234), "000001234");
  EXPECT_EQ(shape.IndexOf("000001234"), 1234u);
  EXPECT_EQ(shape.Show(1234), "000001234");
}

TEST(GeneratorsTest, APermutationMeetsEveryNumberOnce) {
  for (const uint64_t size : {1u, 2u, 3u, 1000u, 4096u}) {
    const Permutation permutation(size, /*seed=*/7);
    std::set<uint64_t> seen;
    for (uint64_t i = 0; i < size; ++i) seen.insert(permutation(i));
    EXPECT_EQ(seen.size(), size);
    EXPECT_EQ(*seen.rbegin(), size - 1);
  }
}

// Beside the exact probabilities, summed up: half a million draws are within
// six standard deviations of them.
TEST(GeneratorsTest, RanksAreDrawnAsTheZipfLawSays) {
  constexpr uint64_t kRanks = 1000;
  constexpr int kDraws = 500000;
  const ZipfRanks zipf(kRanks);
  Random random(1);
  std::vector<int> counts(kRanks);
  for (int i = 0; i < kDraws; ++i) {
    const uint64_t rank = zipf.Next(random);
    ASSERT_LT(rank, kRanks);
    ++counts[rank];
  }
  double sum = 0;
  for (uint64_t r = 1; r <= kRanks; ++r) {
    sum += std::pow(static_cast<double>(r), -kZipfExponent);
  }
  for (const uint64_t rank : {0u, 1u, 2u, 9u, 99u, 999u}) {
    const double p =
        std::pow(static_cast<double>(rank + 1), -kZipfExponent) / sum;
    const double expected = p * kDraws;
    EXPECT_NEAR(counts[rank], expected, 6 * std::sqrt(expected)) << rank;
  }
}

TEST(GeneratorsTest, ZipfKnowsHugeRangesAndOne) {
  Random random(2);
  const ZipfRanks one(1);
  EXPECT_EQ(one.Next(random), 0u);
  const uint64_t size = uint64_t{1} << 40;
  const ZipfRanks huge(size);
  uint64_t largest = 0;
  for (int i = 0; i < 10000; ++i) {
    const uint64_t rank = huge.Next(random);
    ASSERT_LT(rank, size);
    largest = std::max(largest, rank);
  }
  // About a third of the weight is above 2^27.
  EXPECT_GT(largest, uint64_t{1} << 30);
}

TEST(GeneratorsTest, ValuesVerifyAndDamageShows) {
  ValueShape shape;
  shape.distribution = SizeDistribution::kUniform;
  shape.size_min = 8;
  shape.size_max = 300;
  const ValueMaker maker(shape);
  for (uint64_t index = 0; index < 1000; ++index) {
    std::string value = MakeValue(maker, index, index % 4096);
    EXPECT_TRUE(maker.Verify(index, value));
    EXPECT_FALSE(maker.Verify(index + 1, value));
    EXPECT_FALSE(maker.Verify(index, value + "x"));
    EXPECT_FALSE(maker.Verify(
        index, std::string_view(value).substr(0, value.size() - 1)));
    EXPECT_FALSE(maker.Verify(index, std::string_view(value).substr(0, 7)));
    value.front() = static_cast<char>(value.front() ^ 1);
    EXPECT_FALSE(maker.Verify(index, value));
    value.front() = static_cast<char>(value.front() ^ 1);
    value.back() = static_cast<char>(value.back() ^ 1);
    EXPECT_FALSE(maker.Verify(index, value));
  }
}

TEST(GeneratorsTest, ShortValuesVerifyAndAnyDamageShows) {
  for (size_t size = 8; size <= 24; ++size) {
    ValueShape shape;
    shape.size = size;
    const ValueMaker maker(shape);
    for (uint64_t index = 0; index < 200; ++index) {
      std::string value = MakeValue(maker, index, 1 + index % 4095);
      ASSERT_EQ(value.size(), size);
      EXPECT_TRUE(maker.Verify(index, value));
      EXPECT_FALSE(maker.Verify(index + 1, value));
      EXPECT_NE(value, MakeValue(maker, index, 2 + index % 4095));
      for (const size_t at :
           {size_t{0}, size_t{1}, size_t{3}, size_t{7}, size - 8, size - 1}) {
        value[at] = static_cast<char>(value[at] ^ 4);
        EXPECT_FALSE(maker.Verify(index, value)) << size << " bytes, at " << at;
        value[at] = static_cast<char>(value[at] ^ 4);
      }
    }
  }
}

TEST(GeneratorsTest, LargeGenerationsMakeLargeValues) {
  const ValueMaker maker(ValueShape{});
  const std::string large = MakeValue(maker, 5, kLargeGeneration + 3);
  EXPECT_EQ(large.size(), kLargeValueBytes);
  EXPECT_TRUE(maker.Verify(5, large));
  // A value of the usual size is another generation's.
  const std::string usual = MakeValue(maker, 5, 3);
  EXPECT_EQ(usual.size(), 100u);
  EXPECT_TRUE(maker.Verify(5, usual));
  EXPECT_FALSE(maker.Verify(5, large.substr(0, 100)));
}

struct Spread {
  double mean = 0;
  double deviation = 0;
  size_t least = SIZE_MAX;
  size_t most = 0;
};

Spread SizesOf(SizeDistribution distribution) {
  ValueShape shape;
  shape.distribution = distribution;
  shape.size_min = 1000;
  shape.size_max = 7000;
  const ValueMaker maker(shape);
  constexpr int kValues = 100000;
  Spread spread;
  double squares = 0;
  for (uint64_t i = 0; i < kValues; ++i) {
    const size_t size = maker.SizeOf(i, 1);
    spread.least = std::min(spread.least, size);
    spread.most = std::max(spread.most, size);
    spread.mean += static_cast<double>(size) / kValues;
    squares += static_cast<double>(size) * static_cast<double>(size) / kValues;
  }
  spread.deviation = std::sqrt(squares - spread.mean * spread.mean);
  return spread;
}

TEST(GeneratorsTest, SizesFollowTheirDistribution) {
  const Spread uniform = SizesOf(SizeDistribution::kUniform);
  EXPECT_NEAR(uniform.mean, 4000, 30);
  EXPECT_NEAR(uniform.deviation, 6000 / std::sqrt(12.0), 30);
  EXPECT_LT(uniform.least, 1010u);
  EXPECT_GT(uniform.most, 6990u);
  // Six deviations between the bounds.
  const Spread normal = SizesOf(SizeDistribution::kNormal);
  EXPECT_NEAR(normal.mean, 4000, 60);
  EXPECT_NEAR(normal.deviation, 1000, 50);
  EXPECT_GE(normal.least, 1000u);
  EXPECT_LE(normal.most, 7000u);
}

// How many bytes of values are not a repetition of what came shortly before
// them: what any compressor with a window would have to keep.
double FreshPart(double ratio) {
  ValueShape shape;
  shape.size = 1000;
  shape.compression_ratio = ratio;
  const ValueMaker maker(shape);
  constexpr size_t kMatch = 8;
  size_t fresh = 0;
  size_t total = 0;
  for (uint64_t index = 0; index < 50; ++index) {
    const std::string value = MakeValue(maker, index, 1);
    total += value.size();
    for (size_t at = 0; at < value.size();) {
      const std::string_view before = std::string_view(value).substr(0, at);
      const std::string_view next = std::string_view(value).substr(at, kMatch);
      if (next.size() == kMatch &&
          before.find(next) != std::string_view::npos) {
        at += kMatch;
      } else {
        ++fresh;
        ++at;
      }
    }
  }
  return static_cast<double>(fresh) / static_cast<double>(total);
}

TEST(GeneratorsTest, ValuesShrinkToTheRatioAskedFor) {
  EXPECT_GT(FreshPart(1.0), 0.99);
  EXPECT_NEAR(FreshPart(0.5), 0.5, 0.1);
  EXPECT_NEAR(FreshPart(0.25), 0.25, 0.1);
}

}  // namespace
}  // namespace eve::bench
