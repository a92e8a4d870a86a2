#include "util/periodic_thread.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "util/start_thread.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// For ever: what the clock counts in would overflow.
constexpr absl::Duration kRestMax = absl::Hours(24 * 365);

}  // namespace

absl::Status PeriodicThread::Start(absl::Duration rest, Tick tick) {
  EVE_ASSIGN_OR_RETURN(
      thread_,
      StartThread([this, rest, tick = std::move(tick)] { Run(rest, tick); }));
  return absl::OkStatus();
}

void PeriodicThread::Wake() {
  // One wake-up at a time: a burst of reasons is one reason to look.
  if (wake_.exchange(true)) return;
  // It either has not looked yet or sleeps: no notice falls in between.
  { std::lock_guard lock(mutex_); }
  changed_.notify_one();
}

void PeriodicThread::Stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void PeriodicThread::Run(absl::Duration rest, const Tick& tick) {
  const auto after = [](absl::Duration pause) {
    return std::chrono::steady_clock::now() +
           absl::ToChronoNanoseconds(std::min(pause, kRestMax));
  };
  auto due = after(rest);
  std::unique_lock lock(mutex_);
  while (!stop_) {
    changed_.wait_until(lock, due, [this] { return stop_ || wake_.load(); });
    if (stop_) break;
    // Not a store: what was stored before Wake() is seen from here on.
    wake_.exchange(false);
    const bool is_due = std::chrono::steady_clock::now() >= due;
    lock.unlock();
    const absl::Duration pause = tick(is_due);
    lock.lock();
    if (is_due) due = after(pause);
  }
}

}  // namespace eve
