// When background checkpoints come, on a clock that is made up: a device that
// is slow must not be busy with nothing else.

#include "engine/checkpoint/checkpoint_pacer.h"

#include <algorithm>
#include <cstdint>
#include <functional>

#include "gtest/gtest.h"
#include "util/clock.h"

namespace eve {
namespace {

struct Outcome {
  uint64_t checkpoints = 0;
  double busy_share = 0;
  uint64_t gap_max = 0;  // between the end of one and the start of the next
};

// As the background thread does: ticks, an interval after the end of the one
// before, of which a checkpoint is a part.
Outcome Simulate(uint64_t interval, uint64_t lasts,
                 const std::function<uint64_t(uint64_t now)>& took) {
  CheckpointPacer pacer(interval);
  Outcome run;
  uint64_t busy = 0;
  uint64_t ended = 0;
  uint64_t now = 0;
  while (now < lasts) {
    now += interval;
    if (!pacer.IsDue(now)) continue;
    if (run.checkpoints > 0) run.gap_max = std::max(run.gap_max, now - ended);
    const uint64_t begin = now;
    now += took(now);
    pacer.Ran(begin, now);
    ended = now;
    busy += now - begin;
    ++run.checkpoints;
  }
  run.busy_share = static_cast<double>(busy) / static_cast<double>(now);
  return run;
}

constexpr uint64_t kInterval = 100 * kNanosPerMilli;

TEST(CheckpointPacerTest, AFastDeviceGetsOneEachInterval) {
  for (const uint64_t took : {uint64_t{0}, kNanosPerMilli, kInterval}) {
    const Outcome run = Simulate(kInterval, 60 * kNanosPerSecond,
                                 [took](uint64_t) { return took; });
    EXPECT_EQ(run.gap_max, kInterval);
    EXPECT_NEAR(static_cast<double>(run.checkpoints),
                60.0 * kNanosPerSecond / static_cast<double>(kInterval + took),
                2);
  }
}

TEST(CheckpointPacerTest, ASlowOneRestsForHalfOfItsTime) {
  for (const uint64_t took :
       {kInterval + 1, 3 * kInterval, kNanosPerSecond, 9 * kNanosPerSecond}) {
    const Outcome run = Simulate(kInterval, 6000 * kNanosPerSecond,
                                 [took](uint64_t) { return took; });
    EXPECT_LE(run.busy_share, 0.501) << took;
    EXPECT_GT(run.busy_share, 0.3) << took;
    EXPECT_GE(run.gap_max, took);
    EXPECT_LE(run.gap_max, took + kInterval);
  }
}

TEST(CheckpointPacerTest, ButNeverForLongerThanTheBound) {
  const Outcome run = Simulate(kInterval, 36000 * kNanosPerSecond,
                               [](uint64_t) { return 100 * kNanosPerSecond; });
  EXPECT_LE(run.gap_max, CheckpointPacer::kRestNanosMax + kInterval);
}

TEST(CheckpointPacerTest, OneThatIsFastAgainIsNotHeldBack) {
  const Outcome run =
      Simulate(kInterval, 100 * kNanosPerSecond, [](uint64_t now) {
        return now < 20 * kNanosPerSecond ? kNanosPerSecond : kNanosPerMilli;
      });
  EXPECT_GT(run.checkpoints, 750u);
}

}  // namespace
}  // namespace eve
