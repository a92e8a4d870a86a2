#include <algorithm>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "util/backoff.h"
#include "util/clock.h"
#include "util/random.h"

namespace eve {
namespace {

// The first outputs of the reference code at https://prng.di.unimi.it: seeds
// in old bug reports must keep their meaning.
TEST(RandomTest, SplitMix64GivesTheReferenceNumbers) {
  uint64_t state = 1234567;
  EXPECT_EQ(SplitMix64(state), 6457827717110365317u);
  EXPECT_EQ(SplitMix64(state), 3203168211198807973u);
  EXPECT_EQ(SplitMix64(state), 9817491932198370423u);
}

TEST(RandomTest, EqualSeedsGiveEqualNumbers) {
  Random a(7);
  Random b(7);
  Random c(8);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const uint64_t number = a.Next();
    EXPECT_EQ(number, b.Next());
    differs |= number != c.Next();
  }
  EXPECT_TRUE(differs);
}

// With 10,000 draws a bucket, six standard deviations are about 600.
TEST(RandomTest, UniformIsEvenAndStaysBelowItsBound) {
  Random random(1);
  std::vector<int> seen(10);
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t number = random.Uniform(seen.size());
    ASSERT_LT(number, seen.size());
    ++seen[number];
  }
  for (int count : seen) EXPECT_NEAR(count, 10'000, 600);
  EXPECT_EQ(random.Uniform(1), 0u);
}

TEST(RandomTest, DoublesFillTheUnitInterval) {
  Random random(2);
  double lowest = 1;
  double highest = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double number = random.NextDouble();
    lowest = std::min(lowest, number);
    highest = std::max(highest, number);
  }
  EXPECT_GE(lowest, 0);
  EXPECT_LT(lowest, 0.01);
  EXPECT_GT(highest, 0.99);
  EXPECT_LT(highest, 1);
}

TEST(RandomTest, ServesTheStandardAlgorithms) {
  std::vector<int> numbers = {1, 2, 3, 4, 5, 6, 7, 8};
  std::shuffle(numbers.begin(), numbers.end(), Random(3));
  EXPECT_FALSE(std::is_sorted(numbers.begin(), numbers.end()));
}

// However often a writer loses, one wait stays short: a thousand waits end in
// less than a second even on a loaded machine.
TEST(BackoffTest, WaitNeverTakesLong) {
  Backoff backoff(1);
  const uint64_t start = MonotonicNanos();
  for (int i = 0; i < 1000; ++i) backoff.Wait();
  EXPECT_LT(MonotonicNanos() - start, kNanosPerSecond);
  EXPECT_EQ(backoff.rounds(), 1000u);
  backoff.Reset();
  EXPECT_EQ(backoff.rounds(), 0u);
}

TEST(ClockTest, NeverGoesBack) {
  uint64_t last = MonotonicNanos();
  for (int i = 0; i < 10'000; ++i) {
    const uint64_t now = MonotonicNanos();
    ASSERT_GE(now, last);
    last = now;
  }
}

}  // namespace
}  // namespace eve
