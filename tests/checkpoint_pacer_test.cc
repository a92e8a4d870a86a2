// When background checkpoints come, on a clock that is made up: a device that
// is slow must not be busy with nothing else. And that the checkpoint thread
// keeps to it, and that the rest goes on meanwhile.

#include "engine/checkpoint/checkpoint_pacer.h"

#include <algorithm>
#include <atomic>
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
  absl::Duration rest_max;  // between the end of one and the start of the next
  absl::Duration period_max;  // between their starts
};

// As the checkpoint thread does.
Outcome Simulate(absl::Duration interval, absl::Duration lasts,
                 const std::function<absl::Duration(absl::Duration now)>& of) {
  const CheckpointPacer pacer(interval);
  Outcome run;
  absl::Duration busy;
  absl::Duration now = interval;
  while (now < lasts) {
    const absl::Duration took = of(now);
    const absl::Duration rest = pacer.RestAfter(took);
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

TEST(CheckpointPacerTest, OneThatIsFastAgainIsNotHeldBack) {
  const Outcome run =
      Simulate(kInterval, absl::Seconds(100), [](absl::Duration now) {
        return now < absl::Seconds(20) ? absl::Seconds(1)
                                       : absl::Milliseconds(1);
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
// its rest follows that, so this needs no tolerance.
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
  uint64_t begun_ = 0;  // the checkpoint thread's
  std::vector<std::pair<uint64_t, uint64_t>> times_;
};

TEST(CheckpointPacerTest, TheCheckpointThreadRestsAfterASlowCheckpoint) {
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
    EXPECT_GE(all[i].first - all[i - 1].second, took)
        << "after checkpoint " << i;
  }
}

// A device that is done with a flush when space has been looked after twice.
class DeviceThatWaits : public FileObserver {
 public:
  explicit DeviceThatWaits(const std::atomic<int>* ticks) : ticks_(ticks) {
    SetFileObserver(this);
  }
  ~DeviceThatWaits() override { SetFileObserver(nullptr); }
  std::optional<int> Before(const FileCall& call) override {
    if (call.op != FileOp::kDatasync) return std::nullopt;
    const int seen = *ticks_;
    while (*ticks_ < seen + 2) std::this_thread::yield();
    return std::nullopt;
  }
  void After(const FileCall&, int) override {}

 private:
  const std::atomic<int>* const ticks_;
};

// Who writes would prepare its segments itself, and grow the file where others
// could be freed.
TEST(CheckpointPacerTest, SpaceIsLookedAfterWhileACheckpointWaitsForTheDevice) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  const testing::TempDir dir;
  DomainOptions options;
  options.checkpoint_every = absl::Milliseconds(1);
  // A rest moves the durable roots on as well, and waits for that.
  options.rest_after = absl::InfiniteDuration();
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(dir.File("d.eve"), options));
  ASSERT_OK_AND_ASSIGN(const auto map,
                       (domain.Collection<Map<std::string, std::string>>("m")));
  std::atomic<int> ticks{0};
  const ScopedStepHook hook([&](std::string_view step) {
    if (step == "reclaimer.tick") ++ticks;
  });
  const DeviceThatWaits device(&ticks);
  ASSERT_OK(map.Put("k", "v"));
  const uint64_t version = domain.Now().value().version();
  while (domain.durable_version() < version) std::this_thread::yield();
}

}  // namespace
}  // namespace eve
