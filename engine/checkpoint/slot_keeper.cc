#include "engine/checkpoint/slot_keeper.h"

#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/checkpoint/durable_state.h"
#include "engine/file/file_lock.h"
#include "engine/format/commit_slot.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {

SlotKeeper::SlotKeeper(
    Core* core, absl::Duration patience, std::function<absl::Status()> flush,
    std::function<absl::Status(const CommitSlot* page)> check_device)
    : core_(core),
      patience_(patience),
      flush_(std::move(flush)),
      check_device_(std::move(check_device)) {
  bool any = false;
  for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
    met_[slot] =
        core->region.words().pending[slot].load(std::memory_order_seq_cst);
    any = any || met_[slot] != 0;
  }
  has_met_.store(any, std::memory_order_relaxed);
}

absl::StatusOr<bool> SlotKeeper::TryTakeThis(uint32_t slot) {
  std::lock_guard lock(mutex_);
  if (is_mine_[slot]) return false;
  EVE_ASSIGN_OR_RETURN(is_mine_[slot], TryLockByte(core_->region.file(),
                                                   kCommitSlotLockBase + slot,
                                                   LockKind::kExclusive));
  return is_mine_[slot];
}

void SlotKeeper::Release(uint32_t slot) {
  std::lock_guard lock(mutex_);
  UnlockByte(core_->region.file(), kCommitSlotLockBase + slot);
  is_mine_[slot] = false;
}

absl::StatusOr<bool> SlotKeeper::FinishDeadOwner(uint32_t slot) {
  RegionWords& words = core_->region.words();
  const uint64_t pending = words.pending[slot].load(std::memory_order_seq_cst);
  if (pending == 0) return false;
  const auto read = [&]() -> absl::StatusOr<CommitSlot> {
    CommitSlot page;
    EVE_RETURN_IF_ERROR(
        core_->file.ReadAt(CommitSlotPosition(slot), &page, sizeof(page)));
    return page;
  };
  EVE_ASSIGN_OR_RETURN(const CommitSlot page, read());
  const bool is_shown = IsValidCommitSlot(page, slot, core_->superblock.uuid) &&
                        page.version == pending &&
                        page.incarnation == core_->incarnation;
  // A page of before this announcement, or a copy of it without its list, needs
  // no look: it was acknowledged then, and what it lists may be reused by now.
  const bool is_old =
      words.durable[slot].load(std::memory_order_seq_cst) == pending;
  // Before anybody flushes and believes it, and while the word says so to who
  // comes if this process dies as well (P22).
  EVE_RETURN_IF_ERROR(check_device_(is_shown && !is_old ? &page : nullptr));
  EVE_STEP("checkpoint.device_checked");
  // relaxed: a figure for people.
  words.flush_begun[slot].store(0, std::memory_order_relaxed);
  // The cache may have dropped it, lost as it was, before it was compared.
  EVE_ASSIGN_OR_RETURN(const CommitSlot again, read());
  const bool is_written =
      is_shown && std::memcmp(&page, &again, sizeof(page)) == 0;
  if (!is_written) {
    words.pending[slot].store(0, std::memory_order_seq_cst);
    return false;
  }
  // It may be only in the page cache, and so may the data that it lists; until
  // both are on disk it must neither count as durable nor lose its protection
  // (P17).
  EVE_RETURN_IF_ERROR(flush_());
  EVE_STEP("checkpoint.finished_dead");
  AcknowledgeSlot(*core_, slot, pending, page.extent_count == 0);
  NoteFlushEnded(*core_);
  return true;
}

// Slots that a dead owner announced would protect a version for ever if nobody
// happened to choose them.
absl::Status SlotKeeper::FinishDeadOwners() {
  for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
    SharedWord& pending = core_->region.words().pending[slot];
    if (pending.load(std::memory_order_seq_cst) == 0) continue;
    EVE_ASSIGN_OR_RETURN(const bool taken, TryTakeThis(slot));
    if (!taken) continue;  // its owner lives
    const absl::StatusOr<bool> finished = FinishDeadOwner(slot);
    Release(slot);
    EVE_RETURN_IF_ERROR(finished.status());
  }
  return has_met_.load(std::memory_order_relaxed) ? CheckMetFlushes()
                                                  : absl::OkStatus();
}

absl::Status SlotKeeper::CheckMetFlushes() {
  std::lock_guard lock(met_mutex_);
  if (!has_met_.load(std::memory_order_relaxed)) return absl::OkStatus();
  bool is_left = false;
  for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
    // One that has got on has poisoned the domain if its flush had failed.
    const uint64_t now =
        core_->region.words().pending[slot].load(std::memory_order_seq_cst);
    is_left = is_left || (met_[slot] != 0 && met_[slot] == now);
  }
  EVE_RETURN_IF_ERROR(CheckPoison(*core_));
  // Once: what is written from now on, this process is told of.
  if (is_left) EVE_RETURN_IF_ERROR(check_device_(nullptr));
  has_met_.store(false, std::memory_order_relaxed);
  return absl::OkStatus();
}

