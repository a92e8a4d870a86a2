// CheckpointPacer: when the next checkpoint in the background is due.
//
// An interval after the last one began: a power failure loses what was written
// in an interval, and while one checkpoint took place. But one that took long
// is not followed by the next at once, or a slow device would do nothing else:
// it rests for as long as it was busy, so at most half of its time goes into
// checkpoints.
//
// Where durable roots keep much that is dead, checkpoints come kHaste times as
// often, and rest that much less: a third of the time on a slow device. Nearly
// all that is written has to reach the device in any case: with less of it
// between two checkpoints each takes less time, and durable roots keep no more
// than what died in the last few.
//
// Threads:    any.
// Processes:  each paces its own.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       none.
#ifndef EVE_ENGINE_CHECKPOINT_CHECKPOINT_PACER_H_
#define EVE_ENGINE_CHECKPOINT_CHECKPOINT_PACER_H_

#include <algorithm>

#include "absl/time/time.h"

namespace eve {

class CheckpointPacer {
 public:
  // However long one took.
  static constexpr absl::Duration kRestMax = absl::Seconds(10);
  // As a divisor of the interval, and of the rest.
  static constexpr int64_t kHaste = 2;

  explicit CheckpointPacer(absl::Duration interval) : interval_(interval) {}

  // How long to rest after one that took so long.
  absl::Duration RestAfter(absl::Duration took, bool makes_haste) const {
    const absl::Duration interval =
        makes_haste ? interval_ / kHaste : interval_;
    const absl::Duration rest = makes_haste ? took / kHaste : took;
    return std::max(interval - took, std::min(rest, kRestMax));
  }

 private:
  const absl::Duration interval_;
};

}  // namespace eve

#endif  // EVE_ENGINE_CHECKPOINT_CHECKPOINT_PACER_H_
