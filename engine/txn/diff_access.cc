#include "eve/internal/diff_access.h"

#include <algorithm>

#include "engine/collections/diff.h"
#include "engine/txn/snapshot_impl.h"
#include "util/status_macros.h"

namespace eve::internal {

absl::Status DiffMaps(const MapView& before, const MapView& after,
                      ByteDiff visit) {
  if (before.base != after.base) {
    return absl::InvalidArgumentError("the snapshots are of two domains");
  }
  // A damaged catalog shows a collection as absent: nothing can be said.
  EVE_RETURN_IF_ERROR(before.snapshot->status());
  EVE_RETURN_IF_ERROR(after.snapshot->status());
  // Either may be the newer one, with blocks that the other's file ends before.
  const BlockView view{after.base,
                       std::max(before.limit_units, after.limit_units)};
  const NodeSlot old_root{before.root};
  const NodeSlot new_root{after.root};
  // One without the collection does not know its kind.
  if (before.ordered || after.ordered) {
    return TreeDiff(view, old_root, new_root, visit);
  }
  return HamtDiff(view, KeyHasher{after.seed, after.mask}, old_root, new_root,
                  visit);
}

}  // namespace eve::internal
