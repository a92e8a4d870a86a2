// The checkpoint thread: when it works, and what goes on meanwhile.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/functional/function_ref.h"
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

using Strings = Map<std::string, std::string>;

// Takes the place of the flushes. Outlives the domain.
class Device : public FileObserver {
 public:
  Device() { SetFileObserver(this); }
  ~Device() override { SetFileObserver(nullptr); }
  // From Begin() to End() flushes take time.
  void Begin() { ends_ = false; }
  void End() { ends_ = true; }
  std::optional<int> Before(const FileCall& call) override {
    if (call.op != FileOp::kDatasync) return std::nullopt;
    if (!ends_) Flush();
    return 0;
  }
  void After(const FileCall&, int) override {}

 protected:
  virtual void Flush() = 0;
  bool ends() const { return ends_; }

 private:
  std::atomic<bool> ends_{true};
};

// That takes its time.
class SlowDevice : public Device {
 public:
  explicit SlowDevice(uint64_t flush_nanos) : flush_nanos_(flush_nanos) {}

 private:
  void Flush() override {
    const uint64_t until = MonotonicNanos() + flush_nanos_;
    while (MonotonicNanos() < until) std::this_thread::yield();
  }

  const uint64_t flush_nanos_;
};

// That is done with a flush when space has been looked after so often since.
class DeviceThatWaits : public Device {
 public:
  DeviceThatWaits(const std::atomic<int>* ticks, int count)
      : ticks_(ticks), count_(count) {}

 private:
  void Flush() override {
    const int seen = *ticks_;
    while (*ticks_ < seen + count_ && !ends()) std::this_thread::yield();
  }

  const std::atomic<int>* const ticks_;
  const int count_;
};

// That is done with the first flush when End() is called.
class DeviceThatIsTold : public Device {
 public:
  bool is_busy() const { return is_busy_; }

 private:
  void Flush() override {
    is_busy_ = true;
    while (!ends()) std::this_thread::yield();
  }

  std::atomic<bool> is_busy_{false};
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
  void Start() { has_started_ = true; }
  void At(std::string_view step) {
    if (!has_started_) return;
    if (step == "checkpoint.announced") begun_ = MonotonicNanos();
    // One may have been under way before.
    if (step != "checkpoint.slot_flushed" || begun_ == 0) return;
    std::lock_guard lock(mutex_);
    times_.emplace_back(begun_, MonotonicNanos());
  }

 private:
  mutable std::mutex mutex_;
  std::atomic<bool> has_started_{false};
  uint64_t begun_ = 0;  // of whose turn it is to make one
  std::vector<std::pair<uint64_t, uint64_t>> times_;
};

class BackgroundCheckpointTest : public ::testing::Test {
 protected:
  void Open(absl::Duration every) {
    DomainOptions options;
    options.checkpoint_every = every;
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(dir_.File("d.eve"), options));
    ASSERT_OK_AND_ASSIGN(map_, domain_.Collection<Strings>("m"));
  }
  // What its threads may be in a call of goes out of scope after this.
  void End(Device& device) {
    device.End();
    Close();
  }
  void Close() {
    map_.reset();
    domain_ = Domain();
  }
  absl::Status Put() { return map_->Put("k", "v"); }
  // While it runs the domain is not at rest, where roots move on by twos.
  void RunBesideATransaction(absl::FunctionRef<void()> fn) {
    testing::StepSync step;
    std::thread transaction([this, &step] {
      EXPECT_CODE(domain_.Swap([&step](Transaction&) {
        step.Signal(1);
        step.Await(2);
        return absl::CancelledError();
      }),
                  absl::StatusCode::kCancelled);
    });
    step.Await(1);
    fn();
    step.Signal(2);
    transaction.join();
  }
  void PutUntilDurable() {
    ASSERT_OK(Put());
    const uint64_t version = domain_.Now().value().version();
    while (domain_.durable_version() < version) std::this_thread::yield();
  }

  const testing::TempDir dir_;
  Domain domain_;
  std::optional<Strings> map_;
};

