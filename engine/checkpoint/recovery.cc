#include "engine/checkpoint/recovery.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/alloc/segment_table.h"
#include "engine/checkpoint/boot_id.h"
#include "engine/checkpoint/durable_state.h"
#include "engine/checkpoint/flush_death.h"
#include "engine/epoch/attached.h"
#include "engine/epoch/process_slots.h"
#include "engine/file/page_cache.h"
#include "engine/format/checksum.h"
#include "engine/root/accounting.h"
#include "engine/root/root_slot.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {
namespace {

uint64_t DrawNonce() {
  uint64_t nonce = 0;
  FillRandom(&nonce, sizeof(nonce));
  return nonce | 1;
}

// A slot that neither the chosen root needs nor the newest of another version
// behind it (I10). Those in front of it were rejected.
uint32_t PickSpareSlot(const std::vector<CommitSlot>& slots, uint32_t chosen) {
  const auto first = std::find_if(
      slots.begin(), slots.end(),
      [chosen](const CommitSlot& slot) { return slot.slot_index == chosen; });
  const auto second =
      std::find_if(first, slots.end(), [first](const CommitSlot& slot) {
        return slot.version != first->version;
      });
  for (uint32_t index = 0; index < kCommitSlotCount; ++index) {
    const bool is_needed = index == chosen || (second != slots.end() &&
                                               second->slot_index == index);
    if (!is_needed) return index;
  }
  return 0;  // unreachable: sixteen slots, two needed
}

}  // namespace

absl::StatusOr<std::vector<CommitSlot>> ReadCommitSlots(
    const File& file, const Superblock& superblock,
    std::vector<uint32_t>* damaged) {
  std::vector<CommitSlot> slots;
  for (uint32_t index = 0; index < kCommitSlotCount; ++index) {
    CommitSlot slot;
    absl::Status read =
        file.ReadAt(CommitSlotPosition(index), &slot, sizeof(slot));
    if (absl::IsOutOfRange(read)) {
      return absl::DataLossError(
          absl::StrCat(std::string(read.message()),
                       ": the file is truncated before its commit slots end"));
    }
    EVE_RETURN_IF_ERROR(read);
    if (IsValidCommitSlot(slot, index, superblock.uuid)) {
      slots.push_back(slot);
    } else if (damaged != nullptr && !IsEmptyCommitSlot(slot)) {
      damaged->push_back(index);
    }
  }
  std::sort(
      slots.begin(), slots.end(), [](const CommitSlot& a, const CommitSlot& b) {
        return std::tuple(a.incarnation, a.version, b.extent_count,
                          b.file_bytes) > std::tuple(b.incarnation, b.version,
                                                     a.extent_count,
                                                     a.file_bytes);
      });
  return slots;
}

absl::StatusOr<RootCandidate> ChooseDurableRoot(
    const RecoveryContext& context, const std::vector<CommitSlot>& slots,
    const std::vector<uint32_t>& damaged, uint64_t promised) {
  std::string reasons;
  // One slot that was being written when the power failed is no damage. With
  // two, both that were durable may be gone.
  size_t rejected = damaged.size();
  for (const uint32_t index : damaged) {
    absl::StrAppend(&reasons, "; slot ", index, ": fails its checksum");
  }
  bool is_rot = false;
  bool is_only_short = true;  // and nothing else is wrong, so far
  for (const CommitSlot& slot : slots) {
    absl::StatusOr<RootCandidate> candidate = JudgeSlot(context, slot);
    if (candidate.ok()) {
      candidate->note = reasons;
      if (is_rot) {
        candidate->why_verify =
            "a slot whose root had been on disk before it has lost that";
      } else if (rejected > 1) {
        candidate->why_verify =
            "of two slots or more something is missing, so it may be of both "
            "newest durable versions";
      } else if (candidate->version < promised) {
        candidate->why_verify = absl::StrCat(
            "the lock file knows that version ", promised, " had been on disk");
      } else if (!context.why_unknown.empty()) {
        candidate->why_verify =
            absl::StrCat(context.why_unknown,
                         ", so it may be a copy that was taken while others "
                         "wrote");
      }
      return candidate;
    }
    // It may pass, and to go on without that version would be for good.
    if (absl::IsUnavailable(candidate.status())) {
      return absl::UnavailableError(absl::StrCat(
          context.file->path(), ": version ", slot.version,
          ", which may be durable: ", std::string(candidate.status().message()),
          ". Try again; if that lasts, save what can be read with 'eve dump "
          "--rescue'"));
    }
    // No power failure takes a part of the file away that was flushed with its
    // size: somebody else has. To go on without it would make that final.
    const bool was_flushed = slot.extent_count == 0 ||
                             (slot.incarnation == slots.front().incarnation &&
                              slot.version <= promised);
    // Slots of older roots may say more than the file has: it was cut without
    // asking them.
    is_only_short &= FileBytesAt(slot) > context.file_bytes;
    if (is_only_short && was_flushed) {
      return absl::DataLossError(absl::StrCat(
          context.file->path(), ": ", std::string(candidate.status().message()),
          ". Put the whole file back, or save what is left of it with 'eve "
          "dump --rescue'"));
    }
    // One commit that was under way when the power failed is no damage. What
    // had been on disk before its slot is.
    ++rejected;
    is_rot |= slot.extent_count == 0;
    absl::StrAppend(&reasons, "; slot ", slot.slot_index, " (version ",
                    slot.version,
                    "): ", std::string(candidate.status().message()));
  }
  return absl::DataLossError(
      absl::StrCat(context.file->path(), ": none of ", slots.size(),
                   " valid commit slots leads to an intact root", reasons));
}

