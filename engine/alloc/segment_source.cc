#include "engine/alloc/segment_source.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "util/align.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// Zeroes to write fresh segments with; never touched, so it costs one zero
// page however large it is.
const char* Zeroes() {
  static const char* zeroes = new char[kSegmentBytes]();
  return zeroes;
}

}  // namespace

void SegmentSource::OfferHalfFull(std::vector<uint32_t> segments) {
  std::lock_guard lock(mutex_);
  half_full_ = std::move(segments);
}

std::optional<ClaimedSegment> SegmentSource::TakeHalfFull() {
  while (true) {
    uint32_t segment;
    {
      std::lock_guard lock(mutex_);
      if (half_full_.empty()) return std::nullopt;
      segment = half_full_.back();
      half_full_.pop_back();
    }
    if (!table_->TryClaimSealed(segment)) continue;
    EVE_STEP("segment.reopened");
    // Only now may the root be read: nobody else can fill it any more (P5).
    const std::optional<uint32_t> fill = committed_fill(segment);
    if (fill.has_value() && *fill < kSegmentUnits) {
      return ClaimedSegment{segment, *fill, *fill};
    }
    table_->ReleaseSealed(segment);
  }
}

absl::StatusOr<ClaimedSegment> SegmentSource::Claim() {
  claims_.fetch_add(1, std::memory_order_relaxed);
  if (claimed) claimed();
  if (std::optional<ClaimedSegment> half = TakeHalfFull()) return *half;
  {
    std::lock_guard lock(mutex_);
    if (!ready_.empty()) {
      const ClaimedSegment ready = ready_.back();
      ready_.pop_back();
      return ready;
    }
  }
  if (std::optional<uint32_t> segment = table_->TryClaimFree()) {
    return MakeReady(*segment);
  }
  if (reclaim) reclaim();
  while (true) {
    if (std::optional<uint32_t> segment = table_->TryClaimFree()) {
      return MakeReady(*segment);
    }
    EVE_RETURN_IF_ERROR(Grow(1));
  }
}

absl::StatusOr<uint32_t> SegmentSource::ClaimRun(uint32_t length) {
  claims_.fetch_add(1, std::memory_order_relaxed);
  bool has_reclaimed = false;
  while (true) {
    if (std::optional<uint32_t> first = table_->TryClaimRun(length)) {
      for (uint32_t i = 0; i < length; ++i) {
        absl::Status backed =
            file_->Allocate(SegmentOffset(*first + i).bytes(), kSegmentBytes);
        if (!backed.ok()) {
          for (uint32_t k = 0; k < length; ++k) {
            table_->ReleaseFree(*first + k);
          }
          return backed;
        }
      }
      return *first;
    }
    if (!has_reclaimed && reclaim) {
      has_reclaimed = true;
      reclaim();
      continue;
    }
    // What is free at the end is the beginning of the stretch.
    const uint32_t at_end = table_->FreeAtEnd();
    if (at_end < length) EVE_RETURN_IF_ERROR(Grow(length - at_end));
  }
}

absl::StatusOr<ClaimedSegment> SegmentSource::MakeReady(uint32_t segment) {
  const uint32_t start = SegmentStartUnits(segment);
  ClaimedSegment claimed{segment, start, start};
  if (table_->Load(segment).backed()) {
    claimed.backed_units = kSegmentUnits;
    return claimed;
  }
  if (segment < kSteppedSegments || limits_.all_stepped) return claimed;
  const uint64_t begin = SegmentOffset(segment).bytes();
  absl::Status filled = file_->Allocate(begin, kSegmentBytes);
  if (filled.ok()) filled = Prefill(segment, 0, kSegmentBytes);
  if (!filled.ok()) {
    table_->ReleaseFree(segment);
    return filled;
  }
  table_->MarkBacked(segment);
  claimed.backed_units = kSegmentUnits;
  return claimed;
}

