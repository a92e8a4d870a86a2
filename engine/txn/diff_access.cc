#include "eve/internal/diff_access.h"

#include "engine/collections/btree_diff.h"

namespace eve::internal {

absl::Status DiffMaps(const MapView& before, const MapView& after,
                      ByteDiff visit) {
  return TreeDiff(BlockView{after.base, after.limit_units},
                  NodeSlot{before.root}, NodeSlot{after.root}, visit);
}

}  // namespace eve::internal