absl::Status ReadIfDoubtful(const RecoveryContext& context,
                            const RootCandidate& chosen, std::string* note) {
  if (chosen.why_verify.empty() || !context.verify_fallback) {
    return absl::OkStatus();
  }
  EVE_RETURN_IF_ERROR(context.verify_fallback(chosen.record));
  absl::StrAppend(note, "; all that it reaches was read: ", chosen.why_verify);
  return absl::OkStatus();
}

void DropUnacknowledged(const SharedRegion& region,
                        std::vector<CommitSlot>& slots) {
  std::erase_if(slots, [&region](const CommitSlot& slot) {
    return slot.incarnation == region.header().incarnation &&
           region.words().durable[slot.slot_index].load(
               std::memory_order_seq_cst) != slot.version;
  });
}

namespace {

absl::Status AskAgain(const RecoveryContext& context,
                      const absl::Status& unreadable) {
  return absl::UnavailableError(absl::StrCat(context.file->path(), ": ",
                                             std::string(unreadable.message()),
                                             ". Try again"));
}

}  // namespace

absl::StatusOr<bool> DiedInFailedFlush(const RecoveryContext& context,
                                       const SharedRegion& region,
                                       const std::vector<CommitSlot>& slots) {
  // The words may be older than the slots, if this file system was mounted
  // anew: then more is compared.
  std::vector<CommitSlot> acknowledged = slots;
  DropUnacknowledged(region, acknowledged);
  std::vector<AccountingRow> before;
  for (const CommitSlot& slot : acknowledged) {
    absl::StatusOr<RootCandidate> judged = JudgeSlot(context, slot);
    if (absl::IsUnavailable(judged.status())) {
      return AskAgain(context, judged.status());
    }
    if (!judged.ok()) continue;
    before = std::move(judged->rows);
    break;
  }
  std::vector<ByteRange> ranges = {ByteRange{0, kFirstBlockOffset}};
  std::vector<Offset> records = {RootSlot(&region).Load()};
  for (const CommitSlot& slot : slots) {
    if (slot.incarnation == region.header().incarnation) {
      records.push_back(slot.record);
    }
  }
  for (const Offset record : records) {
    const absl::StatusOr<std::vector<AccountingRow>> rows =
        ReadExactRows(context.view, record, context.salt);
    // Somebody may go on with it when it can be read again.
    if (absl::IsUnavailable(rows.status())) {
      return AskAgain(context, rows.status());
    }
    if (!rows.ok()) continue;  // nobody will go on with it
    const std::vector<ByteRange> more = WrittenSince(before, *rows);
    ranges.insert(ranges.end(), more.begin(), more.end());
  }
  EVE_ASSIGN_OR_RETURN(const bool is_on_device,
                       IsCacheOnDevice(*context.file, ranges));
  return !is_on_device;
}

uint64_t PromisedVersion(const SharedRegion& region,
                         const std::vector<CommitSlot>& slots) {
  // Another one's words are of another state of the file.
  const bool is_its = !slots.empty() &&
                      slots.front().incarnation == region.header().incarnation;
  return is_its ? ReadDurableVersion(region) : 0;
}

