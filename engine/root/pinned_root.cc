#include "engine/root/pinned_root.h"

#include "absl/strings/str_cat.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {

namespace {

absl::Status BeyondReserve(uint64_t segments) {
  return absl::UnavailableError(absl::StrCat(
      "the domain has grown to ", segments, " segments of ", kSegmentBytes,
      " bytes, beyond the address space that this process could reserve; "
      "raise ulimit -v and reopen"));
}

}  // namespace

absl::StatusOr<PinnedRoot> PinnedRoot::PinNewest(const RootSlot& root,
                                                 ReaderCells* cells,
                                                 const BlockView& view) {
  EVE_ASSIGN_OR_RETURN(const uint32_t cell, cells->Acquire());
  while (true) {
    cells->BeginPin(cell);
    EVE_STEP("pin.range");
    const Offset offset = root.Load();
    EVE_STEP("pin.loaded");
    // Before the first dereference (P4): it may lie in a segment that was
    // added a moment ago.
    if (offset.units + sizeof(CommitRecord) / kUnitBytes > view.limit_units) {
      cells->Unpin(cell);
      cells->Release(cell);
      return BeyondReserve(offset.segment() + 1);
    }
    // Bytes may be stale if the range was revoked; then FinishPin fails and
    // they are forgotten (P1).
    const auto* record = view.As<CommitRecord>(offset);
    const uint64_t version = record->version;
    if (version == 0 || version >= kRevokedPin) {
      // The same root may have come back to a place that was reused meanwhile.
      EVE_STEP("pin.no_version");
      if (root.Load() != offset || !cells->IsBegun(cell)) continue;
      cells->Unpin(cell);
      cells->Release(cell);
      return absl::DataLossError(absl::StrCat("no commit record at offset ",
                                              offset.bytes(),
                                              ": found version ", version));
    }
    if (!cells->FinishPin(cell, version)) continue;
    if (uint64_t{record->segment_count} * kSegmentUnits > view.limit_units) {
      cells->Unpin(cell);
      cells->Release(cell);
      return BeyondReserve(record->segment_count);
    }
    EVE_STEP("pin.exact");
    PinnedRoot pinned;
    pinned.cells_ = cells;
    pinned.cell_ = cell;
    pinned.offset_ = offset;
    pinned.record_ = record;
    return pinned;
  }
}

absl::StatusOr<PinnedRoot> PinnedRoot::PinKept(ReaderCells* cells,
                                               const BlockView& view,
                                               Offset record) {
  return PinVersion(cells, view, record,
                    view.As<CommitRecord>(record)->version);
}

absl::StatusOr<PinnedRoot> PinnedRoot::PinVersion(ReaderCells* cells,
                                                  const BlockView& view,
                                                  Offset record,
                                                  uint64_t version) {
  PinnedRoot pinned;
  EVE_ASSIGN_OR_RETURN(pinned.cell_, cells->Acquire());
  pinned.cells_ = cells;
  pinned.offset_ = record;
  pinned.record_ = view.As<CommitRecord>(record);
  do {
    cells->BeginPin(pinned.cell_);
  } while (!cells->FinishPin(pinned.cell_, version));
  return pinned;
}

void PinnedRoot::Reset() {
  if (cells_ == nullptr) return;
  cells_->Unpin(cell_);
  cells_->Release(cell_);
  Abandon();
}

}  // namespace eve
