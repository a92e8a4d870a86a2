// What may be gone on with after a crash: whether all is there that a slot, or
// the lock file's root, says is there.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/checkpoint/recovery.h"
#include "engine/checkpoint/verify_sums.h"
#include "engine/format/checksum.h"
#include "engine/root/accounting.h"
#include "engine/root/root_slot.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// Only what is live: a file that was cut may be shorter than the record's
// segment count says.
absl::Status CheckInsideFile(const RecoveryContext& context,
                             const std::vector<AccountingRow>& rows) {
  for (uint64_t i = 0; i < rows.size(); ++i) {
    if (rows[i].live_units == 0) continue;
    const uint64_t end = SegmentOffset(static_cast<uint32_t>(i)).bytes() +
                         rows[i].fill_units * kUnitBytes;
    if (end > context.file_bytes) {
      return absl::DataLossError(absl::StrCat(
          context.file->path(), ": the file is truncated: segment ", i,
          " has data up to offset ", end, ", the file ends at offset ",
          context.file_bytes));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<RootCandidate> VerifyRoot(const RecoveryContext& context,
                                         Offset record) {
  RootCandidate candidate;
  EVE_ASSIGN_OR_RETURN(const ChainRecord read,
                       ReadRecord(context.view, record, context.salt));
  EVE_ASSIGN_OR_RETURN(candidate.rows,
                       ReadExactRows(context.view, record, context.salt));
  EVE_RETURN_IF_ERROR(CheckInsideFile(context, candidate.rows));
  candidate.record = record;
  candidate.version = read.record->version;
  return candidate;
}

// Versions are used again after a rollback, at the same offsets: of what the
// rolled-back timeline wrote there, all sums may be right. But what was
// published since the oldest slot of the region's incarnation was published in
// it. Newer slots do not count: what they name may not have reached the disk,
// and the other timeline's be there.
absl::StatusOr<bool> IsOfTimeline(const RecoveryContext& context, Offset newest,
                                  const std::vector<CommitSlot>& slots,
                                  uint64_t incarnation) {
  uint64_t since = UINT64_MAX;
  for (const CommitSlot& slot : slots) {
    if (slot.incarnation == incarnation) since = std::min(since, slot.version);
  }
  const absl::StatusOr<std::vector<ChainRecord>> chain =
      ReadChain(context.view, newest, context.salt);
  if (absl::IsUnavailable(chain.status())) return chain.status();
  return chain.ok() &&
         std::all_of(chain->begin(), chain->end(),
                     [since, incarnation](const ChainRecord& link) {
                       return link.record->version <= since ||
                              link.record->incarnation == incarnation;
                     });
}

// The error says why it is not to be gone on with.
absl::StatusOr<RootCandidate> JudgeLiveRoot(
    const RecoveryContext& context, const SharedRegion& region,
    const std::vector<CommitSlot>& slots, const RootCandidate& durable) {
  const RegionHeader& header = region.header();
  if (header.poison.load(std::memory_order_acquire) != 0) {
    return absl::FailedPreconditionError(
        "a flush had failed, so that it may have been in memory only");
  }
  if (header.incarnation != slots.front().incarnation) {
    return absl::DataLossError(
        absl::StrCat("it is of incarnation ", header.incarnation,
                     ", the newest slot of ", slots.front().incarnation));
  }
  const Offset record = RootSlot(&region).Load();
  EVE_ASSIGN_OR_RETURN(RootCandidate live, VerifyRoot(context, record));
  if (live.version < durable.version) {
    return absl::DataLossError("it is older than what a slot names");
  }
  EVE_ASSIGN_OR_RETURN(
      const bool is_of_timeline,
      IsOfTimeline(context, record, slots, header.incarnation));
  if (!is_of_timeline) {
    return absl::DataLossError(
        "what is on the disk is of commits that were rolled back");
  }
  EVE_RETURN_IF_ERROR(VerifyRowsSince(context.view, context.salt, durable.rows,
                                      durable.version, live.rows));
  live.is_live = true;
  return live;
}

}  // namespace

absl::StatusOr<RootCandidate> JudgeSlot(const RecoveryContext& context,
                                        const CommitSlot& slot) {
  if (const uint64_t bytes = FileBytesAt(slot); bytes > context.file_bytes) {
    return absl::DataLossError(absl::StrCat("the file is truncated: it had ",
                                            bytes, " bytes, now it has ",
                                            context.file_bytes));
  }
  EVE_RETURN_IF_ERROR(VerifyExtents(context.view, context.salt, slot));
  EVE_ASSIGN_OR_RETURN(RootCandidate candidate,
                       VerifyRoot(context, slot.record));
  if (candidate.version != slot.version ||
      BlockHash(context.view.At(slot.record), slot.record, context.salt) !=
          slot.record_hash) {
    return absl::DataLossError("its record was overwritten");
  }
  candidate.slot = slot.slot_index;
  return candidate;
}

absl::StatusOr<std::optional<RootCandidate>> TryAdoptLiveRoot(
    const RecoveryContext& context, const SharedRegion& region,
    const std::vector<CommitSlot>& slots, const RootCandidate& durable,
    std::string* refusal) {
  const Offset record = RootSlot(&region).Load();
  absl::StatusOr<RootCandidate> live =
      JudgeLiveRoot(context, region, slots, durable);
  if (live.ok()) return *std::move(live);
  if (absl::IsUnavailable(live.status())) {
    return absl::UnavailableError(absl::StrCat(
        context.file->path(), ": ", std::string(live.status().message()),
        ", which were committed and are not durable. Try again; if that lasts, "
        "delete the lock file, and the newest durable version counts"));
  }
  if (record.is_null()) return std::nullopt;
  std::string name = absl::StrCat("live root at offset ", record.bytes());
  if (const auto read = ReadRecord(context.view, record, context.salt);
      read.ok()) {
    // Nothing newer is lost with it.
    if (read->record->version <= durable.version) return std::nullopt;
    name = absl::StrCat("live version ", read->record->version);
  }
  *refusal = absl::StrCat(name, " refused: ", live.status().message());
  return std::nullopt;
}

}  // namespace eve
