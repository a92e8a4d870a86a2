#include "engine/alloc/segment_writer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/format/constants.h"
#include "util/check.h"
#include "util/status_macros.h"

namespace eve {

absl::StatusOr<Offset> SegmentWriter::Allocate(int stream, uint64_t bytes) {
  const uint64_t units = UnitsForBytes(bytes);
  if (units * kUnitBytes > kRunThresholdBytes) return AllocateRun(units);
  if (!HasRoom(stream, units) && purpose_ != ClaimPurpose::kAdd &&
      source_->is_tight()) {
    stream = StreamWithRoom(stream, units);
  }
  // Again and again: a reopened segment may have less room than this needs.
  while (!HasRoom(stream, units)) {
    const absl::Status opened = OpenSegment(stream);
    if (opened.ok()) continue;
    const int other = StreamWithRoom(stream, units);
    if (other == stream || purpose_ == ClaimPurpose::kAdd) {
      refused_ = 1;
      return opened;
    }
    stream = other;
  }
  absl::Status backed = BackActive(stream, units);
  if (!backed.ok()) backed = MoveToBacked(stream, units, std::move(backed));
  if (!backed.ok()) {
    refused_ = 1;
    return backed;
  }
  Offset offset;
  EVE_CHECK(TryAllocate(stream, units, &offset), "there is room, and backed");
  return offset;
}

absl::Status SegmentWriter::BackActive(int stream, uint64_t units) {
  WrittenExtent& extent = extents_[active_[stream]];
  const uint32_t end = extent.to_units + static_cast<uint32_t>(units);
  if (end <= extent.backed_units) return absl::OkStatus();
  EVE_ASSIGN_OR_RETURN(
      extent.backed_units,
      source_->Back(extent.segment,
                    std::max(extent.to_units, extent.backed_units), end));
  return absl::OkStatus();
}

absl::Status SegmentWriter::MoveToBacked(int stream, uint64_t units,
                                         absl::Status why) {
  const int left = active_[stream];
  for (int tries = 0; tries < kMoveTries; ++tries) {
    if (!OpenSegment(stream).ok()) return why;
    if (HasRoom(stream, units) && BackActive(stream, units).ok()) {
      return absl::OkStatus();
    }
    // Nothing was put there, and no mark knows of it.
    const WrittenExtent opened = extents_.back();
    extents_.pop_back();
    by_segment_.erase(opened.segment);
    active_[stream] = left;
    ReleaseSegment(opened);
  }
  return why;
}

absl::Status SegmentWriter::OpenSegment(int stream) {
  WrittenExtent extent;
  if (!spare_.empty()) {
    extent = spare_.back();
    spare_.pop_back();
  } else {
    EVE_ASSIGN_OR_RETURN(const ClaimedSegment claimed,
                         source_->Claim(purpose_));
    extent.segment = claimed.segment;
    extent.from_units = claimed.fill_units;
    extent.backed_units = claimed.backed_units;
  }
  extent.to_units = extent.from_units;
  extent.floor_units = extent.from_units;
  active_[stream] = static_cast<int>(extents_.size());
  by_segment_[extent.segment] = extents_.size();
  extents_.push_back(extent);
  return absl::OkStatus();
}

absl::StatusOr<Offset> SegmentWriter::AllocateRun(uint64_t units) {
  const uint32_t length =
      static_cast<uint32_t>(SegmentsForBytes(units * kUnitBytes));
  const absl::StatusOr<uint32_t> first = source_->ClaimRun(length, purpose_);
  if (!first.ok()) {
    refused_ = length;
    return first.status();
  }
  WrittenExtent run;
  run.segment = *first;
  run.to_units = static_cast<uint32_t>(units);
  run.backed_units = static_cast<uint32_t>(length * kSegmentUnits);
  run.is_run = true;
  by_segment_[*first] = extents_.size();
  extents_.push_back(run);
  return SegmentOffset(*first);
}

int SegmentWriter::StreamWithRoom(int stream, uint64_t units) const {
  for (int other = 0; other < kStreams; ++other) {
    if (HasRoom(other, units)) return other;
  }
  return stream;
}

absl::Status SegmentWriter::Refuse(const std::string& path) {
  refused_ = 1;
  return absl::ResourceExhaustedError(
      absl::StrCat(path,
                   ": what is set aside for erasing and for making room is in "
                   "use, so nothing can be added. The disk is full, or "
                   "max_bytes reached"));
}

uint64_t SegmentWriter::room_bytes() const {
  uint64_t units = 0;
  for (const int index : active_) {
    if (index >= 0) units += kSegmentUnits - extents_[index].to_units;
  }
  for (const WrittenExtent& extent : spare_) {
    units += kSegmentUnits - extent.to_units;
  }
  return units * kUnitBytes;
}

void SegmentWriter::ReleaseSpare() {
  for (const WrittenExtent& extent : spare_) ReleaseSegment(extent);
  spare_.clear();
}

SegmentWriter::Mark SegmentWriter::Save() const {
  Mark mark;
  mark.extents = extents_.size();
  for (int stream = 0; stream < kStreams; ++stream) {
    mark.active[stream] = active_[stream];
    if (active_[stream] >= 0) {
      mark.to_units[stream] = extents_[active_[stream]].to_units;
    }
  }
  return mark;
}

void SegmentWriter::Rewind(const Mark& mark) {
  while (extents_.size() > mark.extents) {
    WrittenExtent dropped = extents_.back();
    extents_.pop_back();
    by_segment_.erase(dropped.segment);
    if (dropped.is_run) {
      ReleaseRun(dropped);
    } else {
      dropped.to_units = dropped.from_units;
      spare_.push_back(dropped);
    }
  }
  for (int stream = 0; stream < kStreams; ++stream) {
    active_[stream] = mark.active[stream];
    if (active_[stream] < 0) continue;
    WrittenExtent& extent = extents_[active_[stream]];
    extent.to_units = mark.to_units[stream];
    extent.floor_units = std::min(extent.floor_units, extent.to_units);
  }
}

void SegmentWriter::RaiseEditFloor() {
  for (WrittenExtent& extent : extents_) extent.floor_units = extent.to_units;
}

void SegmentWriter::DropEditFloor() {
  for (WrittenExtent& extent : extents_) extent.floor_units = extent.from_units;
}

bool SegmentWriter::CanEdit(Offset offset) const {
  const uint32_t segment = offset.segment();
  const uint32_t unit = offset.units_in_segment();
  size_t active = 0;
  for (int index : active_) {
    if (index < 0) continue;
    ++active;
    if (extents_[index].segment == segment) {
      return unit >= extents_[index].floor_units &&
             unit < extents_[index].to_units;
    }
  }
  if (extents_.size() == active) return false;
  const auto found = by_segment_.find(segment);
  if (found == by_segment_.end()) return false;
  const WrittenExtent& extent = extents_[found->second];
  return unit >= extent.floor_units && unit < extent.to_units;
}

bool SegmentWriter::IsRun(Offset offset) const {
  if (offset.units_in_segment() != 0) return false;
  const auto found = by_segment_.find(offset.segment());
  return found != by_segment_.end() && extents_[found->second].is_run;
}

uint32_t SegmentWriter::highest_segment() const {
  uint32_t highest = 0;
  for (const WrittenExtent& extent : extents_) {
    if (extent.from_units == extent.to_units) continue;
    const uint64_t length =
        extent.is_run ? SegmentsForBytes(extent.to_units * kUnitBytes) : 1;
    highest =
        std::max(highest, static_cast<uint32_t>(extent.segment + length - 1));
  }
  return highest;
}

bool SegmentWriter::HasOnlyActiveSegments() const {
  // Each stream has an extent of its own.
  return extents_.size() == static_cast<size_t>(std::count_if(
                                active_, active_ + kStreams,
                                [](int index) { return index >= 0; }));
}

void SegmentWriter::Committed() {
  // The common case: the attempt stayed inside its active segments.
  if (HasOnlyActiveSegments()) {
    for (WrittenExtent& extent : extents_) {
      extent.from_units = extent.floor_units = extent.to_units;
    }
    begin_ = Save();
    return;
  }
  std::vector<WrittenExtent> kept;
  int kept_active[kStreams] = {-1, -1, -1, -1};
  for (size_t i = 0; i < extents_.size(); ++i) {
    WrittenExtent extent = extents_[i];
    bool is_active = false;
    for (int stream = 0; stream < kStreams; ++stream) {
      if (active_[stream] != static_cast<int>(i)) continue;
      is_active = true;
      kept_active[stream] = static_cast<int>(kept.size());
    }
    if (is_active) {
      extent.from_units = extent.floor_units = extent.to_units;
      kept.push_back(extent);
    } else if (extent.is_run) {
      const uint64_t length = SegmentsForBytes(extent.to_units * kUnitBytes);
      for (uint64_t k = 0; k < length; ++k) {
        source_->table().ReleaseSealed(
            static_cast<uint32_t>(extent.segment + k));
      }
    } else {
      extent.from_units = extent.to_units;
      ReleaseSegment(extent);
    }
  }
  if (extents_.size() != kept.size()) {
    by_segment_.clear();
    for (size_t i = 0; i < kept.size(); ++i) by_segment_[kept[i].segment] = i;
  }
  extents_ = std::move(kept);
  std::copy(kept_active, kept_active + kStreams, active_);
  begin_ = Save();
}

void SegmentWriter::ReleaseRun(const WrittenExtent& run) {
  const uint64_t length = SegmentsForBytes(run.to_units * kUnitBytes);
  for (uint64_t k = 0; k < length; ++k) {
    source_->table().ReleaseFree(static_cast<uint32_t>(run.segment + k));
  }
}

void SegmentWriter::ReleaseSegment(const WrittenExtent& extent) {
  if (extent.from_units == SegmentStartUnits(extent.segment)) {
    source_->table().ReleaseFree(extent.segment);
  } else {
    source_->table().ReleaseSealed(extent.segment);
  }
}

void SegmentWriter::Release() {
  RewindAll();
  for (const WrittenExtent& extent : extents_) ReleaseSegment(extent);
  for (const WrittenExtent& extent : spare_) ReleaseSegment(extent);
  extents_.clear();
  spare_.clear();
  by_segment_.clear();
  std::fill(active_, active_ + kStreams, -1);
  begin_ = Save();
}

}  // namespace eve