namespace {

// A failure is final here too: the next opener must not believe the cache.
absl::Status Flush(const RecoveryContext& context, const SharedRegion& region) {
  absl::Status flushed = context.file->Datasync();
  if (!flushed.ok()) {
    region.header().poison.store(static_cast<uint32_t>(ErrnoOf(flushed, EIO)),
                                 std::memory_order_release);
  }
  return flushed;
}

absl::Status WriteRecoverySlot(const RecoveryContext& context,
                               const SharedRegion& region,
                               const RootCandidate& chosen,
                               uint64_t incarnation, uint32_t index) {
  const auto* record = context.view.As<CommitRecord>(chosen.record);
  CommitSlotFields fields;
  fields.incarnation = incarnation;
  fields.version = chosen.version;
  fields.record = chosen.record;
  fields.record_hash = BlockHash(record, chosen.record, context.salt);
  fields.segment_count = record->segment_count;
  fields.file_bytes = context.file_bytes;
  const CommitSlot page =
      MakeCommitSlot(index, fields, context.superblock->uuid);
  EVE_RETURN_IF_ERROR(
      context.file->WriteAt(CommitSlotPosition(index), &page, sizeof(page)));
  EVE_STEP("recover.slot_written");
  return Flush(context, region);
}

absl::Status ResetWords(const RecoveryContext& context,
                        const SharedRegion& region,
                        const RootCandidate& chosen) {
  RegionWords& words = region.words();
  for (uint32_t i = 0; i < kProcessesMax; ++i) {
    region.process(i).cells_used.store(0, std::memory_order_relaxed);
  }
  words.processes_used.store(0, std::memory_order_relaxed);
  words.compactor.store(0, std::memory_order_relaxed);
  words.flusher.store(0, std::memory_order_relaxed);
  words.beat.store(0, std::memory_order_relaxed);
  words.settled.store(chosen.version, std::memory_order_relaxed);
  ClearCounters(region);
  for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
    words.pending[i].store(0, std::memory_order_relaxed);
    words.durable[i].store(0, std::memory_order_relaxed);
    words.flush_begun[i].store(0, std::memory_order_relaxed);
  }
  words.io_engine.store(0, std::memory_order_relaxed);
  // Not those of all rows: the file may have been cut, and what is live lies
  // inside it.
  const uint64_t segments = SegmentsForBytes(context.file_bytes);
  EVE_RETURN_IF_ERROR(region.ClearSegmentStates());
  EVE_RETURN_IF_ERROR(region.EnsureSegmentStates(segments));
  ProcessSlots no_slots(&region);
  SegmentTable table(&region, &no_slots, /*mapped_segments=*/0);
  for (uint32_t i = 0; i < segments; ++i) {
    const bool has_fill =
        i < chosen.rows.size() && chosen.rows[i].fill_units > 0;
    table.ResetForRebuild(
        i, has_fill ? SegmentState::kSealed : SegmentState::kFree);
  }
  words.capacity.store(segments, std::memory_order_release);
  return absl::OkStatus();
}

absl::Status WriteIdentity(const RecoveryContext& context,
                           const SharedRegion& region, uint64_t incarnation,
                           Offset root) {
  RegionHeader& header = region.header();
  EVE_ASSIGN_OR_RETURN(const FileIdentity identity, context.file->Identity());
  header.magic = kRegionMagic;
  header.abi_hash = SharedAbiHash();
  header.data_device = identity.device;
  header.data_inode = identity.inode;
  std::memcpy(header.uuid, context.superblock->uuid, sizeof(header.uuid));
  header.incarnation = incarnation;
  header.poison.store(0, std::memory_order_relaxed);
  EVE_STEP("recover.words_reset");
  // Root word and boot id last: a rebuild that died before left ready at 0 and
  // is started over (P23).
  RootSlot(&region).Reset(root);
  EVE_ASSIGN_OR_RETURN(const bool has_boot_id, ReadBootId(header.boot_id));
  if (!has_boot_id) {
    std::memset(header.boot_id, 0, sizeof(header.boot_id));
  }
  EVE_STEP("recover.before_ready");
  header.ready.store(1, std::memory_order_release);
  return absl::OkStatus();
}

// Above every slot seen, the rejected ones too: versions are used again after a
// rollback, incarnations never.
uint64_t NextIncarnation(const std::vector<CommitSlot>& slots,
                         const SharedRegion* region) {
  const uint64_t newest = slots.front().incarnation;
  if (region == nullptr) return newest + 1;
  return std::max(newest, region->header().incarnation) + 1;
}

// The page cache is not the disk (P22). After a failed flush it is not even
// what the disk will have, and without a region of this file and boot nobody
// knows whether one has failed: a slot and what it lists may be in the cache
// and never reach the disk.
absl::Status FlushCache(const RecoveryContext& context,
                        const SharedRegion& region, bool belongs,
                        bool is_poisoned) {
  if (is_poisoned || !belongs) context.file->DropCache();
  // A death in this flush, too, is one that the next opener has to know of.
  if (belongs && !IsFlushAnnounced(region)) {
    region.words().pending[0].store(kNoVersion, std::memory_order_seq_cst);
  }
  EVE_STEP("recover.flush_announced");
  EVE_RETURN_IF_ERROR(Flush(context, region));
  return belongs && !is_poisoned ? absl::OkStatus()
                                 : DropAndCheckCache(*context.file);
}

