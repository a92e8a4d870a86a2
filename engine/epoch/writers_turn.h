// WritersTurn: lets a writer that keeps losing publish, before others go on.
//
// A swap that has lost again and again puts a ticket into a word of the region;
// swaps that are about to run their closure wait until it is gone. The ticket
// tells how long a run of its holder takes, and nobody waits for longer than a
// few such runs. It is a courtesy: a run that has begun is not stopped, nothing
// depends on who waits, and a ticket whose holder is dead is thrown away.
//
// Waiting is paid once (P20): the first one that has waited in vain, for a
// holder that is stopped, say, throws the ticket away, for all processes. A
// holder that needed longer asks anew when it loses again, for twice as long.
//
// Threads:    any.
// Processes:  any number; one word of the region. The kernel wakes who waits.
// Owns:       nothing; a swap owns the ticket that Take() gave it.
// Lifetime:   shorter than the region's. A death leaves the ticket, which the
//             first one that waits for it takes away.
// Errors:     none.
// Cost:       while nobody has lost: one load of a line that is not written.
#ifndef EVE_ENGINE_EPOCH_WRITERS_TURN_H_
#define EVE_ENGINE_EPOCH_WRITERS_TURN_H_

#include <atomic>
#include <cstdint>

#include "engine/epoch/process_slots.h"
#include "engine/file/shared_region.h"

namespace eve {

class WritersTurn {
 public:
  // Others wait for so many runs of the holder, and a little longer. One is
  // what it needs; if it loses that to a run that had begun before, it has a
  // new ticket. What is above is lost to all if the holder is stopped.
  static constexpr uint64_t kRunsWaited = 2;
  static constexpr uint64_t kGraceNanos = 1'000'000;
  static constexpr uint64_t kWaitNanosMax = 4'000'000'000;

  WritersTurn(const SharedRegion* region, const ProcessSlots* slots)
      : region_(region), slots_(slots) {}

  // Whether a swap that holds `mine` (0: nothing) should let another go first.
  bool IsTaken(uint64_t mine = 0) const;

  // Waits while IsTaken(mine), until the bound of the ticket has passed, which
  // is the end of the ticket, or `until` of MonotonicNanos() has come, or
  // kWaitNanosMax has passed, for one ticket after the other.
  void GiveWay(uint64_t mine, uint64_t until);

  // For work that can as well be done later: whether to leave off now, for as
  // long as GiveWay() would have waited. Throws the ticket of the dead away,
  // and one that has had its time, so that it works where nobody waits.
  bool ShouldLeaveOff();

  // Asks others to give way to a swap whose last run took `run_nanos`. Returns
  // its ticket; `mine` if another has the turn. For a holder that has lost once
  // more: a new ticket with at least twice the bound, also where the old one
  // was thrown away.
  uint64_t Take(uint64_t mine, uint64_t run_nanos);
  // REQUIRES: `mine` came from Take(), and was not replaced since.
  void Release(uint64_t mine);

 private:
  SharedWord& word() const { return region_->words().turn; }
  bool IsHolderDead(uint64_t ticket) const;
  // For everybody.
  void Drop(uint64_t ticket);
  // Whether its holder is dead.
  bool DropIfDead(uint64_t ticket);
  uint64_t NewTicket(uint64_t run_nanos);

  const SharedRegion* region_;
  const ProcessSlots* slots_;
  std::atomic<uint64_t> tickets_{0};  // made by this process
  // What ShouldLeaveOff() met, and when first.
  std::atomic<uint64_t> left_off_for_{0};
  std::atomic<uint64_t> left_off_since_{0};
};

}  // namespace eve

#endif  // EVE_ENGINE_EPOCH_WRITERS_TURN_H_
