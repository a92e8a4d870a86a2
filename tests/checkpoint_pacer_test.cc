// When background checkpoints come, on a clock that is made up: a device that
// is slow must not be busy with nothing else.

#include "engine/checkpoint/checkpoint_pacer.h"

#include <algorithm>
#include <cstdint>
#include <functional>

#include "gtest/gtest.h"

namespace eve {
namespace {

struct Outcome {
  uint64_t checkpoints = 0;
  double busy_share = 0;
  absl::Duration rest_max;  // between the end of one and the start of the next
  absl::Duration period_max;  // between their starts
};

// As the checkpoint thread does.
Outcome Simulate(absl::Duration interval, absl::Duration lasts,
                 const std::function<absl::Duration(absl::Duration now)>& of,
                 bool makes_haste = false) {
  const CheckpointPacer pacer(interval);
  Outcome run;
  absl::Duration busy;
  absl::Duration now = interval;
  while (now < lasts) {
    const absl::Duration took = of(now);
    const absl::Duration rest = pacer.RestAfter(took, makes_haste);
    run.rest_max = std::max(run.rest_max, rest);
    run.period_max = std::max(run.period_max, took + rest);
    now += took + rest;
    busy += took;
    ++run.checkpoints;
  }
  run.busy_share = absl::FDivDuration(busy, now);
  return run;
}

constexpr absl::Duration kInterval = absl::Milliseconds(100);

TEST(CheckpointPacerTest, AFastDeviceGetsOneEachInterval) {
  for (const absl::Duration took :
       {absl::ZeroDuration(), absl::Milliseconds(1), kInterval / 2}) {
    const Outcome run = Simulate(kInterval, absl::Seconds(60),
                                 [took](absl::Duration) { return took; });
    EXPECT_EQ(run.period_max, kInterval);
    EXPECT_NEAR(static_cast<double>(run.checkpoints), 600, 2);
  }
}

TEST(CheckpointPacerTest, ASlowOneRestsForHalfOfItsTime) {
  for (const absl::Duration took :
       {kInterval / 2 + absl::Milliseconds(1), kInterval, 3 * kInterval,
        absl::Seconds(1), absl::Seconds(9)}) {
    const Outcome run = Simulate(kInterval, absl::Seconds(6000),
                                 [took](absl::Duration) { return took; });
    EXPECT_LE(run.busy_share, 0.501) << took;
    EXPECT_GT(run.busy_share, 0.499) << took;
    EXPECT_EQ(run.rest_max, took);
  }
}

TEST(CheckpointPacerTest, ButNeverForLongerThanTheBound) {
  const Outcome run = Simulate(kInterval, absl::Hours(10), [](absl::Duration) {
    return absl::Seconds(100);
  });
  EXPECT_EQ(run.rest_max, CheckpointPacer::kRestMax);
}

TEST(CheckpointPacerTest, HasteMakesThemTwiceAsOften) {
  const Outcome run = Simulate(
      kInterval, absl::Seconds(60),
      [](absl::Duration) { return absl::Milliseconds(20); },
      /*makes_haste=*/true);
  EXPECT_EQ(run.period_max, kInterval / 2);
}

TEST(CheckpointPacerTest, ASlowDeviceRestsForAThirdOfItsTimeThen) {
  const Outcome run = Simulate(
      kInterval, absl::Seconds(6000),
      [](absl::Duration) { return absl::Seconds(2); }, /*makes_haste=*/true);
  EXPECT_NEAR(run.busy_share, 2.0 / 3, 0.001);
}

TEST(CheckpointPacerTest, AnEndlessIntervalIsNotHastened) {
  const CheckpointPacer pacer(absl::InfiniteDuration());
  EXPECT_EQ(pacer.RestAfter(absl::Seconds(1), /*makes_haste=*/true),
            absl::InfiniteDuration());
}

TEST(CheckpointPacerTest, OneThatIsFastAgainIsNotHeldBack) {
  const Outcome run =
      Simulate(kInterval, absl::Seconds(100), [](absl::Duration now) {
        return now < absl::Seconds(20) ? absl::Seconds(1)
                                       : absl::Milliseconds(1);
      });
  EXPECT_GT(run.checkpoints, 750u);
}

}  // namespace
}  // namespace eve
