#include "engine/reclaim/reuse_rule.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace eve {
namespace {

bool AnyIn(const std::vector<uint64_t>& sorted, uint64_t from, uint64_t to) {
  const auto at = std::lower_bound(sorted.begin(), sorted.end(), from);
  return at != sorted.end() && *at < to;
}

bool MayHaveBeenMissed(const AccountingRow& row, const Protectors& protectors) {
  return std::max(row.birth, protectors.missed_above + 1) <
         std::min(row.death, protectors.missed_below);
}

}  // namespace

// The two newest durable versions only grow. What is none of them at the first
// read, but later, is above the second one of that time; what is none of them
// any more at the last read is below the second one of that time.
Protectors Combine(const DurableSet& before, PinSet pins,
                   const DurableSet& after) {
  Protectors protectors{.pins = std::move(pins),
                        .durable = {},
                        .missed_above = before.second,
                        .missed_below = after.second};
  std::set_union(before.versions.begin(), before.versions.end(),
                 after.versions.begin(), after.versions.end(),
                 std::back_inserter(protectors.durable));
  return protectors;
}

bool IsDurablyHeld(const AccountingRow& row, const Protectors& protectors) {
  return AnyIn(protectors.durable, row.birth, row.death);
}

bool MayReuse(const AccountingRow& row, const Protectors& protectors) {
  if (row.live_units != 0 || row.fill_units == 0) return false;
  if (protectors.pins.range_low < row.death) return false;
  return !AnyIn(protectors.pins.exact, row.birth, row.death) &&
         !IsDurablyHeld(row, protectors) && !MayHaveBeenMissed(row, protectors);
}

}  // namespace eve