struct RebuildFields {
  uint32_t spare = 0;         // the slot that gets the choice
  uint32_t durable_slot = 0;  // what the choice stands on
  uint64_t durable_version = 0;
  uint64_t incarnation = 0;
};

// Makes the choice durable and the region anew. Sets ready.
absl::Status Rebuild(const RecoveryContext& context, const SharedRegion& region,
                     const RootCandidate& chosen, const RebuildFields& fields) {
  EVE_RETURN_IF_ERROR(WriteRecoverySlot(context, region, chosen,
                                        fields.incarnation, fields.spare));
  EVE_STEP("recover.checkpointed");
  region.header().ready.store(0, std::memory_order_release);
  EVE_RETURN_IF_ERROR(ResetWords(context, region, chosen));
  region.header().nonce = DrawNonce();
  RegionWords& words = region.words();
  words.durable[fields.spare].store(chosen.version, std::memory_order_seq_cst);
  // The one that it stands on stays a candidate.
  words.durable[fields.durable_slot].store(fields.durable_version,
                                           std::memory_order_seq_cst);
  EVE_RETURN_IF_ERROR(
      WriteIdentity(context, region, fields.incarnation, chosen.record));
  // So that the file is known after a power failure; else it is read whole.
  region.file().TryDatasync();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Recovered> RecoverAndRebuild(RecoveryContext context,
                                            const SharedRegion& region) {
  EVE_ASSIGN_OR_RETURN(const bool belongs, RegionBelongs(region, context));
  const bool is_poisoned =
      region.header().poison.load(std::memory_order_acquire) != 0;
  const bool died_flushing =
      belongs && !is_poisoned && IsFlushAnnounced(region);
  EVE_RETURN_IF_ERROR(FlushCache(context, region, belongs, is_poisoned));
  std::vector<uint32_t> damaged;
  EVE_ASSIGN_OR_RETURN(
      std::vector<CommitSlot> slots,
      ReadCommitSlots(*context.file, *context.superblock, &damaged));
  if (slots.empty()) {
    return absl::DataLossError(
        absl::StrCat(context.file->path(), ": all ", kCommitSlotCount,
                     " commit slots fail their checksums (offsets ",
                     kCommitSlotsOffset, " to ", kFirstBlockOffset, ")"));
  }
  EVE_ASSIGN_OR_RETURN(context.why_unknown,
                       WhyUnknown(&region, context, slots));
  if (context.sync_name) EVE_RETURN_IF_ERROR(context.sync_name());
  Recovered result;
  result.incarnation = NextIncarnation(slots, belongs ? &region : nullptr);
  if (died_flushing) {
    EVE_ASSIGN_OR_RETURN(const bool has_failed,
                         DiedInFailedFlush(context, region, slots));
    // It is noted now, and all begins anew.
    if (has_failed) {
      region.header().poison.store(EIO, std::memory_order_release);
      if (context.drop_pages) context.drop_pages();
      return RecoverAndRebuild(std::move(context), region);
    }
  }
  if (belongs && is_poisoned) DropUnacknowledged(region, slots);
  EVE_ASSIGN_OR_RETURN(
      RootCandidate chosen,
      ChooseDurableRoot(context, slots, damaged,
                        belongs ? PromisedVersion(region, slots) : 0));
  const uint32_t durable_slot = chosen.slot;
  const uint64_t durable_version = chosen.version;
  result.note = absl::StrCat("durable version ", chosen.version, chosen.note);
  std::optional<RootCandidate> live;
  std::string refusal;
  if (belongs) {
    EVE_ASSIGN_OR_RETURN(
        live, TryAdoptLiveRoot(context, region, slots, chosen, &refusal));
  }
  if (live.has_value()) {
    result.note = absl::StrCat("live version ", live->version,
                               " on durable version ", chosen.version);
    result.adopted_live = live->version > chosen.version;
    chosen = *std::move(live);
  }
  if (!chosen.is_live) {
    EVE_RETURN_IF_ERROR(ReadIfDoubtful(context, chosen, &result.note));
  }
  if (!belongs) {
    EVE_ASSIGN_OR_RETURN(refusal, WhyOtherBuild(region, context));
  }
  if (!refusal.empty()) absl::StrAppend(&result.note, "; ", refusal);
  result.root = chosen.record;
  result.version = chosen.version;
  EVE_STEP("recover.chosen");
  EVE_RETURN_IF_ERROR(Rebuild(context, region, chosen,
                              {PickSpareSlot(slots, durable_slot), durable_slot,
                               durable_version, result.incarnation}));
  return result;
}

}  // namespace eve
