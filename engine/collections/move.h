// Moving live blocks of a collection out of segments that are to be emptied.
//
// A block says where it belongs: a trie's by the bits of its hash, a tree's by
// a key. One walk down from the root tells whether the root still leads to it;
// blocks that it does not lead to are garbage and are left alone. What lives is
// copied, the path to it as well, and the old places are retired.
//
// Threads:    the thread that owns the store.
// Processes:  blocks stay the same bytes, but for what they point at.
// Owns:       nothing.
// Lifetime:   `blocks` lie in a segment that the caller keeps from being
// reused. Errors:     kDataLoss: damaged bytes on the way; kResourceExhausted
// from the
//             store. The root is unchanged then, but blocks that the
//             transaction may edit in place may hold a part of the moves, and
//             what was retired stays so: throw the attempt away.
// Cost:       a walk for each block, sixteen in step; for each live one a copy
//             of it and of the nodes above it that no other block shares.
#ifndef EVE_ENGINE_COLLECTIONS_MOVE_H_
#define EVE_ENGINE_COLLECTIONS_MOVE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/collections/hamt_map.h"
#include "engine/format/offset.h"

namespace eve {

struct MoveResult {
  uint64_t blocks = 0;  // that were alive and asked for
  uint64_t bytes = 0;   // of them
};

// `blocks` are of the collection in `context`, each given once. New places come
// from context.leaf_stream, those of inner nodes from Stream::kNodes. Adds to
// `*moved`.
absl::Status HamtMove(const EditContext& context,
                      absl::Span<const Offset> blocks, NodeSlot& root,
                      MoveResult* moved);
// Inner nodes without a separator (of one child, which no live tree has) are
// taken for garbage.
absl::Status TreeMove(const EditContext& context,
                      absl::Span<const Offset> blocks, NodeSlot& root,
                      MoveResult* moved);

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_MOVE_H_
