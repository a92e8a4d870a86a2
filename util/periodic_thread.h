// PeriodicThread: a thread that does one thing again and again, or at once when
// it is woken.
//
// Threads:    any may call Wake(), also before Start() and after Stop(); one
//             calls those two.
// Processes:  this one's. A forked child does not have the thread, and must not
//             stop or destroy this.
// Owns:       the thread.
// Lifetime:   Stop(), or destruction, waits for the end of a tick.
// Errors:     kResourceExhausted from Start() when the system has no thread.
// Cost:       Wake() is one atomic exchange when a wake-up is under way, and a
//             lock when not.
#ifndef EVE_UTIL_PERIODIC_THREAD_H_
#define EVE_UTIL_PERIODIC_THREAD_H_

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace eve {

class PeriodicThread {
 public:
  // Returns how long to rest before the next tick is due. One that was not due
  // changes nothing about when the next is.
  using Tick = std::function<absl::Duration(bool is_due)>;

  PeriodicThread() = default;
  PeriodicThread(const PeriodicThread&) = delete;
  PeriodicThread& operator=(const PeriodicThread&) = delete;
  ~PeriodicThread() { Stop(); }

  // Calls `tick` with true when it is due, first after `rest`, and with false
  // when it was woken before. A rest may be infinite.
  absl::Status Start(absl::Duration rest, Tick tick);
  // What was stored before is seen by a tick that begins later.
  void Wake();
  void Stop();

  bool is_running() const { return thread_.joinable(); }

 private:
  void Run(absl::Duration rest, const Tick& tick);

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::atomic<bool> wake_{false};
  std::thread thread_;
};

}  // namespace eve

#endif  // EVE_UTIL_PERIODIC_THREAD_H_
