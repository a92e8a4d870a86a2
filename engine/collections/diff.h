// TreeDiff, HamtDiff: what changed between two roots of one collection.
//
// Threads:    pure functions over immutable bytes.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   pins that can see both roots.
// Errors:     kDataLoss for damaged bytes.
// Cost:       O(changes * log n): a subtree that both roots share is met, and
//             passed over, as one slot. Of blocks that compaction has moved in
//             between, the records are compared.
#ifndef EVE_ENGINE_COLLECTIONS_DIFF_H_
#define EVE_ENGINE_COLLECTIONS_DIFF_H_

#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "engine/collections/hash.h"
#include "engine/file/block_view.h"
#include "engine/format/node_layout.h"
#include "eve/bytes.h"

namespace eve {

// Gets a key with its two values; nothing stands for absent. The key is valid
// during the call. Returns whether to go on.
using DiffVisitor =
    absl::FunctionRef<bool(Bytes key, const std::optional<Bytes>& before,
                           const std::optional<Bytes>& after)>;

// Calls `visit` for each key whose value differs; of a tree in the order of
// the keys, of a trie in none.
absl::Status TreeDiff(const BlockView& view, NodeSlot before, NodeSlot after,
                      DiffVisitor visit);
absl::Status HamtDiff(const BlockView& view, const KeyHasher& hasher,
                      NodeSlot before, NodeSlot after, DiffVisitor visit);

// Of two equal values outside of leaves mostly only the place is looked at.
inline bool IsSameValue(Bytes a, Bytes b) {
  return a.size() == b.size() && (a.data() == b.data() || a == b);
}

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_DIFF_H_
