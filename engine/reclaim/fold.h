// Fold: moves the deltas of unfolded commits into the accounting vector.
//
// A fold is an ordinary commit whose record says that the vector now covers
// everything up to its base. It retires the commit records that it covers
// (P8). Losing to a user's commit it restamps; losing to another fold it drops
// its work. It never makes a closure run again.
//
// Threads:    one at a time per writer.
// Processes:  any number may try; one wins.
// Owns:       nothing after it returns.
// Lifetime:   death before the compare-and-swap leaves bytes past a committed
//             fill; after it, a complete fold.
// Errors:     kDataLoss: accounting that does not add up. kResourceExhausted.
// Cost:       O(unfolded commits + changed rows).
#ifndef EVE_ENGINE_RECLAIM_FOLD_H_
#define EVE_ENGINE_RECLAIM_FOLD_H_

#include "absl/status/statusor.h"
#include "engine/txn/attempt.h"
#include "engine/txn/core.h"

namespace eve {

// Folds if at least `at_least` commits other than folds are unfolded. Returns
// whether a fold was published.
absl::StatusOr<bool> Fold(Core& core, Attempt& attempt, uint64_t at_least);

}  // namespace eve

#endif  // EVE_ENGINE_RECLAIM_FOLD_H_
