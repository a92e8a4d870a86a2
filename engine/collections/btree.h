// The B+tree behind the ordered collections: finding, counting, editing.
//
// A persistent map whose keys are in the order of their bytes. An edit copies
// the nodes on its path and rebuilds the leaves it touches; everything else is
// shared with the older roots, which stay as they were. A MapRoot's slot holds
// the word of a TreeSlot here.
//
// Threads:    finding: any thread. Editing: the thread that owns the store.
// Processes:  blocks are the same bytes to everybody; see docs/format-tree.md.
// Owns:       nothing: blocks belong to the store.
// Lifetime:   a found value points into the view and is valid as long as a pin
//             can see its root. A value that this very transaction wrote is
//             valid until its next edit of the same map.
// Errors:     damaged bytes: kDamaged from finding, kDataLoss from editing.
// Cost:       O(log n): at 5 M records of 116 bytes four inner nodes, the upper
//             three of which stay in the cache, and one leaf. Editing: a copied
//             node (up to 1 KiB) a level, and a leaf (up to 2 KiB).
#ifndef EVE_ENGINE_COLLECTIONS_BTREE_H_
#define EVE_ENGINE_COLLECTIONS_BTREE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/collections/hamt_map.h"
#include "engine/file/block_view.h"
#include "engine/format/tree_layout.h"
#include "eve/bytes.h"

namespace eve {

// Looks `key` up. Offsets, sizes and levels are checked against the view, so
// that damaged bytes give kDamaged or kAbsent, never a crash or an endless
// loop; checksums are not looked at.
FindResult TreeFind(const BlockView& view, NodeSlot root, Bytes key);

// out[i] = TreeFind(keys[i]), with the cache misses of kMultiFindWidth keys
// overlapped. REQUIRES: out.size() == keys.size().
void TreeMultiFind(const BlockView& view, NodeSlot root,
                   absl::Span<const Bytes> keys, absl::Span<FindResult> out);

// How many keys are less than `key`. Nothing if bytes on the way are damaged.
std::optional<uint64_t> TreeRank(const BlockView& view, NodeSlot root,
                                 Bytes key);

// Half-open; without an end, everything from `from` on.
struct KeyRange {
  Bytes from;
  std::optional<Bytes> to;
};

// Applies `ops` as if one after the other: a later op on the same key sees
// what an earlier one did, and wins. Each touched leaf is rebuilt once. The
// order of `ops` is left as it is; ascending keys cost least, and at the end of
// the map they fill its leaves to the brim.
//
// Results, errors and requirements are those of HamtApply().
absl::Status TreeApply(const EditContext& context, absl::Span<MapOp> ops,
                       MapRoot& root);

// Removes the keys in `range`; `*erased` says how many there were. Subtrees
// that lie inside it are not visited: each goes to `buried`, a root for
// TreeRetireSome(). Errors as TreeApply().
absl::Status TreeEraseRange(const EditContext& context, const KeyRange& range,
                            MapRoot& root, uint64_t* erased,
                            std::vector<NodeSlot>& buried);

// Retires about `budget` blocks of a root that nobody uses any more and puts
// what is left back into `root`; `*done` says whether that is nothing. May
// write a few nodes, to cut off what is gone. Errors as TreeApply().
absl::Status TreeRetireSome(const EditContext& context, uint64_t budget,
                            NodeSlot& root, bool* done);

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_BTREE_H_
