// What Diff() calls: the changes between two views of one collection, as bytes.
//
// Threads:    any.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   both views.
// Errors:     kDataLoss for damaged bytes; kInvalidArgument for snapshots of
//             two domains.
// Cost:       O(changes * log n).
#ifndef EVE_INTERNAL_DIFF_ACCESS_H_
#define EVE_INTERNAL_DIFF_ACCESS_H_

#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "eve/bytes.h"
#include "eve/internal/map_access.h"

namespace eve::internal {

// Gets a key and its value on both sides, nothing for absent; returns whether
// to go on.
using ByteDiff =
    absl::FunctionRef<bool(Bytes key, const std::optional<Bytes>& before,
                           const std::optional<Bytes>& after)>;

absl::Status DiffMaps(const MapView& before, const MapView& after,
                      ByteDiff visit);

}  // namespace eve::internal

#endif  // EVE_INTERNAL_DIFF_ACCESS_H_
