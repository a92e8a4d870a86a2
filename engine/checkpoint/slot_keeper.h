// SlotKeeper: which commit slot a checkpoint may write, and who writes it.
//
// A slot belongs to who holds its lock byte. Never taken are those of the two
// newest durable versions and those that somebody has announced; but of several
// slots that name one version, as checkpoints that run at once leave them, all
// but two may be. What a dead owner announced is finished first (P17).
//
// Threads:    any; a table of this process stands above the lock bytes, which
//             do not exclude threads.
// Processes:  any number. A death drops the byte and leaves the pending word.
// Owns:       the slots that it gave out, until Release().
// Lifetime:   shorter than the core's.
// Errors:     kUnavailable: a flush failed, or no slot's owner has got on for
//             the patience given; kDeadlineExceeded.
// Cost:       two system calls; of a dead owner a flush, and as flush_death.h.
#ifndef EVE_ENGINE_CHECKPOINT_SLOT_KEEPER_H_
#define EVE_ENGINE_CHECKPOINT_SLOT_KEEPER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/format/commit_slot.h"
#include "engine/txn/core.h"

namespace eve {

class SlotKeeper {
 public:
  // `flush` makes the file durable, or poisons the domain. `check_device`
  // looks what a flush has come to of which nobody tells (flush_death.h), and
  // whether the slot, if there is one, may be believed.
  SlotKeeper(Core* core, absl::Duration patience,
             std::function<absl::Status()> flush,
             std::function<absl::Status(const CommitSlot* page)> check_device);

  // A slot that may be written over. Nothing: somebody has made `wanted`
  // durable meanwhile. Waits until `deadline` of MonotonicNanos() at most.
  absl::StatusOr<std::optional<uint32_t>> Take(uint64_t wanted,
                                               uint64_t deadline = UINT64_MAX);
  // This one, if nobody has it.
  absl::StatusOr<bool> TryTakeThis(uint32_t slot);
  void Release(uint32_t slot);
  bool IsMine(uint32_t slot) {
    std::lock_guard lock(mutex_);
    return is_mine_[slot];
  }
  absl::Status FinishDeadOwners();
  // Of the flushes that had been announced before this process came, and still
  // are by the living, one may have failed before: its owner was told, and has
  // been stopped since. This process will not be told (P22).
  absl::Status CheckMetFlushes();

  // How one that waits for those who have the slots sees whether they get on.
  // Threads: one.
  class Vigil {
   public:
    explicit Vigil(const SlotKeeper* slots);
    // Looks. `is_held`: nobody can get a slot. Whether that has been so for the
    // patience, and what is announced and durable the same.
    bool IsInVain(bool is_held);
    const std::vector<uint64_t>& announced() const { return announced_; }

   private:
    const SlotKeeper* slots_;
    std::vector<uint64_t> announced_;
    uint64_t got_on_;  // when they were last seen to
  };
  // The same for one that may take none. An error that cannot be looked for is
  // none.
  bool IsInVain(Vigil& vigil) const {
    return vigil.IsInVain(AreAllHeldByOthers());
  }
  // Returns what to tell: who has the slots, and what to do.
  absl::Status NoteVain(std::vector<uint64_t> announced);

 private:
  std::vector<uint64_t> Announced() const;
  bool AreAllHeldByOthers() const;
  absl::StatusOr<bool> IsNeeded(uint32_t slot) const;
  absl::StatusOr<bool> IsNamedBelow(uint32_t slot, uint64_t version) const;
  // Nothing: all that may be written over are in use.
  absl::StatusOr<std::optional<uint32_t>> TryTake();
  absl::StatusOr<bool> FinishDeadOwner(uint32_t slot);
  // What one was told who has waited in vain while what was announced was this,
  // if no slot was had since.
  absl::Status ErrorOfVain(const std::vector<uint64_t>& announced) {
    std::lock_guard lock(mutex_);
    return vain_ == announced ? vain_error_ : absl::OkStatus();
  }
  void ForgetVain() {
    std::lock_guard lock(mutex_);
    vain_.clear();
    vain_error_ = absl::OkStatus();
  }

  Core* core_;
  const absl::Duration patience_;
  const std::function<absl::Status()> flush_;
  const std::function<absl::Status(const CommitSlot* page)> check_device_;
  // What was announced when this process came, until it is known to harm
  // nothing; under met_mutex_.
  std::atomic<bool> has_met_{false};
  std::mutex met_mutex_;
  uint64_t met_[kCommitSlotCount] = {};
  std::mutex mutex_;
  bool is_mine_[kCommitSlotCount] = {};
  std::vector<uint64_t> vain_;  // see ErrorOfVain(), and so is
  absl::Status vain_error_;     // OK: nobody has
};

}  // namespace eve

#endif  // EVE_ENGINE_CHECKPOINT_SLOT_KEEPER_H_