TEST_F(BackgroundCheckpointTest, ASlowOneIsFollowedByARest) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  CheckpointTimes times;
  const ScopedStepHook hook([&](std::string_view step) { times.At(step); });
  SlowDevice device(10 * kNanosPerMilli);
  const absl::Cleanup close = [&] { End(device); };
  ASSERT_NO_FATAL_FAILURE(Open(absl::Milliseconds(1)));
  device.Begin();
  std::vector<std::pair<uint64_t, uint64_t>> all;
  RunBesideATransaction([&] {
    times.Start();
    // Each finds something to do, but little: where durable roots keep much
    // that is dead they make haste.
    for (uint64_t seen = UINT64_MAX; times.ended() < 6;) {
      if (times.ended() == seen) {
        std::this_thread::yield();
        continue;
      }
      seen = times.ended();
      ASSERT_OK(Put());
    }
    all = times.all();
  });
  for (size_t i = 1; i < all.size(); ++i) {
    const uint64_t took = all[i - 1].second - all[i - 1].first;
    EXPECT_GE(all[i].first - all[i - 1].second, took)
        << "after checkpoint " << i;
  }
}

// Not an interval after the last one ended: then this would wait for ever. On a
// busy machine any may come late, but not all; and none takes most of an
// interval, after which as long a rest would follow.
TEST_F(BackgroundCheckpointTest, TheyBeginAnIntervalApart) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  constexpr uint64_t kInterval = 400 * kNanosPerMilli;
  constexpr uint64_t kFlush = 80 * kNanosPerMilli;  // two in a checkpoint
  CheckpointTimes times;
  const ScopedStepHook hook([&](std::string_view step) { times.At(step); });
  SlowDevice device(kFlush);
  const absl::Cleanup close = [&] { End(device); };
  ASSERT_NO_FATAL_FAILURE(Open(absl::Nanoseconds(kInterval)));
  device.Begin();
  RunBesideATransaction([&] {
    times.Start();
    uint64_t shortest = UINT64_MAX;
    while (shortest >= kInterval + 2 * kFlush) {
      ASSERT_OK(Put());
      const auto all = times.all();
      for (size_t i = 1; i < all.size(); ++i) {
        shortest = std::min(shortest, all[i].first - all[i - 1].first);
      }
    }
  });
}

// Values in segments of their own: who overwrites all of them leaves as much
// dead as lives, whole segments that durable roots keep.
TEST_F(BackgroundCheckpointTest, TheyMakeHasteWhereDurableRootsKeepMuch) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  constexpr uint64_t kInterval = 1000 * kNanosPerMilli;
  // Without haste all are kInterval, give or take how late a thread wakes.
  constexpr uint64_t kHasty = kInterval * 3 / 4;
  constexpr size_t kTries = 20;
  CheckpointTimes times;
  const ScopedStepHook hook([&](std::string_view step) { times.At(step); });
  SlowDevice device(/*flush_nanos=*/0);
  const absl::Cleanup close = [&] { End(device); };
  ASSERT_NO_FATAL_FAILURE(Open(absl::Nanoseconds(kInterval)));
  device.Begin();
  times.Start();
  const std::string value(3 << 20, 'v');
  uint64_t shortest = UINT64_MAX;
  while (shortest >= kHasty && times.ended() < kTries) {
    for (int i = 0; i < 8; ++i) {
      ASSERT_OK(map_->Put(std::to_string(i), value));
    }
    const auto all = times.all();
    for (size_t i = 1; i < all.size(); ++i) {
      shortest = std::min(shortest, all[i].first - all[i - 1].first);
    }
  }
  EXPECT_LT(shortest, kHasty);
}

