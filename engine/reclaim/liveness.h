// Liveness: whether the newest root still leads to a block, by one walk down.
//
// Threads:    any.
// Processes:  none; reads what the caller has pinned.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     kDataLoss from the catalog.
// Cost:       a lookup in the catalog for each collection, a walk down for each
//             block.
#ifndef EVE_ENGINE_RECLAIM_LIVENESS_H_
#define EVE_ENGINE_RECLAIM_LIVENESS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/collections/move.h"
#include "engine/format/commit_record.h"
#include "engine/format/offset.h"
#include "engine/txn/catalog.h"
#include "engine/txn/core.h"

namespace eve {

// How to come to the block at `offset`, if it is one of a collection. False:
// what leads there cannot be told. REQUIRES: its header is inside the view.
bool FindTarget(const Core& core, Offset offset, MoveTarget* target);

// Keeps those of the collection `id` that `root`, which is pinned, leads to.
absl::Status KeepLive(const Core& core, CollectionNames& names,
                      const CommitRecord& root, uint32_t id,
                      std::vector<MoveTarget>& targets);

// The same of one block.
absl::StatusOr<bool> IsLive(const Core& core, CollectionNames& names,
                            const CommitRecord& root, Offset offset);

}  // namespace eve

#endif  // EVE_ENGINE_RECLAIM_LIVENESS_H_
