// CheckpointPacer: when the next checkpoint in the background is due.
//
// One that took long is not followed by the next at once, or a slow device
// would do nothing else: it rests for as long as it was busy, so at most half
// of its time goes into checkpoints.
//
// Threads:    one.
// Processes:  each paces its own.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       none. Times are the caller's, of any clock that only grows.
#ifndef EVE_ENGINE_CHECKPOINT_CHECKPOINT_PACER_H_
#define EVE_ENGINE_CHECKPOINT_CHECKPOINT_PACER_H_

#include <algorithm>
#include <cstdint>

namespace eve {

class CheckpointPacer {
 public:
  // However long one took: what a power failure loses is bounded.
  static constexpr uint64_t kRestNanosMax = 10'000'000'000;

  explicit CheckpointPacer(uint64_t interval_nanos)
      : interval_nanos_(interval_nanos) {}

  bool IsDue(uint64_t now) const { return now >= due_; }

  // One ran from `begin` to `end`.
  void Ran(uint64_t begin, uint64_t end) {
    // It comes with a tick of the caller's: the interval has passed anyhow.
    const uint64_t took = end - begin;
    due_ = took <= interval_nanos_ ? end : end + std::min(took, kRestNanosMax);
  }

 private:
  const uint64_t interval_nanos_;
  uint64_t due_ = 0;
};

}  // namespace eve

#endif  // EVE_ENGINE_CHECKPOINT_CHECKPOINT_PACER_H_