absl::StatusOr<uint32_t> SegmentSource::Back(uint32_t segment,
                                             uint32_t from_units,
                                             uint32_t to_units) {
  // Whole steps, but never the whole segment at once while it is stepped.
  const uint32_t end = static_cast<uint32_t>(std::min<uint64_t>(
      AlignUp(to_units, limits_.backing_step_bytes / kUnitBytes),
      kSegmentUnits));
  const uint64_t base = SegmentOffset(segment).bytes();
  const uint64_t from = AlignDown(from_units * kUnitBytes, kPageBytes);
  EVE_RETURN_IF_ERROR(file_->Allocate(base + from, end * kUnitBytes - from));
  // Nothing of anybody's lies past the page that holds the committed fill.
  const uint64_t clean = AlignUp(from_units * kUnitBytes, kPageBytes);
  if (clean < end * kUnitBytes) {
    EVE_RETURN_IF_ERROR(Prefill(segment, clean, end * kUnitBytes));
  }
  // What is below was backed by the steps before, or holds blocks.
  if (end == kSegmentUnits) table_->MarkBacked(segment);
  return end;
}

absl::Status SegmentSource::Prefill(uint32_t segment, uint64_t from,
                                    uint64_t to) {
  return file_->WriteAt(SegmentOffset(segment).bytes() + from, Zeroes(),
                        to - from);
}

absl::Status SegmentSource::AllocateSegments(uint32_t first, uint32_t count) {
  if (first + count > kSteppedSegments) {
    return file_->Allocate(SegmentOffset(first).bytes(), count * kSegmentBytes);
  }
  // Backed in steps later. The last page gives the file its length, so that a
  // damaged offset inside the segment reads zeroes instead of faulting.
  const uint64_t end = SegmentOffset(first + count).bytes();
  return file_->Allocate(end - kPageBytes, kPageBytes);
}

absl::Status SegmentSource::Grow(uint32_t at_least) {
  const uint32_t now = table_->capacity();
  uint32_t most = limits_.mapped_segments;
  if (limits_.max_bytes > 0) {
    most = static_cast<uint32_t>(
        std::min<uint64_t>(most, limits_.max_bytes / kSegmentBytes));
  }
  if (now + uint64_t{at_least} > most) {
    return absl::ResourceExhaustedError(absl::StrCat(
        file_->path(), ": the domain has ", now, " segments of ", kSegmentBytes,
        " bytes and may have ", most, "; needs ", at_least,
        " more (max_bytes, or the address space this process may reserve)"));
  }
  // Several at a time, so that growing costs few calls; but not many: what is
  // there will be used, and what could have been emptied instead is not.
  uint32_t step = std::max(at_least, std::min<uint32_t>(now / 32, 16));
  step = std::min(step, most - now);
  absl::Status grown = AllocateSegments(now, step);
  if (!grown.ok() && step > at_least) {
    step = at_least;  // a nearly full disk: take what is needed
    grown = AllocateSegments(now, step);
  }
  EVE_RETURN_IF_ERROR(grown);
  EVE_STEP("grow.allocated");
  EVE_RETURN_IF_ERROR(region_->EnsureSegmentStates(now + step));
  table_->RaiseCapacity(now + step);
  EVE_STEP("grow.published");
  return absl::OkStatus();
}

bool SegmentSource::PrepareOne() {
  const uint64_t claims = claims_.load(std::memory_order_relaxed);
  if (claims == claims_prepared_for_.load(std::memory_order_relaxed)) {
    return false;
  }
  {
    std::lock_guard lock(mutex_);
    if (!ready_.empty() || !half_full_.empty()) return false;
  }
  if (table_->capacity() < kSteppedSegments) return false;
  claims_prepared_for_.store(claims, std::memory_order_relaxed);
  std::optional<uint32_t> segment = table_->TryClaimFree();
  if (!segment.has_value()) {
    // After a recovery every segment that was ever filled counts as sealed,
    // however dead: look before growing, as Claim() does.
    if (reclaim) reclaim();
    segment = table_->TryClaimFree();
  }
  if (!segment.has_value()) {
    if (!Grow(1).ok()) return false;  // the writer that needs it will report
    segment = table_->TryClaimFree();
    if (!segment.has_value()) return false;
  }
  absl::StatusOr<ClaimedSegment> ready = MakeReady(*segment);
  if (!ready.ok()) return false;
  std::lock_guard lock(mutex_);
  ready_.push_back(*ready);
  return true;
}

void SegmentSource::ReleasePrepared() {
  std::lock_guard lock(mutex_);
  for (const ClaimedSegment& ready : ready_) {
    table_->ReleaseFree(ready.segment);
  }
  ready_.clear();
}

}  // namespace eve
