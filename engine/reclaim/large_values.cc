#include "engine/reclaim/large_values.h"

#include "engine/format/block.h"
#include "engine/format/constants.h"
#include "engine/reclaim/liveness.h"
#include "engine/root/pinned_root.h"

namespace eve {
namespace {

constexpr uint32_t kLargeUnits = kRunThresholdBytes / kUnitBytes;

}  // namespace

bool LargeValues::Look(const Victim& victim) {
  const BlockView view = core_->FileView();
  const uint32_t start = SegmentStartUnits(victim.segment);
  const Offset offset{SegmentOffset(victim.segment).units + start};
  if (!view.Contains(offset)) return false;
  const uint32_t units = view.As<BlockHeader>(offset)->size_units;
  // Or it is dead, or damaged.
  if (units <= kLargeUnits || units > victim.live_units ||
      units > victim.fill_units - start) {
    return false;
  }
  const absl::StatusOr<PinnedRoot> root =
      PinnedRoot::PinNewest(*core_->root, core_->cells.get(), core_->view);
  return root.ok() &&
         IsLive(*core_, names_, root->record(), offset).value_or(false);
}

bool LargeValues::Keeps(const Victim& victim) {
  if (victim.live_units <= kLargeUnits) return false;
  {
    std::lock_guard lock(mutex_);
    const auto found = kept_.find(victim.segment);
    if (found != kept_.end() && found->second.birth == victim.birth &&
        found->second.live_units == victim.live_units) {
      return true;
    }
  }
  const bool keeps = Look(victim);
  std::lock_guard lock(mutex_);
  if (keeps) {
    kept_[victim.segment] = Found{victim.birth, victim.live_units};
  } else {
    kept_.erase(victim.segment);
  }
  return keeps;
}

std::vector<bool> LargeValues::Known(const std::vector<AccountingRow>& rows) {
  std::vector<bool> known;
  std::lock_guard lock(mutex_);
  for (const auto& [segment, found] : kept_) {
    if (segment >= rows.size() || rows[segment].birth != found.birth ||
        rows[segment].live_units != found.live_units) {
      continue;
    }
    if (known.size() <= segment) known.resize(segment + 1);
    known[segment] = true;
  }
  return known;
}

}  // namespace eve
