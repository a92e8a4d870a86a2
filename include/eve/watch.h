// Watch: calls a function when any process has committed.
//
// Threads:    each Watch has a thread of its own, on which it calls; its
//             methods are for one thread at a time.
// Processes:  hears of the commits of all. Of no use in a forked child.
// Owns:       its thread; keeps the domain open.
// Lifetime:   until Stop(), which its destruction calls.
// Errors:     status().
// Cost:       while nothing is committed nothing runs. A commit that is watched
//             costs its writer one system call, any number of watches together.
#ifndef EVE_WATCH_H_
#define EVE_WATCH_H_

#include <memory>
#include <utility>

#include "absl/status/status.h"

namespace eve {

namespace internal {
struct WatchState;
}  // namespace internal

class [[nodiscard]] Watch {
 public:
  Watch() = default;
  Watch(Watch&&) noexcept = default;
  Watch& operator=(Watch&& other) noexcept;
  ~Watch() { Stop(); }

  // After it the function is not called any more. Waits for a call that runs,
  // unless it is from there that Stop() is called; the next Stop() from
  // elsewhere, or the destruction there, then waits for the end of that call.
  void Stop();

  // Why it has ended by itself, if it has. What can pass does not end it: while
  // it can take no snapshot (kResourceExhausted, kUnavailable) it looks again
  // after the next commit, or a second.
  //   kDataLoss            the newest commit is damaged. The function has been
  //                        called a last time, with 0
  //   kFailedPrecondition  in a child that the function has forked
  absl::Status status() const;

  // For Domain::OnChange().
  explicit Watch(std::shared_ptr<internal::WatchState> state)
      : state_(std::move(state)) {}

 private:
  std::shared_ptr<internal::WatchState> state_;
};

}  // namespace eve

#endif  // EVE_WATCH_H_
