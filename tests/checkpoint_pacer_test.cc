// When background checkpoints come, on a clock that is made up: a device that
// is slow must not be busy with nothing else. And that the background thread
// keeps to it.

#include "engine/checkpoint/checkpoint_pacer.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "engine/file/file_observer.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/step_sync.h"
#include "tests/testing/temp_dir.h"
#include "util/clock.h"
#include "util/failpoint.h"

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

// A device that takes its time for a flush.
class SlowDevice : public FileObserver {
 public:
  explicit SlowDevice(uint64_t flush_nanos) : flush_nanos_(flush_nanos) {
    SetFileObserver(this);
  }
  ~SlowDevice() override { SetFileObserver(nullptr); }
  std::optional<int> Before(const FileCall& call) override {
    if (call.op != FileOp::kDatasync) return std::nullopt;
    const uint64_t until = MonotonicNanos() + flush_nanos_;
    while (MonotonicNanos() < until) std::this_thread::yield();
    return std::nullopt;
  }
  void After(const FileCall&, int) override {}

 private:
  const uint64_t flush_nanos_;
};

// When checkpoints began and ended. What the pacer is told is no shorter, and
// its rest no longer, so this needs no tolerance.
class CheckpointTimes {
 public:
  size_t ended() const {
    std::lock_guard lock(mutex_);
    return times_.size();
  }
  std::vector<std::pair<uint64_t, uint64_t>> all() const {
    std::lock_guard lock(mutex_);
    return times_;
  }
  void At(std::string_view step) {
    if (step == "checkpoint.announced") begun_ = MonotonicNanos();
    // One may have been under way before.
    if (step != "checkpoint.slot_flushed" || begun_ == 0) return;
    std::lock_guard lock(mutex_);
    times_.emplace_back(begun_, MonotonicNanos());
  }

 private:
  mutable std::mutex mutex_;
  uint64_t begun_ = 0;  // the background thread's
  std::vector<std::pair<uint64_t, uint64_t>> times_;
};

TEST(CheckpointPacerTest, TheBackgroundThreadRestsAfterASlowCheckpoint) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  const testing::TempDir dir;
  CheckpointTimes times;
  {
    DomainOptions options;
    options.checkpoint_every = absl::Milliseconds(1);
    ASSERT_OK_AND_ASSIGN(Domain domain,
                         Domain::Open(dir.File("d.eve"), options));
    using Strings = Map<std::string, std::string>;
    ASSERT_OK_AND_ASSIGN(const Strings map, domain.Collection<Strings>("m"));
    // While one runs the domain is not at rest, where roots move on by twos.
    testing::StepSync step;
    std::thread transaction([&domain, &step] {
      EXPECT_CODE(domain.Swap([&step](Transaction&) {
        step.Signal(1);
        step.Await(2);
        return absl::CancelledError();
      }),
                  absl::StatusCode::kCancelled);
    });
    const absl::Cleanup end = [&] {
      step.Signal(2);
      transaction.join();
    };
    step.Await(1);
    const SlowDevice device(10 * kNanosPerMilli);
    const ScopedStepHook hook([&](std::string_view step) { times.At(step); });
    // Each finds something to do.
    while (times.ended() < 6) ASSERT_OK(map.Put("k", "v"));
  }
  const auto all = times.all();
  for (size_t i = 1; i < all.size(); ++i) {
    const uint64_t took = all[i - 1].second - all[i - 1].first;
    EXPECT_GE(all[i].first - all[i - 1].second,
              std::min(took, CheckpointPacer::kRestNanosMax))
        << "after checkpoint " << i;
  }
}

}  // namespace
}  // namespace eve
