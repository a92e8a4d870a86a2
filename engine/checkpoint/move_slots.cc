// Copies of durable slots: without a list, so that rot in an extent costs no
// commit; and before the file is cut, because a slot that says more bytes than
// the file has is taken for truncated.

#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "engine/checkpoint/checkpointer.h"
#include "engine/format/commit_slot.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {

absl::StatusOr<CommitSlot> Checkpointer::ReadDurableSlot(
    uint32_t slot, uint64_t version) const {
  CommitSlot page;
  EVE_RETURN_IF_ERROR(
      core_->file.ReadAt(CommitSlotPosition(slot), &page, sizeof(page)));
  if (!IsValidCommitSlot(page, slot, core_->superblock.uuid) ||
      page.version != version) {
    return absl::DataLossError(absl::StrCat(core_->path, ": commit slot ", slot,
                                            " is not what was written for "
                                            "version ",
                                            version));
  }
  return page;
}

// What the slot lists was flushed before, so it needs no list any more. The
// caller flushes the copy.
absl::Status Checkpointer::CopySlot(uint32_t to, const CommitSlot& page,
                                    uint64_t file_bytes) {
  CommitSlotFields fields;
  fields.incarnation = page.incarnation;
  fields.version = page.version;
  fields.record = page.record;
  fields.record_hash = page.record_hash;
  fields.segment_count = page.segment_count;
  fields.file_bytes = file_bytes;
  const CommitSlot copy = MakeCommitSlot(to, fields, core_->superblock.uuid);
  core_->region.words().pending[to].store(page.version,
                                          std::memory_order_seq_cst);
  EVE_STEP("copy_slot.announced");
  // A failure leaves pending set, as in a checkpoint (P18).
  absl::Status written =
      core_->file.WriteAt(CommitSlotPosition(to), &copy, sizeof(copy));
  if (!written.ok()) return PoisonDomain(*core_, written);
  EVE_STEP("copy_slot.written");
  return absl::OkStatus();
}

absl::Status Checkpointer::Settle() {
  std::lock_guard lock(run_mutex_);
  RegionWords& words = core_->region.words();
  const uint64_t version = durable_version();
  // relaxed: see AcknowledgeSlot().
  if (words.settled.load(std::memory_order_relaxed) >= version) {
    return absl::OkStatus();
  }
  EVE_RETURN_IF_ERROR(CheckPoison(*core_));
  uint32_t from = 0;
  while (from < kCommitSlotCount &&
         words.durable[from].load(std::memory_order_seq_cst) != version) {
    ++from;
  }
  // Others have gone on since, and will settle what is newest then.
  if (from == kCommitSlotCount) return absl::OkStatus();
  EVE_STEP("settle.found");
  EVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> to,
                       slots_.Take(version + 1));
  if (!to.has_value()) return absl::OkStatus();
  absl::Cleanup release = [this, &to] { slots_.Release(*to); };
  // As above. The word of a slot only grows while others are attached (I17), so
  // the slot must not be one that has named a newer version meanwhile.
  if (durable_version() != version) return absl::OkStatus();
  const absl::StatusOr<CommitSlot> page = ReadDurableSlot(from, version);
  if (!page.ok()) return absl::OkStatus();  // written over meanwhile: as above
  // Without the list its own size may be too old to tell that the file was cut.
  EVE_RETURN_IF_ERROR(CopySlot(*to, *page, FileBytesAt(*page)));
  EVE_STEP("settle.copied");
  EVE_RETURN_IF_ERROR(FlushFile());
  EVE_STEP("settle.flushed");
  // The word of the old slot stays as it is: a scan that had passed the new one
  // before would miss the version if it were lowered (P6).
  AcknowledgeSlot(*core_, *to, version, /*is_settled=*/true);
  CountInSlot(core_->slots->own().checkpoints);
  return absl::OkStatus();
}

// Wipes slots that name a root which another slot names too. That is flushed,
// so that what they say is not met again, but not announced: all that was
// written before is on disk, with the copies, and of a slot that is still there
// and its copy the copy counts.
absl::Status Checkpointer::WipeSlots(const std::vector<uint32_t>& slots) {
  RegionWords& words = core_->region.words();
  const CommitSlot none{};
  bool any = false;
  for (const uint32_t slot : slots) {
    EVE_ASSIGN_OR_RETURN(const bool taken, slots_.TryTakeThis(slot));
    if (!taken) continue;
    absl::Cleanup release = [this, slot] { slots_.Release(slot); };
    // The second root may have moved to where the first was.
    if (words.durable[slot].load(std::memory_order_seq_cst) != 0 ||
        words.pending[slot].load(std::memory_order_seq_cst) != 0) {
      continue;
    }
    any = true;
    EVE_RETURN_IF_ERROR(
        core_->file.WriteAt(CommitSlotPosition(slot), &none, sizeof(none)));
    EVE_STEP("shorten.wiped");
  }
  // Without a slot it would be about commits that nobody has flushed yet, and a
  // death in it one that others do not know of (P22).
  if (!any) return absl::OkStatus();
  EVE_RETURN_IF_ERROR(FlushFile());
  EVE_STEP("shorten.wipe_flushed");
  return absl::OkStatus();
}

absl::Status Checkpointer::ShortenSlots(uint64_t file_bytes) {
  std::lock_guard lock(run_mutex_);
  RegionWords& words = core_->region.words();
  known_bytes_.store(file_bytes, std::memory_order_relaxed);
  EVE_RETURN_IF_ERROR(CheckPoison(*core_));
  EVE_RETURN_IF_ERROR(slots_.FinishDeadOwners());
  const DurableCandidates durable = ReadDurableCandidates(core_->region);
  if (!durable.pending.empty()) {
    return absl::UnavailableError(
        absl::StrCat(core_->path, ": a checkpoint is under way"));
  }
  std::vector<uint32_t> moved;
  for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
    const uint64_t version =
        words.durable[slot].load(std::memory_order_seq_cst);
    if (version == 0 ||
        (version != durable.newest && version != durable.second)) {
      continue;
    }
    EVE_ASSIGN_OR_RETURN(const CommitSlot page, ReadDurableSlot(slot, version));
    if (page.file_bytes <= file_bytes) continue;
    // No version will do instead, so there is one.
    EVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> to,
                         slots_.Take(/*wanted=*/UINT64_MAX));
    absl::Cleanup release = [this, &to] { slots_.Release(*to); };
    // At every point the version is in a durable or in a pending word.
    EVE_RETURN_IF_ERROR(CopySlot(*to, page, file_bytes));
    EVE_STEP("shorten.copied");
    EVE_RETURN_IF_ERROR(FlushFile());
    EVE_STEP("shorten.flushed");
    words.durable[slot].store(0, std::memory_order_seq_cst);
    AcknowledgeSlot(*core_, *to, version, /*is_settled=*/true);
    moved.push_back(slot);
  }
  return WipeSlots(moved);
}

}  // namespace eve
