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
  for (const uint64_t ticks : {1, 2, 10, 100, 500}) {
    RestPacer pacer;
    uint64_t conflicts = 7;
    pacer.MayMove(conflicts, false);
    // Rest begins at the end of a run that is lost.
    pacer.MayMove(conflicts, true);
    ++conflicts;
    EXPECT_LE(RunsOf(pacer, ticks, conflicts), 4) << ticks;
    // One after the other: the pause is remembered.
    EXPECT_LE(RunsOf(pacer, ticks, conflicts), 3) << ticks;
    EXPECT_LE(RunsOf(pacer, ticks, conflicts), 3) << ticks;
  }
}

// Writers in each other's way, with moments of rest in between, must not keep
// the domain from being packed when they are done.
TEST(RestPacerTest, ConflictsOfWritersAmongEachOtherLengthenNothing) {
  RestPacer pacer;
  uint64_t conflicts = 0;
  for (int burst = 0; burst < 100; ++burst) {
    pacer.MayMove(conflicts, true);
    for (int i = 0; i < 5; ++i) pacer.MayMove(conflicts += 1000, false);
  }
  int moves = 0;
  for (int i = 0; i < 20; ++i) moves += pacer.MayMove(conflicts, true) ? 1 : 0;
  EXPECT_GE(moves, 15);
}

TEST(RestPacerTest, MovesAgainAfterACalmTime) {
  RestPacer pacer;
  uint64_t conflicts = 0;
  RunsOf(pacer, 100, conflicts);
  bool moved = false;
  for (int i = 0; i < 8 * 400; ++i) moved = pacer.MayMove(conflicts, true);
  EXPECT_TRUE(moved);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(pacer.MayMove(conflicts, true));
}

TEST(RestPacerTest, RecoversAtOnceWhenOthersCommitWithoutLosing) {
  RestPacer pacer;
  uint64_t conflicts = 0;
  RunsOf(pacer, 500, conflicts);
  for (int i = 0; i < 12; ++i) pacer.MayMove(conflicts, false);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(pacer.MayMove(conflicts, true));
}

}  // namespace
}  // namespace eve
