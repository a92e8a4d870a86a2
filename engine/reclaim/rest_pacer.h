// RestPacer: keeps the compaction of a domain at rest from starving a
// transaction whose closure runs for longer than the time between two steps.
//
// To whoever compacts, a long transaction of another process looks like rest:
// nothing is committed. But each move in a collection that it has written costs
// it a run, and without a pause it would never win. What tells is the counters
// of conflicts: each tick that finds more of them doubles the pause, so a
// transaction of T ticks loses about log2(T) runs. A commit halves it again.
//
// Threads:    one.
// Processes:  each has its own.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       none.
#ifndef EVE_ENGINE_RECLAIM_REST_PACER_H_
#define EVE_ENGINE_RECLAIM_REST_PACER_H_

#include <algorithm>
#include <cstdint>

namespace eve {

class RestPacer {
 public:
  static constexpr uint64_t kPauseTicksMax = 1 << 14;

  // To be called once a tick: whether this one may move blocks. `conflicts`: of
  // all processes so far. `is_at_rest`: nobody has committed since the tick
  // before, but this process's own compaction.
  bool MayMove(uint64_t conflicts, bool is_at_rest) {
    if (conflicts != conflicts_) {
      pause_ticks_ = std::clamp<uint64_t>(2 * pause_ticks_, 1, kPauseTicksMax);
      ticks_left_ = pause_ticks_;
    } else if (!is_at_rest) {
      pause_ticks_ /= 2;
      ticks_left_ = std::min(ticks_left_, pause_ticks_);
    }
    conflicts_ = conflicts;
    if (!is_at_rest) return false;
    if (ticks_left_ == 0) {
      ticks_left_ = pause_ticks_;
      return true;
    }
    --ticks_left_;
    return false;
  }

 private:
  uint64_t conflicts_ = 0;
  uint64_t pause_ticks_ = 0;
  uint64_t ticks_left_ = 0;
};

}  // namespace eve

#endif  // EVE_ENGINE_RECLAIM_REST_PACER_H_
