// Attached processes: what each has pinned and counted, for people.
//
// Unlike ScanPins this revokes nothing and decides nothing: it may miss a pin
// that begins meanwhile, and show one that has just ended.
//
// Threads:    any.
// Processes:  reads the words of all; works without a slot of one's own.
// Owns:       counters of dead processes stay in their slots, and the next
//             owner goes on from there: their sums are those since the region
//             was built.
// Lifetime:   none.
// Errors:     none; a slot that keeps changing hands is left out.
// Cost:       a scan of all cells; one fcntl per foreign slot ever used.
#ifndef EVE_ENGINE_EPOCH_ATTACHED_H_
#define EVE_ENGINE_EPOCH_ATTACHED_H_

#include <cstdint>
#include <vector>

#include "engine/epoch/process_slots.h"
#include "engine/file/shared_region.h"

namespace eve {

// A copy of the counters of ProcessSlot; see there.
struct SlotCounters {
  uint64_t commits = 0;
  uint64_t conflicts = 0;
  uint64_t restamps = 0;
  uint64_t folds = 0;
  uint64_t segments_claimed = 0;
  uint64_t segments_freed = 0;
  uint64_t checkpoints = 0;
  uint64_t bytes_committed = 0;
  uint64_t cells_revoked = 0;
  uint64_t blocks_moved = 0;
  uint64_t bytes_moved = 0;
  uint64_t bytes_punched = 0;
  uint64_t turns = 0;
  uint64_t waits = 0;

  SlotCounters& operator+=(const SlotCounters& other);
};

struct CellPin {
  uint32_t cell = 0;
  uint64_t version = 0;  // of a range pin its lower end
  bool is_range = false;
};

struct AttachedProcess {
  uint32_t slot = 0;
  uint64_t generation = 0;
  uint32_t pid = 0;
  bool is_self = false;
  SlotCounters counters;
  std::vector<CellPin> pins;
};

// The processes that are alive, by slot.
std::vector<AttachedProcess> ListAttached(const SharedRegion& region,
                                          const ProcessSlots& slots);

// Of all slots, also those of the dead.
SlotCounters SumCounters(const SharedRegion& region);

// The first opener's, before the region is ready.
void ClearCounters(const SharedRegion& region);

}  // namespace eve

#endif  // EVE_ENGINE_EPOCH_ATTACHED_H_
