// Moving live blocks of a collection out of segments that are to be emptied.
//
// A block says where it belongs: a trie's by the bits of its hash, a tree's by
// a key. One walk down from the root tells whether the root still leads to it;
// blocks that it does not lead to are garbage and are left alone. What lives is
// copied, the path to it as well, and the old places are retired.
//
// Targets that are near each other in the order of a structure share most of
// their path: sort many by it, and move them in slices.
//
// Threads:    finding: any. Moving: the thread that owns the store.
// Processes:  blocks stay the same bytes, but for what they point at.
// Owns:       nothing.
// Lifetime:   blocks lie in a segment that the caller keeps from being reused.
// Errors:     kDataLoss: damaged bytes on the way; kResourceExhausted from the
//             store. The root is unchanged then, but blocks that the
//             transaction may edit in place may hold a part of the moves, and
//             what was retired stays so: throw the attempt away.
// Cost:       a walk for each block, sixteen in step; for each live one a copy
//             of it and of the nodes above it that no other block shares.
#ifndef EVE_ENGINE_COLLECTIONS_MOVE_H_
#define EVE_ENGINE_COLLECTIONS_MOVE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/collections/hamt_map.h"
#include "engine/format/offset.h"

namespace eve {

// A block that may have to be moved, and its place in the order of its
// structure: a hash, or the first bytes of a key. Only a hash is exact.
struct MoveTarget {
  uint64_t order = 0;
  uint64_t order_below = 0;
  Offset offset;

  friend bool operator<(const MoveTarget& a, const MoveTarget& b) {
    return a.order != b.order ? a.order < b.order
                              : a.order_below < b.order_below;
  }
};

struct MoveResult {
  uint64_t blocks = 0;  // that were alive and asked for
  uint64_t bytes = 0;   // of them
};

// False if the block says nothing that could lead to it: it is none of a
// trie's, or damaged.
bool MakeHamtTarget(const BlockView& view, const KeyHasher& hasher,
                    Offset offset, MoveTarget* target);
// The same of a tree. An inner node of one child, which no live tree has, has
// no key.
bool MakeTreeTarget(const BlockView& view, Offset offset, MoveTarget* target);

// Removes the targets that `root` does not lead to.
void KeepLiveInHamt(const BlockView& view, NodeSlot root,
                    std::vector<MoveTarget>& targets);
void KeepLiveInTree(const BlockView& view, NodeSlot root,
                    std::vector<MoveTarget>& targets);

// Moves those of `targets` that are alive; each is given once and is of the
// collection in `context`. New places come from context.leaf_stream, those of
// inner nodes from the streams that edits use. Adds to `*moved`.
absl::Status HamtMove(const EditContext& context,
                      absl::Span<const MoveTarget> targets, NodeSlot& root,
                      MoveResult* moved);
absl::Status TreeMove(const EditContext& context,
                      absl::Span<const MoveTarget> targets, NodeSlot& root,
                      MoveResult* moved);

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_MOVE_H_
