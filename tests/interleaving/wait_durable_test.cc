// Who waits for a durable version is told why there is none: at once, whoever
// flushes for him, and of no flush but those that were begun after he asked.

#include <atomic>
#include <cerrno>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "eve/eve.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using ::testing::HasSubstr;
using Numbers = Map<std::string, int64_t>;

// Waits would be for ever; this is long so that a test can fail.
constexpr absl::Duration kLong = absl::Seconds(40);

// With a background thread that makes no checkpoint but when it is asked, and
// without one.
class WaitDurableTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (!kFailpointsEnabled) GTEST_SKIP() << "needs faults";
    DomainOptions options = testing::Quiet();
    options.background = GetParam();
    options.checkpoint_every = absl::Hours(1);
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(dir_.File("d.eve"), options));
    ASSERT_OK_AND_ASSIGN(map_, domain_.Collection<Numbers>("m"));
    ASSERT_OK(Wait(Put(1), kLong));
  }
  void TearDown() override {
    ClearStepHook();
    ClearFaultHook();
    map_ = absl::CancelledError();
  }
  uint64_t Put(int64_t n) {
    const absl::StatusOr<Commit> done = domain_.Swap(
        [&](Transaction& txn) { return map_->In(txn).Put("n", n); });
    EXPECT_OK(done.status());
    return done.ok() ? done->version : 0;
  }
  absl::Status Wait(uint64_t version, absl::Duration timeout) {
    return domain_.WaitDurable(version, timeout);
  }
  // All snapshots that there can be at once, and what is said of one more.
  std::vector<Snapshot> HoldAll(absl::Status* last) {
    std::vector<Snapshot> held;
    absl::StatusOr<Snapshot> next = domain_.Now();
    for (; next.ok(); next = domain_.Now()) held.push_back(*std::move(next));
    *last = next.status();
    return held;
  }
  // No flush gets a commit slot.
  static void FailAllFlushes() {
    SetFaultHook(
        [](std::string_view point) { return point == "file.lock" ? EIO : 0; });
  }

  testing::TempDir dir_;
  Domain domain_;
  absl::StatusOr<Numbers> map_ = absl::CancelledError();
};

TEST_P(WaitDurableTest, AnErrorIsToldAndPasses) {
  const uint64_t version = Put(2);
  FailAllFlushes();
  const absl::Status told = Wait(version, kLong);
  EXPECT_CODE(told, absl::StatusCode::kUnknown);
  EXPECT_THAT(std::string(told.message()), HasSubstr("lock: Input/output"));
  EXPECT_LT(domain_.durable_version(), version);
  ClearFaultHook();
  EXPECT_OK(Wait(version, kLong));
  EXPECT_GE(domain_.durable_version(), version);
}

TEST_P(WaitDurableTest, TooManySnapshotsAreAnError) {
  const uint64_t version = Put(2);
  absl::Status last;
  std::vector<Snapshot> held = HoldAll(&last);
  EXPECT_CODE(last, absl::StatusCode::kResourceExhausted);
  const absl::Status told = Wait(version, kLong);
  EXPECT_CODE(told, absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(told.message(), last.message());
  held.clear();
  EXPECT_OK(Wait(version, kLong));
}

INSTANTIATE_TEST_SUITE_P(WithAndWithoutThreads, WaitDurableTest,
                         ::testing::Bool());

class WaitForThreadTest : public WaitDurableTest {};

// It is woken for that, and does not only look once in a while: of a flush that
// was not even begun nobody else hears.
TEST_P(WaitForThreadTest, AnErrorIsToldAtOnce) {
  constexpr int kRounds = 3;
  const uint64_t version = Put(2);
  absl::Status last;
  const std::vector<Snapshot> held = HoldAll(&last);
  int late = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<bool> waits{false};
    std::atomic<bool> has_looked{false};
    const ScopedStepHook hook([&](std::string_view step) {
      if (step == "durable.looked") has_looked = true;
      if (step == "durable.wait") waits = true;
      while (step == "checkpoints.tick" && !waits) std::this_thread::yield();
    });
    EXPECT_CODE(Wait(version, kLong), absl::StatusCode::kResourceExhausted);
    late += has_looked ? 1 : 0;
  }
  // Not by chance, as where the machine stands still.
  EXPECT_LT(late, kRounds);
}

// There was no time to try, but what others were told is known.
TEST_P(WaitForThreadTest, ATimeoutNamesTheLastError) {
  const uint64_t version = Put(2);
  const absl::Status first = Wait(version + 1, absl::ZeroDuration());
  EXPECT_CODE(first, absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(first.message()),
              ::testing::Not(HasSubstr("failed")));
  ASSERT_OK(Wait(version, kLong));
  const uint64_t next = Put(3);
  FailAllFlushes();
  EXPECT_CODE(Wait(next, kLong), absl::StatusCode::kUnknown);
  ClearFaultHook();
  std::atomic<bool> may_go_on{false};
  SetStepHook([&](std::string_view step) {
    if (step != "checkpoints.tick") return;
    while (!may_go_on) std::this_thread::yield();
  });
  const absl::Status told = Wait(next, absl::ZeroDuration());
  may_go_on = true;
  EXPECT_CODE(told, absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(told.message()),
              ::testing::AllOf(HasSubstr("is not durable yet"),
                               HasSubstr("lock: Input/output")));
  EXPECT_OK(Wait(next, kLong));
}

// One that asks while a flush is under way is answered by the next.
TEST_P(WaitForThreadTest, TheFailureOfAFlushBeforeIsNotTold) {
  static thread_local bool is_second = false;
  const uint64_t version = Put(2);
  std::atomic<int> flushes{0};
  std::atomic<bool> waits{false};
  SetFaultHook([&](std::string_view point) {
    if (point != "file.lock" || flushes++ > 0) return 0;
    while (!waits) std::this_thread::yield();
    return EIO;
  });
  SetStepHook([&](std::string_view step) {
    if (is_second && step == "durable.wait") waits = true;
  });
  absl::Status first;
  std::thread one([&] { first = Wait(version, kLong); });
  while (flushes == 0) std::this_thread::yield();
  is_second = true;
  EXPECT_OK(Wait(version, kLong));
  is_second = false;
  waits = true;
  one.join();
  // It was durable by the time that it heard of it, or not yet.
  if (!first.ok()) EXPECT_CODE(first, absl::StatusCode::kUnknown);
}

// A flush that went well is no answer to who waits for what is published later.
TEST_P(WaitForThreadTest, WhatIsPublishedLaterIsAskedForAgain) {
  const uint64_t version = Put(2);
  absl::Status told;
  std::thread waiter([&] { told = Wait(version + 1, kLong); });
  // The flush that it has asked for takes this one.
  while (domain_.durable_version() < version) std::this_thread::yield();
  EXPECT_EQ(Put(3), version + 1);
  waiter.join();
  EXPECT_OK(told);
}

INSTANTIATE_TEST_SUITE_P(All, WaitForThreadTest, ::testing::Values(true));

}  // namespace
}  // namespace eve
