// CourtesyLease: keeps processes from doing the same work twice.
//
// A word names its holder, who moves it on at every call (a beat). It excludes
// nobody: what is done under it must be correct without it. A holder that is
// dead is replaced at once, one that has not moved the word for kPatience calls
// of another process (it is stopped, or has other things to do) by that one.
//
// Threads:    one at a time.
// Processes:  any number; one word of the region.
// Owns:       nothing.
// Lifetime:   shorter than the region's. A death leaves the word, which the
//             next caller takes.
// Errors:     none.
// Cost:       a compare-and-swap; a system call if another process holds it.
#ifndef EVE_ENGINE_EPOCH_COURTESY_LEASE_H_
#define EVE_ENGINE_EPOCH_COURTESY_LEASE_H_

#include <cstdint>

#include "engine/epoch/process_slots.h"
#include "engine/file/shared_region.h"

namespace eve {

class CourtesyLease {
 public:
  static constexpr int kPatience = 20;

  CourtesyLease(const SharedRegion* region, const ProcessSlots* slots)
      : region_(region), slots_(slots) {}

  // Whether this process holds it now. To be called again and again while
  // there is work, at about the same pace in all processes.
  bool TryHold();
  // Gives it to whoever comes next.
  void Release();

 private:
  // Bits 0..9 owner slot, 10..25 its generation, 26..63 the beat; 0: nobody's.
  uint64_t Mine(uint64_t beat) const;
  bool IsMine(uint64_t word) const;
  bool IsOwnerDead(uint64_t word) const;

  const SharedRegion* region_;
  const ProcessSlots* slots_;
  uint64_t seen_ = 0;
  int unchanged_ = 0;
};

}  // namespace eve

#endif  // EVE_ENGINE_EPOCH_COURTESY_LEASE_H_
