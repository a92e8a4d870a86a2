// When a worker of a storm counts as quiet, and when as one that hangs.

#include "tests/crash/storm_patience.h"

#include "gtest/gtest.h"

namespace eve::testing {
namespace {

constexpr uint64_t kPatience = 100;

TEST(StormPatienceTest, IsOverAfterSoMuchTimeWithoutProgress) {
  StormPatience patience(kPatience);
  patience.Begin(/*work=*/1, /*now=*/1000);
  patience.Look(1, /*is_running=*/true, 1000 + kPatience - 1);
  EXPECT_FALSE(patience.IsOver());
  patience.Look(1, /*is_running=*/true, 1000 + kPatience);
  EXPECT_TRUE(patience.IsOver());
}

TEST(StormPatienceTest, BeginsAnewWithProgressAndWithAProcess) {
  StormPatience patience(kPatience);
  patience.Begin(1, 0);
  patience.Look(1, true, 99);
  patience.Look(2, true, 150);
  patience.Look(2, true, 249);
  EXPECT_FALSE(patience.IsOver());
  patience.Begin(3, 1000);
  patience.Look(3, true, 1099);
  EXPECT_FALSE(patience.IsOver());
  patience.Look(3, true, 1100);
  EXPECT_TRUE(patience.IsOver());
}

TEST(StormPatienceTest, CountsNoTimeInWhichItWasStopped) {
  StormPatience patience(kPatience);
  patience.Begin(1, 0);
  patience.Look(1, true, 60);
  patience.Look(1, /*is_running=*/false, 70);
  patience.Look(1, false, 5000);
  // It goes on somewhere between these two.
  patience.Look(1, true, 9000);
  patience.Look(1, true, 9039);
  EXPECT_FALSE(patience.IsOver());
  patience.Look(1, true, 9040);
  EXPECT_TRUE(patience.IsOver());
}

TEST(StormPatienceTest, IsQuietAfterSomeRoundsInWhichItRan) {
  StormPatience patience(kPatience);
  patience.Begin(1, 0);
  for (int round = 1; round < StormPatience::kQuietRounds; ++round) {
    patience.EndRound();
  }
  EXPECT_FALSE(patience.IsQuiet());
  patience.Look(1, /*is_running=*/false, 1);
  patience.EndRound();
  EXPECT_FALSE(patience.IsQuiet());
  patience.Look(1, true, 2);
  patience.EndRound();
  EXPECT_TRUE(patience.IsQuiet());
  patience.Look(2, true, 3);
  EXPECT_FALSE(patience.IsQuiet());
}

}  // namespace
}  // namespace eve::testing
