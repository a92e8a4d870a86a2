#include "engine/checkpoint/checkpointer.h"

#include <cerrno>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/file/file_lock.h"
#include "engine/format/checksum.h"
#include "engine/format/commit_slot.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {

DurableCandidates ReadDurableCandidates(const SharedRegion& region) {
  DurableCandidates found;
  RegionWords& words = region.words();
  // seq_cst throughout: a checkpointer raises durable before it clears
  // pending, so what this scan misses in one it meets in the other (I9).
  for (SharedWord& word : words.pending) {
    const uint64_t version = word.load(std::memory_order_seq_cst);
    if (version != 0) found.pending.push_back(version);
  }
  EVE_STEP("candidates.pending_read");
  for (SharedWord& word : words.durable) {
    const uint64_t version = word.load(std::memory_order_seq_cst);
    if (version > found.newest) {
      found.second = found.newest;
      found.newest = version;
    } else if (version > found.second) {
      found.second = version;
    }
  }
  return found;
}

uint64_t Checkpointer::durable_version() const {
  return ReadDurableCandidates(core_->region).newest;
}

absl::Status Checkpointer::CheckPoison() const {
  const uint32_t error =
      core_->region.header().poison.load(std::memory_order_acquire);
  if (error == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      core_->path, ": a flush to disk failed earlier (errno ", error,
      "): nothing after version ", durable_version(),
      " can be promised to survive a power failure. Close the domain in all "
      "processes and open it again"));
}

absl::Status Checkpointer::Poison(const absl::Status& cause) {
  uint32_t none = 0;
  core_->region.header().poison.compare_exchange_strong(
      none, EIO, std::memory_order_acq_rel);
  return absl::UnavailableError(
      absl::StrCat(core_->path,
                   ": flush failed, the domain takes no more "
                   "checkpoints until all processes have reopened it: ",
                   std::string(cause.message())));
}

absl::StatusOr<bool> Checkpointer::FinishDeadOwner(uint32_t slot) {
  RegionWords& words = core_->region.words();
  const uint64_t pending = words.pending[slot].load(std::memory_order_seq_cst);
  if (pending == 0) return false;
  CommitSlot page;
  EVE_RETURN_IF_ERROR(
      core_->file.ReadAt(CommitSlotPosition(slot), &page, sizeof(page)));
  const bool is_written =
      IsValidCommitSlot(page, slot, core_->superblock.uuid) &&
      page.version == pending && page.incarnation == core_->incarnation;
  if (is_written) {
    // It may be only in the page cache; until it is on disk it must neither
    // count as durable nor lose its protection (P17).
    if (absl::Status flushed = core_->file.Datasync(); !flushed.ok()) {
      return Poison(flushed);
    }
    words.durable[slot].store(pending, std::memory_order_seq_cst);
    EVE_STEP("checkpoint.finished_dead");
  }
  words.pending[slot].store(0, std::memory_order_seq_cst);
  return is_written;
}

// Slots that a dead owner announced would protect a version for ever if nobody
// happened to choose them.
absl::Status Checkpointer::FinishDeadOwners() {
  for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
    SharedWord& pending = core_->region.words().pending[slot];
    if (pending.load(std::memory_order_seq_cst) == 0) continue;
    const uint64_t byte = kCommitSlotLockBase + slot;
    EVE_ASSIGN_OR_RETURN(
        const bool taken,
        TryLockByte(core_->region.file(), byte, LockKind::kExclusive));
    if (!taken) continue;  // its owner lives
    const absl::StatusOr<bool> finished = FinishDeadOwner(slot);
    UnlockByte(core_->region.file(), byte);
    EVE_RETURN_IF_ERROR(finished.status());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<uint32_t>> Checkpointer::TryTakeSlot() {
  EVE_RETURN_IF_ERROR(FinishDeadOwners());
  RegionWords& words = core_->region.words();
  for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
    EVE_ASSIGN_OR_RETURN(
        const bool taken,
        TryLockByte(core_->region.file(), kCommitSlotLockBase + slot,
                    LockKind::kExclusive));
    if (!taken) continue;
    EVE_STEP("checkpoint.slot_taken");
    // Chosen under the byte: it holds neither of the two newest durable roots
    // and nothing that may still land.
    const DurableCandidates durable = ReadDurableCandidates(core_->region);
    const uint64_t mine = words.durable[slot].load(std::memory_order_seq_cst);
    const bool is_needed =
        mine != 0 && (mine == durable.newest || mine == durable.second);
    if (!is_needed &&
        words.pending[slot].load(std::memory_order_seq_cst) == 0) {
      return slot;
    }
    UnlockByte(core_->region.file(), kCommitSlotLockBase + slot);
  }
  return std::nullopt;
}

