// Checkpointer: makes the newest commit survive a power failure.
//
// States of a checkpoint, in order (P16); what a death after each leaves:
//   1 slot's lock byte taken   the kernel releases it
//   2 newest root pinned       the pin is ignored
//   3 pending[slot] announced  honoured until somebody takes the slot over
//   4 data flushed             as 3
//   5 slot page written        as 3; it may reach the disk at any later time,
//                              so whoever takes the slot finishes it (P17)
//   6 slot flushed             as 5
//   7 durable[slot] raised     as 5: finishing again changes nothing
//   8 pending cleared, byte released
//
// Threads:    Run() may be called concurrently; one at a time works, and the
//             others find that their version became durable meanwhile.
// Processes:  any number checkpoint at once, in different slots.
// Owns:       nothing between calls.
// Lifetime:   shorter than the core's.
// Errors:     a failed flush is final: the domain is poisoned in all processes
//             (kUnavailable), because the kernel forgets what it lost. While
//             all slots are in use Run() waits; kUnavailable when none of their
//             owners has got on for a while, as when they are stopped.
// Cost:       two fdatasync calls and one 4-KiB write.
#ifndef EVE_ENGINE_CHECKPOINT_CHECKPOINTER_H_
#define EVE_ENGINE_CHECKPOINT_CHECKPOINTER_H_

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/format/commit_slot.h"
#include "engine/root/pinned_root.h"
#include "engine/txn/core.h"

namespace eve {

class Checkpointer {
 public:
  static constexpr absl::Duration kSlotPatience = absl::Seconds(10);

  explicit Checkpointer(Core* core, absl::Duration patience = kSlotPatience)
      : core_(core), slot_patience_(patience) {}

  // Makes everything durable that was committed before the call.
  absl::Status Run();

  // Before the file is cut to `file_bytes`: moves the two newest durable roots
  // to slots that say no more than that, and flushes. A death in between leaves
  // both roots in a valid slot each. REQUIRES: nobody else is attached (P26).
  absl::Status ShortenSlots(uint64_t file_bytes);

  uint64_t durable_version() const;
  absl::Status CheckPoison() const;

 private:
  absl::Status FinishDeadOwners();
  // Nothing: all that may be written over are in use.
  absl::StatusOr<std::optional<uint32_t>> TryTakeSlot();
  // Nothing: another process has made `wanted` durable meanwhile.
  absl::StatusOr<std::optional<uint32_t>> TakeSlot(uint64_t wanted);
  absl::StatusOr<bool> FinishDeadOwner(uint32_t slot);
  absl::Status WriteCheckpoint(uint32_t slot, const PinnedRoot& root);
  absl::Status MoveSlot(uint32_t from, const CommitSlot& page,
                        uint64_t file_bytes);
  absl::Status WipeSlots(const std::vector<uint32_t>& slots);
  absl::Status Poison(const absl::Status& cause);

  Core* core_;
  const absl::Duration slot_patience_;
  std::mutex mutex_;  // OFD locks do not exclude threads
};

// The two newest durable versions and every announced one: what a power
// failure may bring back. Pending words are read before durable ones (P6).
struct DurableCandidates {
  std::vector<uint64_t> pending;
  uint64_t newest = 0;
  uint64_t second = 0;
};
DurableCandidates ReadDurableCandidates(const SharedRegion& region);

}  // namespace eve

#endif  // EVE_ENGINE_CHECKPOINT_CHECKPOINTER_H_
