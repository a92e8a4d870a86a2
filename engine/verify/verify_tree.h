// Walks a B+tree from its root and checks every block of it.
//
// Threads:    one at a time.
// Processes:  the root is pinned, or nobody writes.
// Owns:       nothing.
// Lifetime:   within one VerifyDomain().
// Errors:     into the log. Damage in one place does not hide other places.
// Cost:       one read a block. No recursion: a node of each level is kept.
#ifndef EVE_ENGINE_VERIFY_VERIFY_TREE_H_
#define EVE_ENGINE_VERIFY_VERIFY_TREE_H_

#include <cstdint>

#include "engine/format/tree_layout.h"
#include "engine/verify/block_reader.h"
#include "engine/verify/reach_map.h"

namespace eve::verify {

// What is known of a tree from its catalog entry.
struct TreeTraits {
  uint32_t id = 0;
  // Parts may be gone: nodes of one child, and counts that are too high.
  bool is_graveyard = false;
  // A set: values are empty.
  bool has_values = true;
};

struct TreeWalk {
  BlockReader* reader;
  ReachMap* reach;
  ErrorLog* log;
};

// Marks and counts all blocks under `root`. Adds to the counts of `report`.
// `where` is the block that holds the root, for messages.
void WalkTree(const TreeWalk& walk, Offset where, TreeSlot root,
              const TreeTraits& traits, TreeReport& report);

}  // namespace eve::verify

#endif  // EVE_ENGINE_VERIFY_VERIFY_TREE_H_
