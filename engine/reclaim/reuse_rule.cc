#include "engine/reclaim/reuse_rule.h"

#include <algorithm>

namespace eve {
namespace {

bool AnyIn(const std::vector<uint64_t>& sorted, uint64_t from, uint64_t to) {
  const auto at = std::lower_bound(sorted.begin(), sorted.end(), from);
  return at != sorted.end() && *at < to;
}

}  // namespace

bool IsDurablyHeld(const AccountingRow& row, const Protectors& protectors) {
  return AnyIn(protectors.durable, row.birth, row.death);
}

bool MayReuse(const AccountingRow& row, const Protectors& protectors) {
  if (row.live_units != 0 || row.fill_units == 0) return false;
  if (protectors.pins.range_low < row.death) return false;
  return !AnyIn(protectors.pins.exact, row.birth, row.death) &&
         !IsDurablyHeld(row, protectors);
}

}  // namespace eve
