// Staged attempts: blocks are built in private copies of pages and reach the
// file by write(2).

#include <sys/mman.h>

#include <algorithm>

#include "engine/txn/attempt.h"
#include "util/align.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {

void Attempt::SetStaging(const Staging& staging) {
  if (staging.base != staging_.base) DropStaged();
  staging_ = staging;
  RestartStaging();
}

void Attempt::RestartStaging() {
  // Those of the last pages stay: what has been published of them is in the
  // file as well, and the rest is written over by the next attempt.
  uint64_t kept = 0;
  for (const StagedRange& range : staged_) {
    kept += (range.to - range.from) * kUnitBytes;
  }
  if (kept > kKeptBytesMax) DropStaged();
  staged_bytes_ = 0;
  is_staging_ = staging_.base != nullptr;
  view_ = mapped_view_;
  if (is_staging_) view_.base = staging_.base;
}

void Attempt::NoteStaged(Offset offset, uint64_t units) {
  staged_bytes_ += units * kUnitBytes;
  const uint64_t from = offset.units_in_segment();
  for (size_t i = staged_.size(); i-- > 0;) {
    if (staged_[i].segment != offset.segment()) continue;
    staged_[i].from = std::min(staged_[i].from, from);
    staged_[i].to = std::max(staged_[i].to, from + units);
    return;
  }
  staged_.push_back({offset.segment(), from, from + units});
}

void Attempt::DropStaged() {
  for (const StagedRange& range : staged_) {
    const uint64_t base = SegmentOffset(range.segment).bytes();
    const uint64_t from = AlignDown(base + range.from * kUnitBytes, kPageBytes);
    const uint64_t to = AlignUp(base + range.to * kUnitBytes, kPageBytes);
    // Cannot fail on a mapping that is there.
    (void)::madvise(staging_.base + from, to - from, MADV_DONTNEED);
  }
  staged_.clear();
}

absl::Status Attempt::WriteOut() {
  if (!is_staging_) return absl::OkStatus();
  for (const WrittenExtent& extent : writer_->extents()) {
    if (extent.is_run || extent.from_units == extent.to_units) continue;
    const Offset begin{SegmentOffset(extent.segment).units +
                       uint64_t{extent.from_units}};
    EVE_RETURN_IF_ERROR(staging_.file->WriteAt(
        begin.bytes(), staging_.base + begin.bytes(),
        uint64_t{extent.to_units - extent.from_units} * kUnitBytes));
    EVE_STEP("attempt.written_out");
  }
  return absl::OkStatus();
}

absl::Status Attempt::StopStagingIfLarge() {
  if (!is_staging_ || staged_bytes_ < kStagedBytesMax) return absl::OkStatus();
  EVE_RETURN_IF_ERROR(WriteOut());
  DropStaged();
  is_staging_ = false;
  view_ = mapped_view_;
  return absl::OkStatus();
}

}  // namespace eve
