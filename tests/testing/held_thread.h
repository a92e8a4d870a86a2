// HeldThread: a thread that stops at a step of the engine until it is let go.
//
// Threads:    one owner; any number of them at once, each stops at most once.
// Processes:  none.
// Owns:       the thread, and this process's step hook from the first one on.
// Lifetime:   joins on destruction, after letting the thread go.
// Errors:     none: a thread that ends without meeting its step counts as held,
//             so that a test fails and does not hang.
// Cost:       a mutex at each step.
#ifndef EVE_TESTS_TESTING_HELD_THREAD_H_
#define EVE_TESTS_TESTING_HELD_THREAD_H_

#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "tests/testing/step_sync.h"
#include "util/failpoint.h"

namespace eve::testing {

class HeldThread {
 public:
  using StopAt = std::function<bool(std::string_view step)>;

  // Stops the first time that `stop_at` says so of a step of this thread.
  HeldThread(std::function<void()> work, StopAt stop_at)
      : stop_at_(std::move(stop_at)) {
    SetStepHook([](std::string_view step) {
      if (current_ != nullptr) current_->Pass(step);
    });
    thread_ = std::thread([this, work = std::move(work)] {
      current_ = this;
      work();
      current_ = nullptr;
      sync_.Signal(kHeld);
    });
  }
  ~HeldThread() { LetGo(); }
  HeldThread(const HeldThread&) = delete;
  HeldThread& operator=(const HeldThread&) = delete;

  // Returns whether it stopped there, and did not just end.
  bool AwaitHeld() {
    sync_.Await(kHeld);
    return stopped_;
  }
  // Lets it go on, and waits until it has ended.
  void LetGo() {
    sync_.Signal(kLetGo);
    if (thread_.joinable()) thread_.join();
  }

  // The first of these steps.
  static StopAt At(std::string first, std::string or_this = {}) {
    return [first, or_this](std::string_view step) {
      return step == first || (!or_this.empty() && step == or_this);
    };
  }
  // The first `step` that follows an `after`.
  static StopAt AtAfter(std::string after, std::string step) {
    return [after, step, seen = false](std::string_view name) mutable {
      seen = seen || name == after;
      return seen && name == step;
    };
  }

 private:
  static constexpr int kHeld = 1;
  static constexpr int kLetGo = 2;

  void Pass(std::string_view step) {
    if (stopped_ || !stop_at_(step)) return;
    stopped_ = true;
    sync_.Signal(kHeld);
    sync_.Await(kLetGo);
  }

  static inline thread_local HeldThread* current_ = nullptr;

  StopAt stop_at_;
  bool stopped_ = false;  // the thread's, until it is held
  StepSync sync_;
  std::thread thread_;
};

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_HELD_THREAD_H_
