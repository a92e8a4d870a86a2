#include "engine/reclaim/punch.h"

#include <algorithm>

#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// So many free segments are no burden, however few are used.
constexpr uint64_t kManyFree = 64;
// Kept backed for the next writer, who shall not wait for the file system.
constexpr uint64_t kReserve = 8;
// Slices of a tick: a punch of 2 MiB takes some 100 us.
constexpr uint64_t kSliceBusy = 8;
constexpr uint64_t kSliceIdle = 64;

struct Counted {
  uint64_t with_space = 0;  // free, and no known holes
  uint64_t used = 0;
};

Counted CountFree(const SegmentTable& table) {
  Counted counted;
  const uint32_t capacity = table.capacity();
  for (uint32_t segment = 0; segment < capacity; ++segment) {
    const SegmentWord word = table.Load(segment);
    if (!word.is_free()) {
      ++counted.used;
    } else if (word.backing() != Backing::kHole) {
      ++counted.with_space;
    }
  }
  return counted;
}

// REQUIRES: claimed by the caller to be punched.
absl::Status PunchClaimed(Core& core, uint32_t segment) {
  EVE_STEP("punch.claimed");
  const uint64_t begin = SegmentOffset(segment).bytes();
  const absl::StatusOr<uint64_t> before = core.file.DiskBytes();
  const absl::Status punched = core.file.PunchHole(begin, kSegmentBytes);
  EVE_STEP("punch.punched");
  if (!punched.ok()) {
    core.table->ReleaseFree(segment);
    return punched;
  }
  core.table->ReleaseHole(segment);
  EVE_STEP("punch.released");
  // What it gave: others may allocate meanwhile, so this is no more than a
  // figure for people.
  const absl::StatusOr<uint64_t> after = core.file.DiskBytes();
  if (before.ok() && after.ok() && *after < *before) {
    CountInSlot(core.slots->own().bytes_punched,
                std::min(*before - *after, kSegmentBytes));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<uint64_t> PunchFree(Core& core, uint64_t keep_free,
                                   uint64_t budget) {
  uint64_t left = CountFree(*core.table).with_space;
  uint64_t punched = 0;
  // The first segments are backed in steps and few; segment 0 holds the
  // superblock and the commit slots besides.
  for (uint32_t segment = core.table->capacity();
       segment-- > kSteppedSegments && left > keep_free && punched < budget;) {
    if (!core.table->TryClaimToPunch(segment)) continue;
    EVE_RETURN_IF_ERROR(PunchClaimed(core, segment));
    --left;
    ++punched;
  }
  return punched;
}

absl::StatusOr<uint64_t> GiveBack(Core& core, bool is_idle) {
  const Counted counted = CountFree(*core.table);
  if (is_idle) {
    return PunchFree(core, std::max(kReserve, counted.used / 8), kSliceIdle);
  }
  return PunchFree(core, std::max(kManyFree, counted.used), kSliceBusy);
}

}  // namespace eve
