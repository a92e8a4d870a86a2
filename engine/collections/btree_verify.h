// TreeVerifyPath: the checksums of what one look-up in a tree reads.
//
// Threads:    pure function over immutable bytes.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     false: a block on the path fails its checksum, or is none.
// Cost:       hashes a node a level, a leaf and, for a large value, the value.
#ifndef EVE_ENGINE_COLLECTIONS_BTREE_VERIFY_H_
#define EVE_ENGINE_COLLECTIONS_BTREE_VERIFY_H_

#include <cstdint>

#include "engine/file/block_view.h"
#include "engine/format/node_layout.h"
#include "eve/bytes.h"

namespace eve {

bool TreeVerifyPath(const BlockView& view, NodeSlot root, Bytes key,
                    uint64_t salt);

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_BTREE_VERIFY_H_
