// When a swap asks for the turn, and what it does while another has it.

#include "engine/txn/contender.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/epoch/attached_process.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve::internal {
namespace {

constexpr uint64_t kLongRun = WritersTurn::kWaitNanosMax;

struct Process : testing::AttachedProcess {
  WritersTurn turn{&region, slots.get()};
  using AttachedProcess::AttachedProcess;
};

class ContenderTest : public ::testing::Test {
 protected:
  // How many runs it loses before it has the turn.
  int LostRuns(Manners manners) {
    Contender contender(&mine_.turn, manners, options_, /*seed=*/1);
    int lost = 0;
    while (lost < 100 && !others_.turn.IsTaken()) {
      EXPECT_OK(contender.BeginRun());
      contender.LoseRun();
      ++lost;
    }
    return lost;
  }

  testing::TempDir dir_;
  Process mine_{dir_.File("lock")};
  Process others_{dir_.File("lock")};
  const SwapOptions options_;
};

// Fewer on a machine so slow that they take a millisecond together.
TEST_F(ContenderTest, ShortRunsGetTheTurnAfterSome) {
  const int lost = LostRuns(Manners::kGiveWay);
  EXPECT_GE(lost, 2);
  EXPECT_LE(lost, 16);
  EXPECT_FALSE(others_.turn.IsTaken()) << "its end gives the turn back";
}

TEST_F(ContenderTest, RestampsGetTheTurnToo) {
  Contender contender(&mine_.turn, Manners::kGiveWay, options_, /*seed=*/1);
  ASSERT_OK(contender.BeginRun());
  // After 8 if these took long, which on a busy machine they may.
  for (int i = 0; i < 7; ++i) contender.LoseRestamp();
  EXPECT_FALSE(others_.turn.IsTaken());
  for (int i = 7; i < 64; ++i) contender.LoseRestamp();
  EXPECT_TRUE(others_.turn.IsTaken());
}

TEST_F(ContenderTest, WhatGivesNoWayTakesNoTurn) {
  EXPECT_EQ(LostRuns(Manners::kGiveUp), 100);
  EXPECT_EQ(LostRuns(Manners::kGoOn), 100);
}

TEST_F(ContenderTest, MannersWhileAnotherHasTheTurn) {
  const uint64_t ticket = others_.turn.Take(0, kLongRun);
  const auto begin = [this](Manners manners) {
    return Contender(&mine_.turn, manners, options_, /*seed=*/1).BeginRun();
  };
  EXPECT_CODE(begin(Manners::kGiveUp), absl::StatusCode::kAborted);
  EXPECT_OK(begin(Manners::kGoOn));
  others_.turn.Release(ticket);
  EXPECT_OK(begin(Manners::kGiveUp));
  EXPECT_OK(begin(Manners::kGiveWay));
}

}  // namespace
}  // namespace eve::internal
