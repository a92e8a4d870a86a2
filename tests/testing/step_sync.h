// StepSync: numbered hand-offs between threads of a scripted interleaving.
//
// Threads:    any; Signal(n) releases everybody who awaits n or less.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   outlives the threads that use it.
// Errors:     none: a hand-off that never comes hangs the test, which is seen.
// Cost:       a mutex.
#ifndef EVE_TESTS_TESTING_STEP_SYNC_H_
#define EVE_TESTS_TESTING_STEP_SYNC_H_

#include <condition_variable>
#include <mutex>

namespace eve::testing {

class StepSync {
 public:
  void Signal(int step) {
    std::lock_guard lock(mutex_);
    if (step > reached_) reached_ = step;
    changed_.notify_all();
  }
  void Await(int step) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return reached_ >= step; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int reached_ = 0;
};

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_STEP_SYNC_H_
