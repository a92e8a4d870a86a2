// StormPatience: whether one worker of a storm hangs.
//
// It hangs if what it is about has not changed for too long of its own time, in
// which it ran: not that in which the storm had it stopped, nor that of a
// process before it. A storm that kills at random would seldom see that, and
// replace it; so a worker that has been quiet for some rounds is to be left
// alone until it moves on or has used up the patience.
//
// Threads:    one.
// Processes:  that of the storm.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       none.
#ifndef EVE_TESTS_CRASH_STORM_PATIENCE_H_
#define EVE_TESTS_CRASH_STORM_PATIENCE_H_

#include <cstdint>

namespace eve::testing {

class StormPatience {
 public:
  // So few that one that hangs often lives as long, so many that those that are
  // only slow are killed as ever: storms of a minute spared two, of 1,782
  // kills.
  static constexpr int kQuietRounds = 3;

  explicit StormPatience(uint64_t nanos) : nanos_(nanos) {}

  // A process has been started.
  void Begin(uint64_t work, uint64_t now) {
    Move(work);
    looked_at_ = now;
    is_running_ = true;
  }
  // `work`: another one whenever it has moved on. To be called often, with what
  // has been so since the last call.
  void Look(uint64_t work, bool is_running, uint64_t now) {
    if (work != work_) {
      Move(work);
    } else if (is_running && is_running_) {
      ran_nanos_ += now - looked_at_;
    }
    looked_at_ = now;
    is_running_ = is_running;
  }
  void EndRound() {
    if (is_running_) ++rounds_;
  }

  bool IsQuiet() const { return rounds_ >= kQuietRounds; }
  bool IsOver() const { return ran_nanos_ >= nanos_; }

 private:
  void Move(uint64_t work) {
    work_ = work;
    ran_nanos_ = 0;
    rounds_ = 0;
  }

  const uint64_t nanos_;
  uint64_t work_ = 0;
  uint64_t looked_at_ = 0;
  uint64_t ran_nanos_ = 0;
  int rounds_ = 0;
  bool is_running_ = false;
};

}  // namespace eve::testing

#endif  // EVE_TESTS_CRASH_STORM_PATIENCE_H_
