// Scheduler: runs some functions on threads of which one goes on at a time, and
// lets a test choose at each step of the engine which one.
//
// What a schedule chooses is all that decides how a run goes, so it can be
// repeated. A function must not wait for another one of them but by the
// engine's lock-free words: those that share a mutex belong into instances of
// their own. Where the engine sleeps it passes a step before, at which others
// go on instead.
//
// Threads:    one owner.
// Processes:  none; two instances of a domain in one process are to each other
//             as two processes are.
// Owns:       the threads of a run, and this process's step hook during it.
// Lifetime:   one or more runs.
// Errors:     none.
// Cost:       a mutex at each step, a switch of threads where one is chosen.
#ifndef EVE_TESTS_TESTING_SCHEDULER_H_
#define EVE_TESTS_TESTING_SCHEDULER_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "util/failpoint.h"

namespace eve::testing {

class Scheduler {
 public:
  using Body = std::function<void()>;
  // Which of the others is to go on at this point, counted from 0 in the order
  // of the bodies behind the running one; kStay: none.
  using Choose = std::function<int(uint64_t point)>;
  static constexpr int kStay = -1;
  // Before each choice, on the thread that is at the step; and after it, when
  // that thread goes on.
  using Observe = std::function<void(int body, std::string_view step)>;

  Observe before;
  Observe after;

  // At this step a body sleeps, and is not chosen, until `is_awake` says so of
  // it; but it goes on if all others sleep as well or have ended.
  std::string sleep_step;
  std::function<bool(int body)> is_awake;

  // Returns how many points there were.
  uint64_t Run(const std::vector<Body>& bodies, const Choose& choose) {
    choose_ = choose;
    points_ = 0;
    is_done_.assign(bodies.size(), false);
    is_asleep_.assign(bodies.size(), false);
    running_ = 0;
    const ScopedStepHook hook([this](std::string_view step) { Pass(step); });
    std::vector<std::thread> threads;
    for (size_t i = 0; i < bodies.size(); ++i) {
      threads.emplace_back([this, i, &bodies] {
        self_ = static_cast<int>(i);
        Await(self_);
        bodies[i]();
        End(self_);
        self_ = kStay;
      });
    }
    for (std::thread& thread : threads) thread.join();
    return points_;
  }

  // A point of a body's own.
  void Pass(std::string_view step) {
    if (self_ == kStay) return;
    const int self = self_;
    if (before) before(self, step);
    {
      std::unique_lock lock(mutex_);
      const bool sleeps = !sleep_step.empty() && step == sleep_step;
      is_asleep_[static_cast<size_t>(self)] = sleeps;
      int others = choose_(points_++);
      if (sleeps && others == kStay) others = 0;
      if (others != kStay) {
        running_ = OtherThan(self, others);
        if (running_ != self) changed_.notify_all();
      }
      changed_.wait(lock, [&] { return running_ == self; });
      is_asleep_[static_cast<size_t>(self)] = false;
    }
    if (after) after(self, step);
  }

 private:
  bool Sleeps(int body) const {
    return is_asleep_[static_cast<size_t>(body)] && !is_awake(body);
  }
  int OtherThan(int self, int nth) const {
    const int count = static_cast<int>(is_done_.size());
    std::vector<int> others;
    int sleeper = self;
    for (int i = 1; i < count; ++i) {
      const int other = (self + i) % count;
      if (is_done_[static_cast<size_t>(other)]) continue;
      if (!Sleeps(other)) {
        others.push_back(other);
      } else if (sleeper == self) {
        sleeper = other;
      }
    }
    // Somebody must go on where the running one has ended.
    if (others.empty()) {
      return is_done_[static_cast<size_t>(self)] ? sleeper : self;
    }
    return others[static_cast<size_t>(nth) % others.size()];
  }
  void Await(int self) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return running_ == self; });
  }
  void End(int self) {
    std::unique_lock lock(mutex_);
    is_done_[static_cast<size_t>(self)] = true;
    running_ = OtherThan(self, 0);
    changed_.notify_all();
  }

  static inline thread_local int self_ = kStay;

  Choose choose_;
  uint64_t points_ = 0;
  int running_ = 0;
  std::vector<bool> is_done_;
  std::vector<bool> is_asleep_;
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_SCHEDULER_H_
