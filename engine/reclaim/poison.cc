#include "engine/reclaim/poison.h"

#include <atomic>
#include <string>

#include "util/failpoint.h"

namespace eve {
namespace {

std::atomic<bool> poison_freed{false};

void Poison(const Core& core, uint32_t segment, const AccountingRow& row) {
  const uint64_t start = SegmentStartUnits(segment);
  if (row.fill_units <= start) return;
  const std::string filler((row.fill_units - start) * kUnitBytes,
                           static_cast<char>(kPoisonByte));
  const uint64_t at = SegmentOffset(segment).bytes() + start * kUnitBytes;
  core.file.WriteAt(at, filler.data(), filler.size()).IgnoreError();
}

}  // namespace

void SetPoisonFreedSegments(bool on) { poison_freed = on; }

bool FreeJudged(Core& core, uint32_t segment, SegmentWord seen,
                const AccountingRow& row) {
  if (!kFailpointsEnabled || !poison_freed) {
    return core.table->TryFree(segment, seen);
  }
  if (!core.table->TryClaimJudged(segment, seen)) return false;
  EVE_STEP("poison.claimed");
  Poison(core, segment, row);
  EVE_STEP("poison.filled");
  core.table->ReleaseFree(segment);
  return true;
}

}  // namespace eve