// Whether a slot below makes this one superfluous. The lowest that names a
// version is never taken, nor the lowest of those without a list, on which
// the settled word leans: so both stay, whoever judges at the same time (I17).
absl::StatusOr<bool> SlotKeeper::IsNamedBelow(uint32_t slot,
                                              uint64_t version) const {
  RegionWords& words = core_->region.words();
  const auto read = [&](uint32_t at) -> absl::StatusOr<std::optional<bool>> {
    CommitSlot page;
    EVE_RETURN_IF_ERROR(
        core_->file.ReadAt(CommitSlotPosition(at), &page, sizeof(page)));
    if (!IsValidCommitSlot(page, at, core_->superblock.uuid) ||
        page.version != version) {
      return std::nullopt;
    }
    return page.extent_count > 0;
  };
  std::optional<bool> has_list;  // this one
  for (uint32_t below = 0; below < slot; ++below) {
    if (words.durable[below].load(std::memory_order_seq_cst) != version) {
      continue;
    }
    if (!has_list.has_value()) {
      EVE_ASSIGN_OR_RETURN(has_list, read(slot));
      if (!has_list.has_value()) return false;
    }
    EVE_ASSIGN_OR_RETURN(const std::optional<bool> listed, read(below));
    if (listed.has_value() && (!*listed || *has_list)) return true;
  }
  return false;
}

// It holds one of the two newest durable roots, or something that may land.
absl::StatusOr<bool> SlotKeeper::IsNeeded(uint32_t slot) const {
  RegionWords& words = core_->region.words();
  const DurableCandidates durable = ReadDurableCandidates(core_->region);
  const uint64_t version = words.durable[slot].load(std::memory_order_seq_cst);
  if (words.pending[slot].load(std::memory_order_seq_cst) != 0) return true;
  if (version == 0 ||
      (version != durable.newest && version != durable.second)) {
    return false;
  }
  EVE_ASSIGN_OR_RETURN(const bool is_named, IsNamedBelow(slot, version));
  return !is_named;
}

absl::StatusOr<std::optional<uint32_t>> SlotKeeper::TryTake() {
  EVE_RETURN_IF_ERROR(FinishDeadOwners());
  for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
    EVE_ASSIGN_OR_RETURN(const bool is_needed, IsNeeded(slot));
    if (is_needed) continue;
    EVE_ASSIGN_OR_RETURN(const bool taken, TryTakeThis(slot));
    if (!taken) continue;
    // Who had it last has got on.
    ForgetVain();
    EVE_STEP("checkpoint.slot_taken");
    // Chosen under the byte.
    const absl::StatusOr<bool> still = IsNeeded(slot);
    if (still.ok() && !*still) return slot;
    Release(slot);
    EVE_RETURN_IF_ERROR(still.status());
  }
  return std::nullopt;
}

// Once for all who are told so: to look who it is costs as much as commits.
absl::Status SlotKeeper::NoteVain(std::vector<uint64_t> announced) {
  const absl::Status error = absl::UnavailableError(absl::StrCat(
      core_->path, ": all ", kCommitSlotCount,
      " commit slots are in use, and nobody has got on for ",
      absl::FormatDuration(patience_), ". They are held by ",
      DescribeHolders(core_->region.file(), kCommitSlotLockBase,
                      kCommitSlotCount),
      ". What was committed is there, but not yet on disk. If those are "
      "stopped, let them go on (kill -CONT) or kill them"));
  std::lock_guard lock(mutex_);
  vain_ = std::move(announced);
  vain_error_ = error;
  return error;
}

std::vector<uint64_t> SlotKeeper::Announced() const {
  const DurableCandidates found = ReadDurableCandidates(core_->region);
  std::vector<uint64_t> versions = found.pending;
  versions.push_back(found.newest);
  return versions;
}

// Not by the wall clock, which may be set meanwhile.
SlotKeeper::Vigil::Vigil(const SlotKeeper* slots)
    : slots_(slots),
      announced_(slots->Announced()),
      got_on_(MonotonicNanos()) {}

bool SlotKeeper::Vigil::IsInVain(bool is_held) {
  std::vector<uint64_t> now = slots_->Announced();
  if (!is_held || now != announced_) got_on_ = MonotonicNanos();
  announced_ = std::move(now);
  if (!is_held) return false;
  const auto patience =
      static_cast<uint64_t>(absl::ToInt64Nanoseconds(slots_->patience_));
  return MonotonicNanos() - got_on_ >= patience ||
         EVE_FAULT("checkpoint.slot_patience") != 0;
}

bool SlotKeeper::AreAllHeldByOthers() const {
  for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
    const absl::StatusOr<bool> held =
        IsRangeLockedByOther(core_->region.file(), kCommitSlotLockBase + slot,
                             /*count=*/1);
    if (!held.ok()) return false;
    if (*held) continue;
    // Of a dead owner: whoever wants one finishes it, and has it then.
    if (core_->region.words().pending[slot].load(std::memory_order_seq_cst) !=
        0) {
      return false;
    }
    const absl::StatusOr<bool> is_needed = IsNeeded(slot);
    if (!is_needed.ok() || !*is_needed) return false;
  }
  return true;
}

absl::StatusOr<std::optional<uint32_t>> SlotKeeper::Take(uint64_t wanted,
                                                         uint64_t deadline) {
  EVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> first, TryTake());
  if (first.has_value()) return first;
  Vigil vigil(this);
  while (true) {
    EVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> slot, TryTake());
    if (slot.has_value()) return slot;
    EVE_STEP("checkpoint.slots_in_use");
    if (ReadDurableVersion(core_->region) >= wanted) return std::nullopt;
    EVE_RETURN_IF_ERROR(CheckPoison(*core_));
    const bool is_in_vain = vigil.IsInVain(/*is_held=*/true);
    if (MonotonicNanos() >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat(
          core_->path, ": version ", wanted, " is not durable yet: all ",
          kCommitSlotCount, " commit slots are in use"));
    }
    // Who has them is waited for in vain once, by one of this process (P20).
    EVE_RETURN_IF_ERROR(ErrorOfVain(vigil.announced()));
    if (is_in_vain) return NoteVain(vigil.announced());
    // A checkpoint takes two flushes, so this is short.
    absl::SleepFor(absl::Milliseconds(1));
  }
}

}  // namespace eve
