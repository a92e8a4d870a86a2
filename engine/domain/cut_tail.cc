#include "engine/domain/cut_tail.h"

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "engine/file/file_lock.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {
namespace {

bool IsWorthCutting(uint32_t segments, uint32_t capacity, CutHow how) {
  if (segments == 0) return false;
  return how == CutHow::kAll || segments >= 8 ||
         uint64_t{segments} * 8 >= capacity;
}

// How many segments could go. The first ones stay: they are backed in steps.
uint32_t Cuttable(const SegmentTable& table) {
  const uint32_t capacity = table.capacity();
  if (capacity <= kSteppedSegments) return 0;
  return std::min(table.FreeAtEnd(), capacity - kSteppedSegments);
}

// REQUIRES: both bytes are held and nobody else is attached.
absl::StatusOr<uint64_t> CutAlone(Core& core, Checkpointer& checkpointer,
                                  CutHow how) {
  SegmentTable& table = *core.table;
  const uint32_t capacity = table.capacity();
  const uint32_t floor = capacity - Cuttable(table);
  uint32_t keep = capacity;
  while (keep > floor && table.TryClaimFree(keep - 1)) --keep;
  absl::Cleanup release = [&table, &keep, capacity] {
    for (uint32_t i = keep; i < capacity; ++i) table.ReleaseFree(i);
  };
  EVE_STEP("cut.claimed");
  const uint64_t bytes = SegmentOffset(keep).bytes();
  EVE_ASSIGN_OR_RETURN(const uint64_t before, core.file.Size());
  if (!IsWorthCutting(capacity - keep, capacity, how) || before <= bytes) {
    return 0;
  }
  EVE_RETURN_IF_ERROR(checkpointer.ShortenSlots(bytes));
  EVE_STEP("cut.slots_shortened");
  table.LowerCapacity(keep);
  EVE_STEP("cut.capacity_lowered");
  EVE_RETURN_IF_ERROR(core.file.Truncate(bytes));
  EVE_STEP("cut.truncated");
  return before - bytes;
}

}  // namespace

absl::StatusOr<uint64_t> CutTail(Core& core, Checkpointer& checkpointer,
                                 Collector& collector, CutHow how) {
  EVE_RETURN_IF_ERROR(core.CheckUsable());
  // Out of the way of openers as long as it is not known to be worth it.
  EVE_RETURN_IF_ERROR(collector.FreeSegments().status());
  if (!IsWorthCutting(Cuttable(*core.table), core.table->capacity(), how)) {
    return 0;
  }
  const File& lock_file = core.region.file();
  EVE_ASSIGN_OR_RETURN(
      const bool has_init,
      TryLockByte(lock_file, kInitLockByte, LockKind::kExclusive));
  if (!has_init) return 0;
  absl::Cleanup unlock = [&lock_file] { UnlockByte(lock_file, kInitLockByte); };
  EVE_STEP("cut.init_taken");
  EVE_ASSIGN_OR_RETURN(const bool attached,
                       ProcessSlots::AnyAttached(lock_file));
  if (attached) return 0;
  // Readers without a slot may be reading any durable root (P25).
  EVE_ASSIGN_OR_RETURN(
      const bool no_readers,
      TryLockByte(core.file, kUnpinnedReadersLockByte, LockKind::kExclusive));
  if (!no_readers) return 0;
  absl::Cleanup let_read = [&core] {
    UnlockByte(core.file, kUnpinnedReadersLockByte);
  };
  return CutAlone(core, checkpointer, how);
}

}  // namespace eve
