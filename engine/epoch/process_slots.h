// ProcessSlots: which processes are attached, and which of them are alive.
//
// A process is alive as long as it holds the OFD lock byte of its slot: the
// kernel drops it at death, whatever the cause, and only after the last store
// of that process. No heartbeat, no pid, no clock.
//
// Threads:    const methods may be called concurrently.
// Processes:  the kernel arbitrates a claim: whoever gets the byte owns the
//             slot, and the predecessor is dead.
// Owns:       one slot of the region from Claim() to Release().
// Lifetime:   shorter than the region's.
// Errors:     kResourceExhausted when kProcessesMax processes are attached.
// Cost:       one system call per liveness query of a foreign slot.
#ifndef EVE_ENGINE_EPOCH_PROCESS_SLOTS_H_
#define EVE_ENGINE_EPOCH_PROCESS_SLOTS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "engine/file/shared_region.h"

namespace eve {

// Adds to a counter of a process slot: a figure for people, in no order.
inline void CountInSlot(SharedWord& counter, uint64_t by = 1) {
  counter.fetch_add(by, std::memory_order_relaxed);
}

inline uint64_t ReadCounter(const SharedWord& counter) {
  return counter.load(std::memory_order_relaxed);
}

class ProcessSlots {
 public:
  explicit ProcessSlots(const SharedRegion* region) : region_(region) {}

  // Takes a slot, bumps its generation and clears the pins of its predecessor
  // before anything else can be published from it (P7).
  // Death between the steps: the lock byte is free again, the next claimer
  // starts over; uncleared pins belong to a dead slot and are ignored.
  absl::Status Claim();
  // Its two halves. With the lock byte this process counts as attached, and
  // keeps nobody from opening any more, however long the other half takes it.
  absl::Status TakeSlot();
  void BeginLife();
  void Release();

  bool claimed() const { return claimed_; }
  uint32_t index() const { return index_; }
  uint64_t generation() const { return generation_; }
  ProcessSlot& own() const { return region_->process(index_); }

  // Slots at or above this were never claimed in this region.
  uint32_t used() const;

  // Whether the process in `index` lives. One's own slot does by definition:
  // its lock does not show to its owner. To be called after reading the words
  // that it judges. An error of the query counts as alive.
  bool IsAlive(uint32_t index) const;

  // Whether any slot is held by anybody else.
  static absl::StatusOr<bool> AnyAttached(const File& lock_file);

 private:
  const SharedRegion* region_;
  bool claimed_ = false;
  uint32_t index_ = 0;
  uint64_t generation_ = 0;
};

}  // namespace eve

#endif  // EVE_ENGINE_EPOCH_PROCESS_SLOTS_H_