// Who writes would prepare its segments itself, and grow the file where others
// could be freed.
TEST_F(BackgroundCheckpointTest, SpaceIsLookedAfterWhileOneIsUnderWay) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  std::atomic<int> ticks{0};
  const ScopedStepHook hook([&](std::string_view step) {
    if (step == "reclaimer.tick") ++ticks;
  });
  DeviceThatWaits device(&ticks, 2);
  const absl::Cleanup close = [&] { End(device); };
  ASSERT_NO_FATAL_FAILURE(Open(absl::Milliseconds(1)));
  device.Begin();
  ASSERT_NO_FATAL_FAILURE(PutUntilDurable());
}

// The pass before could free nothing, and no commit says that there is more to
// free now.
TEST_F(BackgroundCheckpointTest, WhatOneNoLongerKeepsIsLookedForSoon) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  std::atomic<uint64_t> version{UINT64_MAX};
  std::atomic<int> ticks{0};
  // Of the reclaimer, from the first that finds the version durable.
  std::atomic<int> ticks_since{0};
  std::atomic<bool> has_passed{false};
  const ScopedStepHook hook([&](std::string_view step) {
    const bool is_tick = step == "reclaimer.tick";
    if (is_tick) ++ticks;
    if ((!is_tick && step != "reclaimer.passed") || version == UINT64_MAX ||
        has_passed || domain_.durable_version() < version) {
      return;
    }
    if (is_tick) {
      ++ticks_since;
    } else {
      has_passed = true;
    }
  });
  // Time for a pass after the put, and for the one that finds nothing.
  DeviceThatWaits device(&ticks, 8);
  const absl::Cleanup close = [&] { End(device); };
  ASSERT_NO_FATAL_FAILURE(Open(absl::Milliseconds(1)));
  device.Begin();
  ASSERT_OK(Put());
  version = domain_.Now().value().version();
  while (!has_passed) std::this_thread::yield();
  // Without need there is one in fifty.
  EXPECT_LE(ticks_since, 2);
}

TEST_F(BackgroundCheckpointTest, ReadersAndWritersDoNotWaitForOne) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs an observer";
  DeviceThatIsTold device;
  const absl::Cleanup close = [&] { End(device); };
  ASSERT_NO_FATAL_FAILURE(Open(absl::Milliseconds(1)));
  device.Begin();
  ASSERT_OK(Put());
  while (!device.is_busy()) std::this_thread::yield();
  const uint64_t durable = domain_.durable_version();
  // More than is folded without help, and than the open segments have room for.
  const std::string value(2000, 'v');
  for (int i = 0; i < 6000; ++i) {
    const std::string key = std::to_string(i);
    ASSERT_OK(map_->Put(key, value));
    ASSERT_EQ(map_->Get(key).value(), value);
  }
  ASSERT_OK(domain_.Reclaim());
  ASSERT_OK(domain_.Drop("m"));
  EXPECT_EQ(domain_.durable_version(), durable);
}

// Nothing is due but what is asked for.
TEST_F(BackgroundCheckpointTest, AnIntervalMayBeInfinite) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  std::atomic<int> checkpoint_ticks{0};
  std::atomic<int> ticks{0};
  const ScopedStepHook hook([&](std::string_view step) {
    if (step == "checkpoints.tick") ++checkpoint_ticks;
    if (step == "reclaimer.tick") ++ticks;
  });
  const absl::Cleanup close = [&] { Close(); };
  ASSERT_NO_FATAL_FAILURE(Open(absl::InfiniteDuration()));
  ASSERT_OK(Put());
  const uint64_t version = domain_.Now().value().version();
  // Who claims segments has space looked after all the same.
  while (ticks == 0) std::this_thread::yield();
  EXPECT_EQ(checkpoint_ticks, 0);
  EXPECT_LT(domain_.durable_version(), version);
  ASSERT_OK(domain_.WaitDurable(version, absl::InfiniteDuration()));
  EXPECT_GE(checkpoint_ticks, 1);
}

}  // namespace
}  // namespace eve
