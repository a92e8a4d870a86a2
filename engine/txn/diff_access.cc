#include "eve/internal/diff_access.h"

#include <algorithm>

#include "engine/collections/btree_diff.h"

namespace eve::internal {

absl::Status DiffMaps(const MapView& before, const MapView& after,
                      ByteDiff visit) {
  if (before.base != after.base) {
    return absl::InvalidArgumentError("the snapshots are of two domains");
  }
  // Either may be the newer one, with blocks that the other's file ends before.
  const BlockView view{after.base,
                       std::max(before.limit_units, after.limit_units)};
  return TreeDiff(view, NodeSlot{before.root}, NodeSlot{after.root}, visit);
}

}  // namespace eve::internal
