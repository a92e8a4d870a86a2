// RestPacer: keeps the compaction of a domain at rest from starving a
// transaction whose closure runs for longer than the time between two steps.
//
// To whoever compacts, a long transaction of another process looks like rest:
// nothing is committed. But each move in a collection that it has written costs
// it a run, and without a pause it would never win. What tells is the counters
// of conflicts: when they rise after a move, the pause between moves becomes
// twice what it was, or twice the time since that move if this is more; so the
// pause soon exceeds the run. Conflicts that follow no move are those of
// writers among each other and lengthen nothing. A tick with a commit halves
// the pause, and so does a calm time of eight pauses.
//
// A transaction that has lost two runs takes the turn, for which compaction at
// rest leaves off (WritersTurn). The pause is for those that come after it,
// which need not lose two each.
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
  static constexpr uint64_t kPauseTicksMax = 1024;

  // To be called once a tick: whether this one may move blocks. `conflicts`: of
  // all processes so far. `is_at_rest`: nobody has committed since the tick
  // before, but this process's own compaction.
  bool MayMove(uint64_t conflicts, bool is_at_rest) {
    ++tick_;
    if (conflicts != conflicts_ && first_move_ != 0) {
      const uint64_t run_ticks = tick_ - first_move_;
      pause_ = std::min(2 * std::max(pause_, run_ticks), kPauseTicksMax);
      paused_since_ = calm_since_ = tick_;
      first_move_ = 0;
    } else if (!is_at_rest || tick_ - calm_since_ >= kCalmPauses * pause_) {
      pause_ /= 2;
      calm_since_ = tick_;
    }
    conflicts_ = conflicts;
    if (!is_at_rest || tick_ - paused_since_ <= pause_) return false;
    paused_since_ = tick_;
    if (first_move_ == 0) first_move_ = tick_;
    return true;
  }

 private:
  static constexpr uint64_t kCalmPauses = 8;

  uint64_t tick_ = 0;
  uint64_t conflicts_ = 0;
  uint64_t pause_ = 0;         // ticks without a move between two with one
  uint64_t paused_since_ = 0;  // the last move or the conflict after it
  uint64_t first_move_ = 0;    // since the last conflict; 0: none
  uint64_t calm_since_ = 0;    // pause_ is what it is
};

}  // namespace eve

#endif  // EVE_ENGINE_RECLAIM_REST_PACER_H_
