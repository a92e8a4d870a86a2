// What Diff() is made of: the changes between two views of one collection.
//
// Threads:    any.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   both views.
// Errors:     kDataLoss for damaged bytes, met now or before through one of the
//             snapshots; kInvalidArgument for snapshots of two domains.
// Cost:       O(changes * log n), and the records that were moved in between.
#ifndef EVE_INTERNAL_DIFF_ACCESS_H_
#define EVE_INTERNAL_DIFF_ACCESS_H_

#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "eve/bytes.h"
#include "eve/codec.h"
#include "eve/internal/map_access.h"
#include "eve/snapshot.h"

namespace eve::internal {

// Gets a key and its value on both sides, nothing for absent; returns whether
// to go on.
using ByteDiff =
    absl::FunctionRef<bool(Bytes key, const std::optional<Bytes>& before,
                           const std::optional<Bytes>& after)>;

absl::Status DiffMaps(const MapView& before, const MapView& after,
                      ByteDiff visit);

// Of a collection of keys with values, decoded.
template <class K, class V>
absl::Status DiffRecords(const CollectionRef& ref, const Snapshot& before,
                         const Snapshot& after,
                         absl::FunctionRef<bool(View<K>, std::optional<View<V>>,
                                                std::optional<View<V>>)>
                             fn) {
  bool valid = true;
  const auto decode = [&valid](const std::optional<Bytes>& bytes) {
    std::optional<View<V>> value;
    valid = valid && (!bytes.has_value() || Codec<V>::IsValid(*bytes));
    if (valid && bytes.has_value()) value = Codec<V>::Decode(*bytes);
    return value;
  };
  absl::Status status = DiffMaps(
      OpenMap(before.impl(), ref), OpenMap(after.impl(), ref),
      [&](Bytes key, const std::optional<Bytes>& old_bytes,
          const std::optional<Bytes>& new_bytes) {
        const auto old_value = decode(old_bytes);
        const auto new_value = decode(new_bytes);
        valid = valid && Codec<K>::IsValid(key);
        return valid && fn(Codec<K>::Decode(key), old_value, new_value);
      });
  if (!valid) return UndecodableValue();
  return status;
}

}  // namespace eve::internal

#endif  // EVE_INTERNAL_DIFF_ACCESS_H_
