// Who is woken by which wake-up.

#include "util/futex.h"

#include <atomic>
#include <thread>

#include "gtest/gtest.h"
#include "util/clock.h"

namespace eve {
namespace {

constexpr uint64_t kVeryLong = 600 * kNanosPerSecond;

// A thread that waits for some bits, again and again until it is told to end.
class Waiter {
 public:
  Waiter(const std::atomic<uint64_t>& word, uint32_t bits)
      : thread_([this, &word, bits] {
          do {
            if (FutexWait(word, 0, kVeryLong, bits)) ++woken_;
          } while (!is_over_);
          has_ended_ = true;
        }) {}
  ~Waiter() { thread_.join(); }

  int woken() const { return woken_; }
  void End(const std::atomic<uint64_t>& word, uint32_t bits) {
    is_over_ = true;
    // Not once only: it may have looked just before, and go to sleep now.
    while (!has_ended_) FutexWake(word, bits, 1);
  }

 private:
  std::atomic<int> woken_{0};
  std::atomic<bool> is_over_{false};
  std::atomic<bool> has_ended_{false};
  std::thread thread_;
};

TEST(FutexTest, OnlyThoseOfTheBitsAreWoken) {
  const std::atomic<uint64_t> word{0};
  Waiter left(word, 0b0101);
  Waiter right(word, 0b1010);
  for (int round = 1; round <= 100; ++round) {
    while (left.woken() < round) FutexWake(word, 0b0100, 2);
  }
  EXPECT_EQ(right.woken(), 0);
  left.End(word, 0b0001);
  right.End(word, 0b1000);
  EXPECT_EQ(right.woken(), 1);
}

TEST(FutexTest, AnyBitsAreAmongAll) {
  const std::atomic<uint64_t> word{0};
  Waiter waiter(word, 0b1);
  while (waiter.woken() < 1) FutexWakeAll(word);
  waiter.End(word, ~uint32_t{0});
}

TEST(FutexTest, ReturnsAtOnceWhenTheWordHasChanged) {
  const std::atomic<uint64_t> word{2};
  EXPECT_TRUE(FutexWait(word, 1, kVeryLong, 1));
  EXPECT_TRUE(FutexWait(word, 1, kVeryLong));
}

TEST(FutexTest, EndsAtItsTime) {
  const std::atomic<uint64_t> word{1};
  const uint64_t begin = MonotonicNanos();
  EXPECT_FALSE(FutexWait(word, 1, 3 * kNanosPerMilli, 1));
  EXPECT_GE(MonotonicNanos() - begin, 3 * kNanosPerMilli);
  EXPECT_FALSE(FutexWait(word, 1, 0, 1));
}

}  // namespace
}  // namespace eve
