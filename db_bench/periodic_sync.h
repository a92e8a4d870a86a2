#ifndef EVE_DB_BENCH_PERIODIC_SYNC_H_
#define EVE_DB_BENCH_PERIODIC_SYNC_H_

#include <functional>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace eve::bench {

// Calls a function every `interval` on a thread of its own until destroyed:
// gives an engine without checkpoints of its own the durability kCheckpoint.
class PeriodicSync {
 public:
  PeriodicSync(absl::Duration interval, std::function<void()> sync)
      : thread_([this, interval, sync = std::move(sync)] {
          absl::MutexLock lock(&mutex_);
          while (!mutex_.AwaitWithTimeout(absl::Condition(&stop_), interval)) {
            mutex_.Unlock();
            sync();
            mutex_.Lock();
          }
        }) {}

  ~PeriodicSync() {
    {
      absl::MutexLock lock(&mutex_);
      stop_ = true;
    }
    thread_.join();
  }

  PeriodicSync(const PeriodicSync&) = delete;
  PeriodicSync& operator=(const PeriodicSync&) = delete;

 private:
  absl::Mutex mutex_;
  bool stop_ = false;
  std::thread thread_;  // last: it uses the members above
};

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_PERIODIC_SYNC_H_
