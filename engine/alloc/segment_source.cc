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

uint32_t SegmentSource::MostSegments() const {
  if (limits_.max_bytes == 0) return limits_.mapped_segments;
  return static_cast<uint32_t>(std::min<uint64_t>(
      limits_.mapped_segments, limits_.max_bytes / kSegmentBytes));
}

SegmentSource::Room SegmentSource::MeasureRoom(uint32_t wanted) const {
  const uint32_t capacity = table_->capacity();
  const uint32_t most = std::max(MostSegments(), capacity);
  Room room;
  room.on_disk = file_->AvailableBytes() / kSegmentBytes;
  const uint64_t on_disk =
      has_failed_to_grow_.load(std::memory_order_relaxed) ? 0 : room.on_disk;
  room.reserve = ReserveOf(std::min<uint64_t>(most, capacity + on_disk));
  const uint32_t enough = room.reserve + wanted;
  room.is_disk_scarce = on_disk < enough + room.reserve;
  if (!room.is_disk_scarce) {
    room.growable =
        static_cast<uint32_t>(std::min<uint64_t>(most - capacity, on_disk));
  }
  if (room.growable < enough) {
    room.free = table_->CountFree(enough - room.growable, room.is_disk_scarce);
  }
  return room;
}

void SegmentSource::SetLevel(const Room& room, bool is_refused) {
  const uint32_t level = room.all() < room.reserve ? 2 : is_refused ? 1 : 0;
  if (level_.load(std::memory_order_relaxed) == level) return;
  level_.store(level, std::memory_order_relaxed);
}

void SegmentSource::Look() {
  const Room room = MeasureRoom(/*wanted=*/1);
  SetLevel(room, room.all() <= room.reserve);
}

// Free segments that may be holes, and new ones, until `count` more are backed
// or the disk is full.
void SegmentSource::BackAhead(uint32_t count) {
  for (uint32_t at = 0; at < table_->capacity() && count > 0; ++at) {
    const SegmentWord word = table_->Load(at);
    if (at >= limits_.mapped_segments || !word.is_free() || word.backed() ||
        !table_->TryClaimFree(at)) {
      continue;
    }
    const absl::Status backed = BackWhole(at);
    table_->ReleaseFree(at);
    if (!backed.ok()) return;
    --count;
  }
  for (; count > 0; --count) {
    const uint32_t at = table_->capacity();
    if (!Grow(1).ok() || !table_->TryClaimFree(at)) return;
    const absl::Status backed = BackWhole(at);
    table_->ReleaseFree(at);
    if (!backed.ok()) return;
  }
}

absl::Status SegmentSource::Refuse(uint32_t count, const Room& room) const {
  return absl::ResourceExhaustedError(absl::StrCat(
      file_->path(), ": the domain has ", table_->capacity(), " segments of ",
      kSegmentBytes, " bytes, ", room.all(), " of them free; needs ", count,
      " more, and ", room.reserve,
      " are set aside for erasing and for making room. The disk is full, or "
      "max_bytes reached"));
}

SegmentSource::Room SegmentSource::SecureRoom(uint32_t wanted) {
  const Room room = MeasureRoom(wanted);
  // What the disk cannot have is not begun: it would be filled for nothing.
  const bool may_fit = room.all() + room.on_disk >= room.reserve + wanted;
  const uint32_t goal = room.reserve + (may_fit ? wanted : 0);
  if (!room.is_disk_scarce || room.all() >= goal) return room;
  BackAhead(goal - room.all());
  return MeasureRoom(wanted);
}