absl::StatusOr<std::optional<uint32_t>> Checkpointer::TakeSlot(
    uint64_t wanted) {
  const auto announced = [this] {
    const DurableCandidates found = ReadDurableCandidates(core_->region);
    std::vector<uint64_t> versions = found.pending;
    versions.push_back(found.newest);
    return versions;
  };
  std::vector<uint64_t> seen = announced();
  absl::Time got_on = absl::Now();
  while (true) {
    EVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> slot, TryTakeSlot());
    if (slot.has_value()) return slot;
    EVE_STEP("checkpoint.slots_in_use");
    if (durable_version() >= wanted) return std::nullopt;
    EVE_RETURN_IF_ERROR(CheckPoison());
    std::vector<uint64_t> now = announced();
    if (now != seen) got_on = absl::Now();
    seen = std::move(now);
    if (absl::Now() - got_on >= slot_patience_) {
      return absl::UnavailableError(absl::StrCat(
          core_->path, ": all ", kCommitSlotCount,
          " commit slots are in use by other processes, which have not got on "
          "for ",
          absl::FormatDuration(slot_patience_),
          ". What was committed is there, but not yet on disk. Look for "
          "stopped "
          "processes with eve readers"));
    }
    // A checkpoint takes two flushes, so this is short.
    absl::SleepFor(absl::Milliseconds(1));
  }
}

absl::Status Checkpointer::WriteCheckpoint(uint32_t slot,
                                           const PinnedRoot& root) {
  RegionWords& words = core_->region.words();
  const CommitRecord& record = root.record();
  EVE_ASSIGN_OR_RETURN(const uint64_t file_bytes, core_->file.Size());
  words.pending[slot].store(record.version, std::memory_order_seq_cst);
  EVE_STEP("checkpoint.announced");
  if (absl::Status flushed = core_->file.Datasync(); !flushed.ok()) {
    // The slot was not written: nothing can land later.
    words.pending[slot].store(0, std::memory_order_seq_cst);
    return Poison(flushed);
  }
  EVE_STEP("checkpoint.data_flushed");
  CommitSlotFields fields;
  fields.incarnation = core_->incarnation;
  fields.version = record.version;
  fields.record = root.offset();
  fields.record_hash = BlockHash(&record, root.offset(), core_->salt);
  fields.segment_count = record.segment_count;
  fields.file_bytes = file_bytes;
  const CommitSlot page = MakeCommitSlot(slot, fields, core_->superblock.uuid);
  // From here on a failure leaves pending set: the page may or may not reach
  // the disk (P18).
  absl::Status written =
      core_->file.WriteAt(CommitSlotPosition(slot), &page, sizeof(page));
  EVE_STEP("checkpoint.slot_written");
  if (written.ok()) written = core_->file.Datasync();
  if (!written.ok()) return Poison(written);
  EVE_STEP("checkpoint.slot_flushed");
  words.durable[slot].store(record.version, std::memory_order_seq_cst);
  EVE_STEP("checkpoint.durable");
  words.pending[slot].store(0, std::memory_order_seq_cst);
  core_->slots->own().checkpoints.fetch_add(1, std::memory_order_relaxed);
  return absl::OkStatus();
}

absl::Status Checkpointer::Run() {
  uint64_t wanted;
  {
    EVE_ASSIGN_OR_RETURN(
        const PinnedRoot now,
        PinnedRoot::PinNewest(*core_->root, core_->cells.get(), core_->view));
    wanted = now.version();
  }
  if (durable_version() >= wanted) return absl::OkStatus();
  std::lock_guard lock(mutex_);
  if (durable_version() >= wanted) return absl::OkStatus();
  EVE_RETURN_IF_ERROR(CheckPoison());
  EVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> slot, TakeSlot(wanted));
  if (!slot.has_value()) return absl::OkStatus();
  absl::Cleanup unlock = [this, &slot] {
    UnlockByte(core_->region.file(), kCommitSlotLockBase + *slot);
  };
  EVE_ASSIGN_OR_RETURN(
      const PinnedRoot root,
      PinnedRoot::PinNewest(*core_->root, core_->cells.get(), core_->view));
  if (root.version() <= durable_version()) return absl::OkStatus();
  return WriteCheckpoint(*slot, root);
}

}  // namespace eve
