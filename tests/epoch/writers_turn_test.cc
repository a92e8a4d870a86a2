#include "engine/epoch/writers_turn.h"

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "engine/epoch/ticket.h"
#include "gtest/gtest.h"
#include "tests/epoch/attached_process.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/step_sync.h"
#include "tests/testing/temp_dir.h"
#include "util/clock.h"
#include "util/failpoint.h"

namespace eve {
namespace {

constexpr uint64_t kForEver = UINT64_MAX;
// A run so long that nobody's patience ends during a test.
constexpr uint64_t kLongRun = WritersTurn::kWaitNanosMax;

struct Process : testing::AttachedProcess {
  WritersTurn turn{&region, slots.get()};
  using AttachedProcess::AttachedProcess;
  uint64_t waits() const { return ReadCounter(slots->own().waits); }
};

class WritersTurnTest : public ::testing::Test {
 protected:
  void SetUp() override {
    SetStepHook([this](std::string_view step) {
      if (step == "turn.give_way") sync_.Signal(1);
      if (step == "turn.waited_in_vain") ++in_vain_;
      if (step == "turn.holder_dead") ++dead_;
    });
  }
  void TearDown() override { ClearStepHook(); }

  testing::TempDir dir_;
  const std::string path_ = dir_.File("lock");
  testing::StepSync sync_;  // 1: somebody has begun to give way
  std::atomic<int> in_vain_{0};
  std::atomic<int> dead_{0};
};

TEST_F(WritersTurnTest, NobodyWaitsForNobody) {
  Process a(path_);
  Process b(path_);
  a.turn.GiveWay(0, kForEver);
  const uint64_t ticket = a.turn.Take(0, kLongRun);
  ASSERT_NE(ticket, 0u);
  EXPECT_FALSE(a.turn.IsTaken(ticket));
  a.turn.GiveWay(ticket, kForEver);  // not for oneself
  EXPECT_TRUE(b.turn.IsTaken());
  EXPECT_TRUE(a.turn.IsTaken()) << "for another thread of the process";
  // One at a time.
  EXPECT_EQ(b.turn.Take(0, kLongRun), 0u);
  a.turn.Release(ticket);
  EXPECT_FALSE(b.turn.IsTaken());
  b.turn.GiveWay(0, kForEver);
  EXPECT_EQ(a.waits() + b.waits(), 0u);
  EXPECT_NE(b.turn.Take(0, kLongRun), 0u);
}

TEST_F(WritersTurnTest, OthersWaitUntilItIsReleased) {
  Process a(path_);
  Process b(path_);
  const uint64_t ticket = a.turn.Take(0, kLongRun);
  std::atomic<bool> released{false};
  std::thread other([&] {
    b.turn.GiveWay(0, kForEver);
    EXPECT_TRUE(released);
  });
  sync_.Await(1);
  released = true;
  a.turn.Release(ticket);
  other.join();
  EXPECT_EQ(b.waits(), 1u);
  EXPECT_EQ(in_vain_, 0);
}

// P20: once for all processes, whoever it is that has waited.
TEST_F(WritersTurnTest, ATicketThatIsWaitedForInVainIsThrownAwayForAll) {
  Process a(path_);
  Process b(path_);
  Process c(path_);
  const uint64_t first = a.turn.Take(0, 1);
  b.turn.GiveWay(0, kForEver);
  EXPECT_EQ(in_vain_, 1);
  EXPECT_FALSE(b.turn.IsTaken());
  EXPECT_FALSE(c.turn.IsTaken());
  b.turn.GiveWay(0, kForEver);
  c.turn.GiveWay(0, kForEver);
  EXPECT_EQ(b.waits() + c.waits(), 1u);
  // The holder goes on after all and loses again: another ticket.
  const uint64_t second = a.turn.Take(first, 1);
  EXPECT_NE(second, first);
  EXPECT_TRUE(b.turn.IsTaken());
  // Its release takes nobody's turn when it has had its time.
  b.turn.GiveWay(0, kForEver);
  EXPECT_EQ(in_vain_, 2);
  const uint64_t others = b.turn.Take(0, kLongRun);
  ASSERT_NE(others, 0u);
  a.turn.Release(second);
  EXPECT_TRUE(a.turn.IsTaken());
  EXPECT_EQ(a.turn.Take(second, 1), second) << "a holder without its turn";
}

// Those who waited have thrown its tickets away, one by one.
TEST_F(WritersTurnTest, AHolderThatLosesAgainIsWaitedForLonger) {
  Process a(path_);
  Process b(path_);
  uint64_t ticket = 0;
  uint64_t last = 0;
  // Each bound is at least twice the run of the ticket before.
  for (int i = 0; i < 6; ++i) {
    ticket = a.turn.Take(ticket, 1);
    const uint64_t begin = MonotonicNanos();
    b.turn.GiveWay(0, kForEver);
    last = MonotonicNanos() - begin;
  }
  EXPECT_EQ(in_vain_, 6);
  // 64 us is the shortest run: 32 of them twice, and the grace.
  EXPECT_GE(last, WritersTurn::kRunsWaited * 32 * 64 * kNanosPerMicro +
                      WritersTurn::kGraceNanos);
}

TEST_F(WritersTurnTest, ADeadlineEndsTheWaitAndBlamesNobody) {
  Process a(path_);
  Process b(path_);
  a.turn.Take(0, kLongRun);
  b.turn.GiveWay(0, MonotonicNanos());
  EXPECT_EQ(in_vain_, 0);
  EXPECT_TRUE(b.turn.IsTaken());
}

TEST_F(WritersTurnTest, ATicketOfTheDeadIsThrownAway) {
  auto a = std::make_unique<Process>(path_);
  Process b(path_);
  ASSERT_NE(a->turn.Take(0, kLongRun), 0u);
  a.reset();  // closes its descriptor, which drops its lock byte
  b.turn.GiveWay(0, kForEver);
  EXPECT_EQ(dead_, 1);
  EXPECT_EQ(b.region.words().turn.load(), 0u);
}

TEST_F(WritersTurnTest, ATicketOfTheDeadIsReplaced) {
  auto a = std::make_unique<Process>(path_);
  Process b(path_);
  ASSERT_NE(a->turn.Take(0, kLongRun), 0u);
  a.reset();
  Process again(path_);  // lives in the slot of the dead
  EXPECT_NE(b.turn.Take(0, kLongRun), 0u);
  EXPECT_EQ(again.turn.Take(0, kLongRun), 0u);
}

// Where all rest nobody waits: whoever leaves off must find out by itself.
TEST_F(WritersTurnTest, WhoLeavesOffThrowsTheTicketOfTheDeadAway) {
  auto a = std::make_unique<Process>(path_);
  Process b(path_);
  EXPECT_FALSE(b.turn.ShouldLeaveOff());
  ASSERT_NE(a->turn.Take(0, kLongRun), 0u);
  EXPECT_TRUE(b.turn.ShouldLeaveOff());
  a.reset();
  EXPECT_FALSE(b.turn.ShouldLeaveOff());
  EXPECT_EQ(b.region.words().turn.load(), 0u);
}

TEST_F(WritersTurnTest, NobodyLeavesOffForLongerThanOthersWait) {
  Process a(path_);
  Process b(path_);
  const uint64_t first = a.turn.Take(0, 1);
  uint64_t looks = 0;
  while (b.turn.ShouldLeaveOff()) ++looks;
  EXPECT_GT(looks, 0u);
  EXPECT_EQ(b.region.words().turn.load(), 0u) << "others wait for it";
  EXPECT_FALSE(b.turn.ShouldLeaveOff());
  // Another ticket is another matter.
  ASSERT_NE(a.turn.Take(first, kLongRun), first);
  EXPECT_TRUE(b.turn.ShouldLeaveOff());
}

// The numbers of tickets have 22 bits, of which none is 0. Who waits sleeps on
// the low half, which two in a row must not share.
TEST_F(WritersTurnTest, NumbersOfTicketsMayBeginAnew) {
  Process a(path_);
  uint32_t before = 0;
  for (uint64_t serial = kTicketNumbers - 3; serial < kTicketNumbers + 3;
       ++serial) {
    const uint64_t ticket = MakeTicket(*a.slots, serial, kNanosPerMilli);
    EXPECT_NE(ticket & kTicketNumbers, 0u);
    EXPECT_NE(static_cast<uint32_t>(ticket), before);
    before = static_cast<uint32_t>(ticket);
  }
}

// A wait goes on for who follows.
TEST_F(WritersTurnTest, AReplacedTicketIsWaitedForToo) {
  Process a(path_);
  Process b(path_);
  const uint64_t first = a.turn.Take(0, kLongRun);
  std::atomic<bool> released{false};
  std::thread other([&] {
    b.turn.GiveWay(0, kForEver);
    EXPECT_TRUE(released);
  });
  sync_.Await(1);
  const uint64_t second = a.turn.Take(first, kLongRun);
  ASSERT_NE(second, first);
  released = true;
  a.turn.Release(second);
  other.join();
  EXPECT_EQ(b.waits(), 1u);
}

}  // namespace
}  // namespace eve
