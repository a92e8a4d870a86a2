#include "util/failpoint.h"

#include <atomic>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace eve {
namespace {

class FailpointTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!kFailpointsEnabled) GTEST_SKIP() << "compiled without steps";
  }
};

TEST_F(FailpointTest, WithoutAHookNothingHappens) {
  EVE_STEP("test.step");
  EXPECT_EQ(EVE_FAULT("test.fault"), 0);
}

TEST_F(FailpointTest, AHookSeesEveryStepInOrder) {
  std::vector<std::string> seen;
  ScopedStepHook hook([&](std::string_view step) { seen.emplace_back(step); });
  EVE_STEP("test.first");
  EVE_STEP("test.second");
  EXPECT_EQ(seen, (std::vector<std::string>{"test.first", "test.second"}));
}

TEST_F(FailpointTest, ScopesNestAndEnd) {
  int outer = 0;
  int inner = 0;
  {
    ScopedStepHook outer_hook([&](std::string_view) { ++outer; });
    EVE_STEP("test.step");
    {
      ScopedStepHook inner_hook([&](std::string_view) { ++inner; });
      EVE_STEP("test.step");
    }
    EVE_STEP("test.step");
  }
  EVE_STEP("test.step");
  EXPECT_EQ(outer, 2);
  EXPECT_EQ(inner, 1);
}

TEST_F(FailpointTest, AFaultReachesOnlyItsPoint) {
  ScopedFaultHook hook([](std::string_view point) {
    return point == "file.fallocate" ? ENOSPC : 0;
  });
  EXPECT_EQ(EVE_FAULT("file.fallocate"), ENOSPC);
  EXPECT_EQ(EVE_FAULT("file.sync"), 0);
}

TEST_F(FailpointTest, AnEmptyHookClears) {
  int calls = 0;
  SetStepHook([&](std::string_view) { ++calls; });
  EVE_STEP("test.step");
  SetStepHook(nullptr);
  EVE_STEP("test.step");
  EXPECT_EQ(calls, 1);
  SetFaultHook([](std::string_view) { return EIO; });
  EXPECT_EQ(EVE_FAULT("test.fault"), EIO);
  ClearFaultHook();
  EXPECT_EQ(EVE_FAULT("test.fault"), 0);
}

// Two threads meet inside the hook: each waits there for the other, so the test
// ends only if hooks run at the same time.
TEST_F(FailpointTest, SeveralThreadsAreInsideAHookAtOnce) {
  std::atomic<int> inside = 0;
  ScopedStepHook hook([&](std::string_view) {
    ++inside;
    while (inside < 2) std::this_thread::yield();
  });
  std::thread other([] { EVE_STEP("test.meet"); });
  EVE_STEP("test.meet");
  other.join();
  EXPECT_EQ(inside, 2);
}

// One thread replaces hooks while others pass steps; a sanitizer sees whether
// one is used after it is gone.
TEST_F(FailpointTest, HooksAreReplacedUnderRunningThreads) {
  static std::atomic<int> calls;
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!stop) EVE_STEP("test.step");
    });
  }
  for (int i = 0; i < 1000 || calls == 0; ++i) {
    SetStepHook([text = std::string(100, 'x')](std::string_view) {
      calls += text.size() == 100;
    });
    if (i % 3 == 0) ClearStepHook();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  ClearStepHook();
  EXPECT_GT(calls, 0);
}

}  // namespace
}  // namespace eve
