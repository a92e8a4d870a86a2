#include "engine/checkpoint/flush_death.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/checkpoint/checkpointer.h"
#include "engine/file/page_cache.h"
#include "engine/format/constants.h"
#include "engine/format/offset.h"
#include "engine/root/accounting.h"
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

std::vector<AccountingRow> Checkpointer::DurableRows() const {
  const RegionWords& words = core_->region.words();
  const uint64_t version = durable_version();
  for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
    if (words.durable[slot].load(std::memory_order_seq_cst) != version) {
      continue;
    }
    const absl::StatusOr<CommitSlot> page = ReadDurableSlot(slot, version);
    if (!page.ok()) continue;
    absl::StatusOr<std::vector<AccountingRow>> rows =
        ReadExactRows(core_->FileView(), page->record, core_->salt);
    if (rows.ok()) return *std::move(rows);
  }
  return {};  // all is compared
}

absl::Status Checkpointer::CheckDevice(uint32_t slot) {
  const std::vector<AccountingRow> before = DurableRows();
  EVE_ASSIGN_OR_RETURN(
      const PinnedRoot root,
      PinnedRoot::PinNewest(*core_->root, core_->cells.get(), core_->view));
  EVE_ASSIGN_OR_RETURN(
      const std::vector<AccountingRow> rows,
      ReadExactRows(core_->FileView(), root.offset(), core_->salt));
  std::vector<ByteRange> ranges = WrittenSince(before, rows);
  ranges.push_back(ByteRange{CommitSlotPosition(slot), kPageBytes});
  EVE_ASSIGN_OR_RETURN(const bool is_on_device,
                       IsCacheOnDevice(core_->file, ranges));
  if (is_on_device) return absl::OkStatus();
  return PoisonDomain(
      *core_, ErrnoStatus(EIO, absl::StrCat(core_->path,
                                            ": flush, in a process that "
                                            "died of it or in it")));
}

}  // namespace eve
