#include "engine/checkpoint/flush_death.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/checkpoint/checkpointer.h"
#include "engine/checkpoint/verify_sums.h"
#include "engine/file/page_cache.h"
#include "engine/format/constants.h"
#include "engine/format/offset.h"
#include "engine/root/accounting.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {

bool IsFlushAnnounced(const SharedRegion& region) {
  const SharedWord* const pending = region.words().pending;
  return std::any_of(pending, pending + kCommitSlotCount,
                     [](const SharedWord& word) {
                       return word.load(std::memory_order_seq_cst) != 0;
                     });
}

std::vector<ByteRange> WrittenSince(const std::vector<AccountingRow>& before,
                                    const std::vector<AccountingRow>& rows) {
  std::vector<ByteRange> ranges;
  for (uint32_t i = 0; i < rows.size(); ++i) {
    const AccountingRow& row = rows[i];
    if (row.live_units == 0) continue;
    uint32_t from = SegmentStartUnits(i);
    if (i < before.size() && before[i].birth == row.birth) {
      from = std::max(from, before[i].fill_units);
    }
    if (from >= row.fill_units) continue;
    ranges.push_back(ByteRange{(SegmentOffset(i).units + from) * kUnitBytes,
                               uint64_t{row.fill_units - from} * kUnitBytes});
  }
  return ranges;
}

namespace {

// Others may make newer versions durable while one is read.
constexpr int kDurableTriesMax = 100;

ByteRange RangeOf(const CommitExtent& extent) {
  return ByteRange{
      (SegmentOffset(extent.segment).units + extent.from_units) * kUnitBytes,
      uint64_t{extent.to_units - extent.from_units} * kUnitBytes};
}

// What a device cannot read it has not kept.
absl::Status AsLost(const absl::Status& seen) {
  return absl::IsUnavailable(seen) ? absl::DataLossError(seen.message()) : seen;
}

}  // namespace

Checkpointer::Durable Checkpointer::ReadDurable() const {
  const RegionWords& words = core_->region.words();
  for (int i = 0; i < kDurableTriesMax; ++i) {
    const uint64_t version = durable_version();
    for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
      if (words.durable[slot].load(std::memory_order_seq_cst) != version) {
        continue;
      }
      const absl::StatusOr<CommitSlot> page = ReadDurableSlot(slot, version);
      if (!page.ok()) continue;
      const absl::StatusOr<PinnedRoot> root = PinnedRoot::PinVersion(
          core_->cells.get(), core_->view, page->record, version);
      if (!root.ok()) return {};
      const DurableCandidates now = ReadDurableCandidates(core_->region);
      if (now.newest != version && now.second != version) break;
      EVE_STEP("flush_death.durable_pinned");
      BlockView view = core_->FileView();
      view.is_cold = true;
      absl::StatusOr<std::vector<AccountingRow>> rows =
          ReadExactRows(view, root->offset(), core_->salt);
      if (rows.ok()) return Durable{version, *std::move(rows)};
    }
    if (durable_version() == version) break;  // it cannot be read
  }
  return {};  // all is looked at
}

absl::Status Checkpointer::LookAtDevice(const CommitSlot* page) {
  const Durable durable = ReadDurable();
  EVE_ASSIGN_OR_RETURN(
      const PinnedRoot root,
      PinnedRoot::PinNewest(*core_->root, core_->cells.get(), core_->view));
  BlockView view = core_->FileView();
  view.is_cold = true;
  const absl::StatusOr<std::vector<AccountingRow>> rows =
      ReadExactRows(view, root.offset(), core_->salt);
  EVE_RETURN_IF_ERROR(AsLost(rows.status()));
  std::vector<ByteRange> ranges = WrittenSince(durable.rows, *rows);
  if (page != nullptr) {
    ranges.push_back(
        ByteRange{CommitSlotPosition(page->slot_index), kPageBytes});
    for (uint32_t i = 0; i < page->extent_count; ++i) {
      ranges.push_back(RangeOf(page->extents[i]));
    }
  }
  const absl::StatusOr<bool> is_on_device =
      IsCacheOnDevice(core_->file, ranges, &core_->device);
  EVE_RETURN_IF_ERROR(AsLost(is_on_device.status()));
  if (!*is_on_device) {
    return absl::DataLossError("the page cache has what the device has not");
  }
  // What the cache has dropped since it was lost is what the device has.
  EVE_STEP("flush_death.compared");
  EVE_RETURN_IF_ERROR(AsLost(VerifyRowsSince(view, core_->salt, durable.rows,
                                             durable.version, *rows)));
  return page == nullptr ? absl::OkStatus()
                         : AsLost(VerifyExtents(view, core_->salt, *page));
}

absl::Status Checkpointer::CheckDevice(const CommitSlot* page) {
  const absl::Status seen = LookAtDevice(page);
  if (!absl::IsDataLoss(seen)) return seen;
  return PoisonDomain(
      *core_,
      ErrnoStatus(EIO, absl::StrCat(core_->path,
                                    ": flush, in a process that died or was "
                                    "stopped in it: ",
                                    seen.message())));
}

}  // namespace eve
