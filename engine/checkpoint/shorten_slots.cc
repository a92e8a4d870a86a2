// Before the file is cut the two newest durable roots must not need its end: a
// slot that says more bytes than the file has is taken for truncated.

#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "engine/checkpoint/checkpointer.h"
#include "engine/file/file_lock.h"
#include "engine/format/commit_slot.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {

// The same root in another slot; the old one is not needed any more after. At
// every point the version is in a durable or in a pending word.
absl::Status Checkpointer::MoveSlot(uint32_t from, const CommitSlot& page,
                                    uint64_t file_bytes) {
  RegionWords& words = core_->region.words();
  // No version will do instead, so there is one.
  EVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> taken,
                       TakeSlot(/*wanted=*/UINT64_MAX));
  const uint32_t to = *taken;
  absl::Cleanup unlock = [this, to] {
    UnlockByte(core_->region.file(), kCommitSlotLockBase + to);
  };
  CommitSlotFields fields;
  fields.incarnation = page.incarnation;
  fields.version = page.version;
  fields.record = page.record;
  fields.record_hash = page.record_hash;
  fields.segment_count = page.segment_count;
  fields.file_bytes = file_bytes;
  const CommitSlot copy = MakeCommitSlot(to, fields, core_->superblock.uuid);
  words.pending[to].store(page.version, std::memory_order_seq_cst);
  EVE_STEP("shorten.announced");
  // A failure leaves pending set, as in a checkpoint (P18).
  absl::Status written =
      core_->file.WriteAt(CommitSlotPosition(to), &copy, sizeof(copy));
  EVE_STEP("shorten.slot_written");
  if (written.ok()) written = core_->file.Datasync();
  if (!written.ok()) return Poison(written);
  EVE_STEP("shorten.slot_flushed");
  words.durable[from].store(0, std::memory_order_seq_cst);
  words.durable[to].store(page.version, std::memory_order_seq_cst);
  words.pending[to].store(0, std::memory_order_seq_cst);
  return absl::OkStatus();
}

// Wipes slots that name a root which another slot names too.
absl::Status Checkpointer::WipeSlots(const std::vector<uint32_t>& slots) {
  RegionWords& words = core_->region.words();
  const CommitSlot none{};
  for (const uint32_t slot : slots) {
    const uint64_t byte = kCommitSlotLockBase + slot;
    EVE_ASSIGN_OR_RETURN(
        const bool taken,
        TryLockByte(core_->region.file(), byte, LockKind::kExclusive));
    if (!taken) continue;
    absl::Cleanup unlock = [this, byte] {
      UnlockByte(core_->region.file(), byte);
    };
    // The second root may have moved to where the first was.
    if (words.durable[slot].load(std::memory_order_seq_cst) != 0 ||
        words.pending[slot].load(std::memory_order_seq_cst) != 0) {
      continue;
    }
    EVE_RETURN_IF_ERROR(
        core_->file.WriteAt(CommitSlotPosition(slot), &none, sizeof(none)));
    EVE_STEP("shorten.wiped");
  }
  if (absl::Status flushed = core_->file.Datasync(); !flushed.ok()) {
    return Poison(flushed);
  }
  EVE_STEP("shorten.wipe_flushed");
  return absl::OkStatus();
}

absl::Status Checkpointer::ShortenSlots(uint64_t file_bytes) {
  std::lock_guard lock(mutex_);
  EVE_RETURN_IF_ERROR(CheckPoison());
  EVE_RETURN_IF_ERROR(FinishDeadOwners());
  const DurableCandidates durable = ReadDurableCandidates(core_->region);
  if (!durable.pending.empty()) {
    return absl::UnavailableError(
        absl::StrCat(core_->path, ": a checkpoint is under way"));
  }
  std::vector<uint32_t> moved;
  for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
    const uint64_t version =
        core_->region.words().durable[slot].load(std::memory_order_seq_cst);
    if (version == 0 ||
        (version != durable.newest && version != durable.second)) {
      continue;
    }
    CommitSlot page;
    EVE_RETURN_IF_ERROR(
        core_->file.ReadAt(CommitSlotPosition(slot), &page, sizeof(page)));
    if (!IsValidCommitSlot(page, slot, core_->superblock.uuid) ||
        page.version != version) {
      return absl::DataLossError(absl::StrCat(core_->path, ": commit slot ",
                                              slot,
                                              " is not what was written "
                                              "for version ",
                                              version));
    }
    if (page.file_bytes <= file_bytes) continue;
    EVE_RETURN_IF_ERROR(MoveSlot(slot, page, file_bytes));
    moved.push_back(slot);
  }
  return WipeSlots(moved);
}

}  // namespace eve
