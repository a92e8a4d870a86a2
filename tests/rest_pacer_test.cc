// Compaction at rest leaves long transactions of others time to finish.

#include "engine/reclaim/rest_pacer.h"

#include "gtest/gtest.h"

namespace eve {
namespace {

// A transaction of `ticks` ticks that loses a run to each move beside it.
// Returns how many runs it needed.
int RunsOf(RestPacer& pacer, uint64_t ticks, uint64_t& conflicts) {
  for (int run = 1; run < 1000; ++run) {
    bool lost = false;
    for (uint64_t i = 0; i < ticks; ++i) {
      lost |= pacer.MayMove(conflicts, /*is_at_rest=*/true);
    }
    if (!lost) {
      pacer.MayMove(conflicts, /*is_at_rest=*/false);
      return run;
    }
    ++conflicts;
  }
  return 1000;
}

TEST(RestPacerTest, MovesAtEachTickWhileNobodyLoses) {
  RestPacer pacer;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(pacer.MayMove(0, true));
  EXPECT_FALSE(pacer.MayMove(0, false));
  EXPECT_TRUE(pacer.MayMove(0, true));
}

TEST(RestPacerTest, LongTransactionsLoseFewRuns) {
  for (const uint64_t ticks : {1, 2, 10, 100, 1000}) {
    RestPacer pacer;
    uint64_t conflicts = 7;
    pacer.MayMove(conflicts, false);
    int log2 = 0;
    while ((uint64_t{1} << log2) < ticks) ++log2;
    EXPECT_LE(RunsOf(pacer, ticks, conflicts), log2 + 3) << ticks;
    // One after the other: the pause is remembered.
    EXPECT_LE(RunsOf(pacer, ticks, conflicts), 3) << ticks;
    EXPECT_LE(RunsOf(pacer, ticks, conflicts), 3) << ticks;
  }
}

TEST(RestPacerTest, RecoversWhenOthersCommitWithoutLosing) {
  RestPacer pacer;
  uint64_t conflicts = 0;
  RunsOf(pacer, 1000, conflicts);
  for (int i = 0; i < 20; ++i) pacer.MayMove(conflicts, false);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(pacer.MayMove(conflicts, true));
}

}  // namespace
}  // namespace eve
