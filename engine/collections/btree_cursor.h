// TreeCursor: a position in a B+tree, on a record or past either end.
//
// Threads:    one thread per cursor.
// Processes:  none.
// Owns:       a buffer for the key of the record it stands on.
// Lifetime:   the view, and a pin that can see the root. An edit by the
//             transaction that owns the root ends it; seek again on the new
//             one.
// Errors:     damaged bytes end the walk: !Valid() and damaged().
// Cost:       a seek as a look-up; a step of 15 ns or so, with the next leaf on
//             its way.
#ifndef EVE_ENGINE_COLLECTIONS_BTREE_CURSOR_H_
#define EVE_ENGINE_COLLECTIONS_BTREE_CURSOR_H_

#include <cstdint>
#include <memory>

#include "engine/collections/btree_node.h"
#include "engine/file/block_view.h"
#include "engine/format/node_layout.h"
#include "eve/bytes.h"

namespace eve {

class TreeCursor {
 public:
  // Stands nowhere: !Valid().
  TreeCursor(const BlockView& view, NodeSlot root);

  bool Valid() const { return index_ < count_; }
  bool damaged() const { return damaged_; }

  void SeekToFirst();
  void SeekToLast();
  // To the first key >= `key`, and > `key`; to the last <= and <.
  void SeekAtLeast(Bytes key);
  void SeekAbove(Bytes key);
  void SeekAtMost(Bytes key);
  void SeekBelow(Bytes key);
  // To the record before which there are `rank` others.
  void SeekToRank(uint64_t rank);

  // REQUIRES: Valid(), here and below.
  void Next();
  void Prev();
  // Valid until the cursor moves.
  Bytes key() const;
  // Valid as long as the root's pin.
  Bytes value() const;

 private:
  struct Level {
    TreeNodeView node;
    uint32_t index = 0;  // of the child that the path goes on with
  };

  void Reset();
  void Damaged();
  // Both enter what `slot` leads to, down to a leaf, and stand on nothing yet.
  bool Descend(TreeSlot slot, Bytes key);
  enum class Edge : uint8_t { kFirst, kLast };
  bool DescendToEdge(TreeSlot slot, Edge edge);
  bool EnterNode(TreeSlot slot, Level& level);
  bool EnterLeaf(TreeSlot slot);
  void StandOn(uint32_t index);
  void StepToLeaf(int direction);
  void PrefetchNextLeaf() const;

  BlockView view_;
  TreeSlot root_;
  bool damaged_ = false;
  uint32_t depth_ = 0;  // levels in use
  Level path_[kTreeLevelsMax];
  TreeLeafView leaf_;
  uint32_t index_ = 0;  // of the record in the leaf
  uint32_t count_ = 0;  // records of the leaf; 0: stands nowhere
  // The key's bytes: the prefix of the leaf, then what key() copied.
  mutable std::unique_ptr<char[]> long_key_;
  mutable char short_key_[64];
};

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_BTREE_CURSOR_H_
