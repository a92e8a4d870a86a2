#include "engine/epoch/flusher_turn.h"

#include <atomic>
#include <string>
#include <string_view>
#include <thread>

#include "engine/epoch/ticket.h"
#include "gtest/gtest.h"
#include "tests/epoch/attached_process.h"
#include "tests/testing/temp_dir.h"
#include "util/clock.h"
#include "util/failpoint.h"

namespace eve {
namespace {

constexpr uint64_t kForEver = UINT64_MAX;

struct Process : testing::AttachedProcess {
  FlusherTurn turn{&region, slots.get()};
  using AttachedProcess::AttachedProcess;
};

class FlusherTurnTest : public ::testing::Test {
 protected:
  testing::TempDir dir_;
  const std::string path_ = dir_.File("lock");
};

// P20: a device that takes long is not taken for one stopped process after the
// other, each of which would let one more slot be written.
TEST_F(FlusherTurnTest, WhoTakesOverIsWaitedForForLonger) {
  Process a(path_);
  Process b(path_);
  uint64_t held = a.turn.TryTake();
  ASSERT_NE(held, 0u);
  FlusherTurn::Patience patience;
  const ScopedFaultHook impatient([](std::string_view point) {
    return point == "flusher.patience" ? 1 : 0;
  });
  for (int i = 0; i < 4; ++i) {
    FlusherTurn& other = i % 2 == 0 ? b.turn : a.turn;
    const uint64_t next =
        other.WaitOrTakeOver(1, other.beat(), kForEver, patience);
    EXPECT_EQ(NanosOfTicket(next), 2 * NanosOfTicket(held));
    held = next;
  }
}

// One that is dead was not waited for.
TEST_F(FlusherTurnTest, WhoTakesOverFromTheDeadIsNot) {
  Process b(path_);
  uint64_t held = 0;
  {
    Process a(path_);
    held = a.turn.TryTake();
  }
  FlusherTurn::Patience patience;
  const uint64_t next =
      b.turn.WaitOrTakeOver(1, b.turn.beat(), kForEver, patience);
  EXPECT_EQ(NanosOfTicket(next), NanosOfTicket(held));
}

// Who waits sleeps on the low half of the beat. Each round it is at its end,
// and the ticket is another's at once, so that the beat alone wakes. If it did
// not, who sleeps would look by itself a moment later, or lose its patience;
// which may happen by chance, too, but not each time.
TEST_F(FlusherTurnTest, TheBeatMayBeginAnew) {
  Process a(path_);
  Process b(path_);
  Process c(path_);
  constexpr uint64_t kLast = UINT32_MAX;
  constexpr int kRounds = 20;
  int woken = 0;
  for (int round = 0; round < kRounds; ++round) {
    a.region.words().beat = kLast;
    uint64_t next = 0;
    std::atomic<bool> sleeps{false};
    std::atomic<bool> looked{false};
    const ScopedStepHook hook([&](std::string_view step) {
      if (step == "flusher.released") next = c.turn.TryTake();
      if (step == "flusher.sleep") sleeps = true;
      if (step == "flusher.looked") looked = true;
    });
    const uint64_t held = a.turn.TryTake();
    ASSERT_NE(held, 0u);
    uint64_t taken_over = 0;
    std::thread waiter([&] {
      FlusherTurn::Patience patience;
      taken_over = b.turn.WaitOrTakeOver(1, kLast, kForEver, patience);
    });
    while (!sleeps) std::this_thread::yield();
    a.turn.Release(held, FlusherTurn::Flushed{0, 1, kNanosPerSecond});
    waiter.join();
    woken += looked || taken_over != 0 ? 0 : 1;
    a.region.words().flusher = 0;
  }
  EXPECT_GT(woken, 0);
}

}  // namespace
}  // namespace eve
