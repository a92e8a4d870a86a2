// Contender: how one swap behaves towards the others that it races with.
//
// It backs off after a lost race, lets a writer go first that has the turn, and
// asks for the turn itself when it keeps losing.
//
// Threads:    one per swap.
// Processes:  see WritersTurn.
// Owns:       the turn, if it has it, until it goes out of scope.
// Lifetime:   one swap.
// Errors:     kAborted, kDeadlineExceeded: the swap is to give up.
// Cost:       one load a run while nobody has the turn; two looks at the clock
//             where there is a deadline.
#ifndef EVE_ENGINE_TXN_CONTENDER_H_
#define EVE_ENGINE_TXN_CONTENDER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "engine/epoch/writers_turn.h"
#include "eve/options.h"
#include "util/backoff.h"

namespace eve::internal {

// What a swap does while another one has the turn.
enum class Manners : uint8_t {
  kGiveWay,  // waits, and may take the turn itself
  kGiveUp,   // nothing, for a while: it can as well be done later
  kGoOn,     // what nobody else's transaction can conflict with
};

class Contender {
 public:
  // `seed` keeps those apart who lost the same race.
  Contender(WritersTurn* turn, Manners manners, const SwapOptions& options,
            uint64_t seed)
      : turn_(turn),
        manners_(manners),
        options_(options),
        has_deadline_(options.deadline != absl::InfiniteFuture()),
        backoff_(seed) {}
  ~Contender() {
    if (ticket_ != 0) turn_->Release(ticket_);
  }
  Contender(const Contender&) = delete;
  Contender& operator=(const Contender&) = delete;

  // In a forked child: the turn is the parent's.
  void Abandon() { ticket_ = 0; }
  // Before each run of the closure. kAborted: give up; kDeadlineExceeded: as
  // CheckDeadline(), maybe while another had the turn.
  absl::Status BeginRun();
  // kDeadlineExceeded: it has passed. Reads no clock where there is none.
  absl::Status CheckDeadline() const {
    return has_deadline_ ? CompareWithDeadline() : absl::OkStatus();
  }
  // The closure has to run again.
  void LoseRun();
  // The run can be published on top of the winner's.
  void LoseRestamp();

 private:
  absl::Status CompareWithDeadline() const;
  void TakeTurn();

  WritersTurn* turn_;
  const Manners manners_;
  const SwapOptions& options_;
  const bool has_deadline_;
  Backoff backoff_;
  uint64_t ticket_ = 0;
  uint64_t run_began_ = 0;  // of MonotonicNanos(), from the second run on
  uint64_t lost_nanos_ = 0;
  uint64_t first_restamp_ = 0;  // when it was lost
  uint32_t lost_runs_ = 0;
  uint32_t lost_restamps_ = 0;
};

}  // namespace eve::internal

#endif  // EVE_ENGINE_TXN_CONTENDER_H_
