// A thread that ticks: when it is due, when it is woken, and never after
// Stop().

#include "util/periodic_thread.h"

#include <atomic>
#include <thread>

#include "gtest/gtest.h"
#include "tests/testing/child_process.h"
#include "tests/testing/no_threads.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/step_sync.h"

namespace eve {
namespace {

using testing::StepSync;

constexpr absl::Duration kForEver = absl::InfiniteDuration();

TEST(PeriodicThreadTest, TicksWhenItIsDueWithoutBeingWoken) {
  std::atomic<int> due{0};
  std::atomic<int> woken{0};
  PeriodicThread thread;
  EXPECT_FALSE(thread.is_running());
  ASSERT_OK(thread.Start(absl::Milliseconds(1), [&](bool is_due) {
    ++(is_due ? due : woken);
    return absl::Milliseconds(1);
  }));
  EXPECT_TRUE(thread.is_running());
  while (due < 3) std::this_thread::yield();
  thread.Stop();
  EXPECT_FALSE(thread.is_running());
  EXPECT_EQ(woken, 0);
}

TEST(PeriodicThreadTest, AWakeUpIsATickThatIsNotDue) {
  std::atomic<int> due{0};
  std::atomic<int> woken{0};
  PeriodicThread thread;
  ASSERT_OK(thread.Start(kForEver, [&](bool is_due) {
    ++(is_due ? due : woken);
    return absl::ZeroDuration();  // of one that was due
  }));
  for (int i = 1; i <= 3; ++i) {
    thread.Wake();
    while (woken < i && due == 0) std::this_thread::yield();
  }
  EXPECT_EQ(due, 0);
}

// As long as the last one says.
TEST(PeriodicThreadTest, ATickSaysWhenTheNextIsDue) {
  std::atomic<int> due{0};
  std::atomic<int> woken{0};
  PeriodicThread thread;
  ASSERT_OK(thread.Start(absl::ZeroDuration(), [&](bool is_due) {
    ++(is_due ? due : woken);
    return due < 3 ? absl::ZeroDuration() : kForEver;
  }));
  while (due < 3) std::this_thread::yield();
  thread.Wake();
  while (woken == 0) std::this_thread::yield();
  thread.Stop();
  EXPECT_EQ(due, 3);
}

// What it is woken for may have come too late for the tick that is under way.
TEST(PeriodicThreadTest, AWakeUpDuringATickIsAnotherTick) {
  StepSync step;
  std::atomic<int> ticks{0};
  PeriodicThread thread;
  ASSERT_OK(thread.Start(kForEver, [&](bool) {
    if (++ticks > 1) return kForEver;
    step.Signal(1);
    step.Await(2);
    return kForEver;
  }));
  thread.Wake();
  step.Await(1);
  thread.Wake();
  thread.Wake();
  step.Signal(2);
  while (ticks < 2) std::this_thread::yield();
  thread.Stop();
  // Two reasons to look are one.
  EXPECT_EQ(ticks, 2);
}

TEST(PeriodicThreadTest, OneThatWasWokenBeforeItStartedTicks) {
  std::atomic<int> ticks{0};
  PeriodicThread thread;
  thread.Wake();
  ASSERT_OK(thread.Start(kForEver, [&](bool) {
    ++ticks;
    return kForEver;
  }));
  while (ticks == 0) std::this_thread::yield();
}

TEST(PeriodicThreadTest, StopWaitsForATickAndMayBeCalledTwice) {
  StepSync step;
  std::atomic<bool> has_ended{false};
  PeriodicThread thread;
  thread.Stop();
  ASSERT_OK(thread.Start(kForEver, [&](bool) {
    step.Signal(1);
    step.Await(2);
    has_ended = true;
    return kForEver;
  }));
  thread.Wake();
  step.Await(1);
  std::thread stopper([&] {
    thread.Stop();
    EXPECT_TRUE(has_ended);
  });
  step.Signal(2);
  stopper.join();
  thread.Stop();
}

TEST(PeriodicThreadTest, NoThreadIsAnError) {
  testing::ChildProcess child([] {
    if (!testing::AllowNoThreads()) return 1;
    PeriodicThread thread;
    const absl::Status started =
        thread.Start(kForEver, [](bool) { return kForEver; });
    return absl::IsResourceExhausted(started) && !thread.is_running() ? 0 : 2;
  });
  EXPECT_EQ(child.Wait(), 0);
}

}  // namespace
}  // namespace eve