absl::Status SegmentSource::CheckReserve(uint32_t count, ClaimPurpose purpose) {
  if (purpose == ClaimPurpose::kMakeRoom) return absl::OkStatus();
  // Without a reserve nothing is backed before it is needed.
  const bool has_reserve = MeasureRoom(count).reserve > 0;
  const Room room = has_reserve ? SecureRoom(count) : MeasureRoom(count);
  const uint32_t leave =
      purpose == ClaimPurpose::kAdd ? room.reserve : RoundNeeds(room.reserve);
  if (room.all() < leave + count) {
    // That nothing is left is found out by trying.
    return leave == 0 ? absl::OkStatus() : Refuse(count, room);
  }
  if (purpose == ClaimPurpose::kAdd) SetLevel(room, /*is_refused=*/false);
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> SegmentSource::ClaimOne(ClaimPurpose purpose) {
  bool has_reclaimed = false;
  while (true) {
    const absl::Status allowed = CheckReserve(1, purpose);
    if (allowed.ok()) {
      const bool takes_lowest =
          packing_.load(std::memory_order_relaxed) != Packing::kNo &&
          !is_tight() && !MeasureRoom(1).is_disk_scarce;
      const std::optional<uint32_t> segment =
          takes_lowest ? table_->TryClaimLowest() : table_->TryClaimFree();
      if (segment.has_value()) return *segment;
    }
    if (!has_reclaimed && reclaim) {
      has_reclaimed = true;
      reclaim();
      continue;
    }
    EVE_RETURN_IF_ERROR(allowed);
    EVE_RETURN_IF_ERROR(Grow(1));
  }
}

absl::StatusOr<ClaimedSegment> SegmentSource::Claim(ClaimPurpose purpose) {
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
  const absl::StatusOr<uint32_t> segment = ClaimOne(purpose);
  absl::StatusOr<ClaimedSegment> ready =
      segment.ok() ? MakeReady(*segment)
                   : absl::StatusOr<ClaimedSegment>(segment.status());
  if (!ready.ok()) {
    SetLevel(MeasureRoom(1), /*is_refused=*/true);
  } else if (purpose != ClaimPurpose::kAdd) {
    const Room room = MeasureRoom(0);
    if (room.all() < room.reserve) SetLevel(room, /*is_refused=*/false);
  }
  return ready;
}

absl::StatusOr<uint32_t> SegmentSource::ClaimRun(uint32_t length,
                                                 ClaimPurpose purpose) {
  claims_.fetch_add(1, std::memory_order_relaxed);
  bool has_reclaimed = false;
  while (true) {
    absl::Status allowed = CheckReserve(length, purpose);
    std::optional<uint32_t> first;
    if (allowed.ok()) first = table_->TryClaimRun(length);
    if (first.has_value()) {
      for (uint32_t i = 0; i < length; ++i) {
        absl::Status backed =
            file_->Allocate(SegmentOffset(*first + i).bytes(), kSegmentBytes);
        if (!backed.ok()) {
          for (uint32_t k = 0; k < length; ++k) {
            table_->ReleaseFree(*first + k);
          }
          SetLevel(MeasureRoom(length), /*is_refused=*/true);
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
    if (allowed.ok() && at_end < length) allowed = Grow(length - at_end);
    if (!allowed.ok()) {
      SetLevel(MeasureRoom(length), /*is_refused=*/true);
      return allowed;
    }
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
  absl::Status filled = BackWhole(segment);
  if (!filled.ok()) {
    table_->ReleaseFree(segment);
    return filled;
  }
  claimed.backed_units = kSegmentUnits;
  return claimed;
}

absl::Status SegmentSource::BackWhole(uint32_t segment) {
  EVE_RETURN_IF_ERROR(
      file_->Allocate(SegmentOffset(segment).bytes(), kSegmentBytes));
  // What was stored before would be read from the disk, for nothing.
  const uint64_t begin = SegmentOffset(segment).bytes();
  if (file_->MayHoldData(begin, kSegmentBytes) ||
      !write_mapping_->Populate(begin, kSegmentBytes)) {
    // The first one begins with the superblock and the commit slots.
    EVE_RETURN_IF_ERROR(Prefill(
        segment, SegmentStartUnits(segment) * kUnitBytes, kSegmentBytes));
  }
  table_->MarkBacked(segment);
  return absl::OkStatus();
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
  const uint32_t most = MostSegments();
  if (now + uint64_t{at_least} > most) {
    return absl::ResourceExhaustedError(absl::StrCat(
        file_->path(), ": the domain has ", now, " segments of ", kSegmentBytes,
        " bytes and may have ", most, "; needs ", at_least,
        " more (max_bytes, or the address space this process may reserve)"));
  }
  // Several at a time in large files, where looking for what can be freed first
  // takes longer; but not many: what is there will be used, and what could have
  // been emptied instead is not.
  uint32_t step = std::max(at_least, std::min<uint32_t>(now / 128, 16));
  step = std::min(step, most - now);
  absl::Status grown = AllocateSegments(now, step);
  if (!grown.ok() && step > at_least) {
    step = at_least;  // a nearly full disk: take what is needed
    grown = AllocateSegments(now, step);
  }
  if (has_failed_to_grow_.load(std::memory_order_relaxed) == grown.ok()) {
    has_failed_to_grow_.store(!grown.ok(), std::memory_order_relaxed);
  }
  EVE_RETURN_IF_ERROR(grown);
  EVE_STEP("grow.allocated");
  EVE_RETURN_IF_ERROR(region_->EnsureSegmentStates(now + step));
  table_->RaiseCapacity(now + step);
  EVE_STEP("grow.published");
  Packing packed = Packing::kUntilItGrows;
  packing_.compare_exchange_strong(packed, Packing::kNo,
                                   std::memory_order_relaxed);
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
  if (table_->capacity() < kSteppedSegments || is_tight()) return false;
  claims_prepared_for_.store(claims, std::memory_order_relaxed);
  // As a writer that adds; the one that needs it will report an error. After a
  // recovery every segment that was ever filled counts as sealed, however dead:
  // it is looked for what can be freed before the file grows.
  const absl::StatusOr<uint32_t> segment = ClaimOne(ClaimPurpose::kAdd);
  if (!segment.ok()) return false;
  absl::StatusOr<ClaimedSegment> ready = MakeReady(*segment);
  if (!ready.ok()) return false;
  // The first one has the commit slots, which are written, never stored to.
  if (limits_.populate_used && *segment > 0 &&
      ready->backed_units == kSegmentUnits) {
    write_mapping_->Populate(SegmentOffset(*segment).bytes(), kSegmentBytes);
  }
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
