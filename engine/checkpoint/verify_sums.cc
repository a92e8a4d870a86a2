#include "engine/checkpoint/verify_sums.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "engine/format/checksum.h"
#include "engine/format/constants.h"
#include "engine/format/offset.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// The sum of block hashes over [from, to) of a segment; nothing if the bytes
// are not whole blocks, or not as they were stored: the sum may be of bytes
// that reached the disk before the checksums in the headers did.
absl::StatusOr<std::optional<uint64_t>> SumBlocks(const BlockView& view,
                                                  uint64_t salt,
                                                  uint32_t segment,
                                                  uint32_t from, uint32_t to) {
  const Offset begin{SegmentOffset(segment).units + uint64_t{from}};
  if (from < to && view.Contains(begin)) {
    EVE_RETURN_IF_ERROR(view.CheckReadable(begin, to - from));
  }
  uint64_t sum = 0;
  for (uint64_t at = from; at < to;) {
    const Offset offset{SegmentOffset(segment).units + at};
    if (!view.Contains(offset)) return std::nullopt;
    const auto* header = view.As<BlockHeader>(offset);
    if (header->size_units == 0 || at + header->size_units > to ||
        header->size_units > view.limit_units - offset.units) {
      return std::nullopt;
    }
    const uint64_t hash = BlockHash(header, offset, salt);
    if (header->checksum != ChecksumOf(hash)) return std::nullopt;
    sum += hash;
    at += header->size_units;
  }
  return sum;
}

// Of a run longer than a segment.
absl::StatusOr<bool> VerifyRun(const BlockView& view, uint64_t salt,
                               uint32_t segment, uint64_t sum) {
  const Offset offset = SegmentOffset(segment);
  if (!view.Contains(offset)) return false;
  EVE_RETURN_IF_ERROR(view.CheckReadable(offset, 1));
  const auto* header = view.As<BlockHeader>(offset);
  if (header->size_units <= kSegmentUnits ||
      header->size_units > view.limit_units - offset.units) {
    return false;
  }
  EVE_RETURN_IF_ERROR(view.CheckReadable(offset, header->size_units));
  return BlockHash(header, offset, salt) == sum &&
         header->checksum == ChecksumOf(sum);
}

// Whether what `live` says of a segment beyond `durable` is what the bytes say.
absl::StatusOr<bool> VerifyDelta(const BlockView& view, uint64_t salt,
                                 uint32_t segment, const AccountingRow& durable,
                                 const AccountingRow& live,
                                 uint64_t durable_version) {
  // Nothing to lose, and a killed writer may have been refilling it (P23).
  if (live.live_units == 0) return true;
  if (live.run_index > 0) return true;  // summed at its head
  if (live.run_length > 1) {
    if (live.birth <= durable_version) return true;
    return VerifyRun(view, salt, segment, live.sum);
  }
  uint32_t from = SegmentStartUnits(segment);
  uint64_t expected = live.sum;
  if (live.birth <= durable_version) {
    from = durable.fill_units;
    expected -= durable.sum;
  }
  EVE_ASSIGN_OR_RETURN(const std::optional<uint64_t> sum,
                       SumBlocks(view, salt, segment, from, live.fill_units));
  return sum == expected;
}

}  // namespace

absl::Status VerifyExtents(const BlockView& view, uint64_t salt,
                           const CommitSlot& slot) {
  for (uint32_t i = 0; i < slot.extent_count; ++i) {
    const CommitExtent& extent = slot.extents[i];
    const Offset begin{SegmentOffset(extent.segment).units +
                       uint64_t{extent.from_units}};
    const uint64_t units = uint64_t{extent.to_units} - extent.from_units;
    if (extent.segment >= kSegmentsMax || extent.to_units < extent.from_units ||
        begin.units + units > view.limit_units) {
      return absl::DataLossError(
          absl::StrCat("extent ", i, " lies outside of the file"));
    }
    EVE_ASSIGN_OR_RETURN(const std::optional<uint64_t> sum,
                         SumBlocks(view, salt, extent.segment,
                                   extent.from_units, extent.to_units));
    if (sum != extent.sum) {
      return absl::DataLossError(absl::StrCat(
          "the ", units * kUnitBytes, " bytes at offset ", begin.bytes(),
          " are not those that were flushed with it"));
    }
  }
  return absl::OkStatus();
}

absl::Status VerifyRowsSince(const BlockView& view, uint64_t salt,
                             const std::vector<AccountingRow>& before,
                             uint64_t before_version,
                             const std::vector<AccountingRow>& rows) {
  for (uint32_t i = 0; i < rows.size(); ++i) {
    const AccountingRow row = i < before.size() ? before[i] : AccountingRow{};
    if (row == rows[i]) continue;
    EVE_ASSIGN_OR_RETURN(
        const bool is_same,
        VerifyDelta(view, salt, i, row, rows[i], before_version));
    if (!is_same) {
      return absl::DataLossError(
          absl::StrCat("the segment at offset ", SegmentOffset(i).bytes(),
                       " is not what was committed to it"));
    }
  }
  return absl::OkStatus();
}

}  // namespace eve
