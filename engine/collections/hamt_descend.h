// Walking down the hash trie, for one key and for several in step.
//
// Threads:    pure functions over immutable bytes.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     a node outside the view ends the walk at its slot.
// Cost:       one load a level.
#ifndef EVE_ENGINE_COLLECTIONS_HAMT_DESCEND_H_
#define EVE_ENGINE_COLLECTIONS_HAMT_DESCEND_H_

#include <cstddef>
#include <cstdint>

#include "engine/collections/hamt_map.h"
#include "engine/file/block_view.h"
#include "engine/format/node_layout.h"
#include "util/prefetch.h"

namespace eve {

// A node takes five, or six if it begins in the last quarter of one.
inline constexpr uint32_t kNodeLines = 5;

inline void PrefetchSlot(const BlockView& view, NodeSlot slot) {
  if (!slot.is_empty()) PrefetchLines(view.At(slot.offset()), slot.lines());
}

// The slot in `node` where a key goes on whose next hash bits are the highest
// of `hash_bits`; null if the node lies outside the view. Its header, in
// another line than the slot, is not looked at.
inline const NodeSlot* SlotIn(const BlockView& view, NodeSlot node,
                              uint64_t hash_bits) {
  constexpr uint64_t kNodeUnits = sizeof(TrieNode) / kUnitBytes;
  const Offset offset = node.offset();
  if (offset.units == 0 || offset.units + kNodeUnits > view.limit_units) {
    return nullptr;
  }
  return &view.As<TrieNode>(offset)->slots[hash_bits >> (64 - kTrieBits)];
}

// slots[i] = where the walk for hashes[i] ends: a leaf, whose first
// `leaf_lines` lines are on their way into the cache, nothing, or a node if
// that is damaged. The walks
// go in step: while one waits for memory the others ask for theirs.
// REQUIRES: count <= kMultiFindWidth.
void DescendInStep(const BlockView& view, NodeSlot root, const uint64_t* hashes,
                   size_t count, uint32_t leaf_lines, NodeSlot* slots);

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_HAMT_DESCEND_H_
