// TreeCursor: a position in a B+tree, on a record or past either end.
//
// Threads:    one thread per cursor.
// Processes:  none.
// Owns:       a buffer for the key of the record it stands on: no allocation
//             for keys of up to about 100 bytes.
// Lifetime:   the view, and a pin that can see the root. An edit by the
//             transaction that owns the root ends it; seek again on the new
//             one.
// Errors:     damaged bytes end the walk: !Valid() and damaged().
// Cost:       a seek as a look-up; a step of 20 to 40 ns, with the next leaf on
//             its way.
#ifndef EVE_ENGINE_COLLECTIONS_BTREE_CURSOR_H_
#define EVE_ENGINE_COLLECTIONS_BTREE_CURSOR_H_

#include <cstdint>
#include <cstring>
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
  TreeCursor(const TreeCursor&) = delete;
  TreeCursor& operator=(const TreeCursor&) = delete;

  // Goes on with another tree, standing nowhere. The stop remains.
  void SetTree(const BlockView& view, NodeSlot root);
  // From now on not Valid() on keys >= `stop` (forward) or < `stop`. Costs a
  // search a leaf and nothing a step. Stands nowhere until the next seek;
  // `stop` must outlive the cursor.
  void StopAt(Bytes stop, bool forward);

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
  void Next() {
    if (++index_ == count_) StepToLeaf(Edge::kFirst);
  }
  void Prev() {
    if (index_ == first_) return StepToLeaf(Edge::kLast);
    --index_;
  }
  // Valid until the cursor moves.
  Bytes key() {
    if (!copies_words_) return AssembleKey();
    // A whole word, of which the first key_bytes() count.
    std::memcpy(suffix_, leaf_.keys() + index_ * leaf_.key_bytes(), 8);
    return Bytes(key_buffer_, key_size_);
  }
  // Valid as long as the root's pin. Empty, and damaged(), if its block is.
  Bytes value() {
    if (!has_plain_values_) return LoadValue();
    return Bytes(leaf_.values() + index_ * leaf_.value_stride(),
                 leaf_.value_bytes());
  }

 private:
  struct Level {
    TreeNodeView node;
    uint32_t index = 0;  // of the child that the path goes on with
  };

  enum class Edge : uint8_t { kFirst, kLast };

  static constexpr size_t kInlineKeyBytes = 120;

  void Reset();
  // Stands nowhere if it stands on a record behind the stop.
  void Settle() {
    if (index_ < first_ || index_ >= count_) Reset();
  }
  // Going that way, the stop comes in this leaf.
  bool StopsInLeaf(bool forward) const {
    return forward ? count_ < leaf_.count() : first_ > 0;
  }
  void Damaged();
  void FindStopInLeaf();
  void MakeKeyRoom(size_t bytes);
  bool LeadsToNode(TreeSlot slot) const;
  bool EnterNode(TreeSlot slot, Level& level);
  bool OpenLeaf(TreeSlot slot);
  // Sets up what depends on the open leaf, the buffer too.
  void EnterLeaf();
  // Down to the leaf of `key`, to the first record that is not less, which may
  // be past the last.
  bool Descend(Bytes key, bool* equal);
  // Down to a leaf; index_ is left to the caller.
  bool DescendToEdge(TreeSlot slot, Edge edge);
  void StepToLeaf(Edge side);
  Bytes AssembleKey();
  Bytes LoadValue();
  // About as many as the leaf has that `slot` leads to.
  uint32_t LinesOfLeaf(TreeSlot slot) const;
  void Prefetch(TreeSlot slot, Edge side) const;
  void PrefetchForLater(TreeSlot slot) const;
  void PrefetchAhead(Edge side, uint32_t leaves);
  void PrefetchNextNode(bool forward) const;

  BlockView view_;
  TreeSlot root_;
  bool damaged_ = false;
  uint32_t depth_ = 0;  // levels in use
  Level path_[kTreeLevelsMax];
  TreeLeafView leaf_;
  uint32_t index_ = 0;             // of the record in the leaf
  uint32_t first_ = 0;             // before it lie records behind the stop
  uint32_t count_ = 0;             // likewise from here on; 0: stands nowhere
  uint32_t ahead_ = 0;             // leaves that were asked for, behind this
  uint32_t record_bytes_ = 128;    // about; as in the last leaf
  bool has_plain_values_ = false;  // of one size, all in the leaf
  bool copies_words_ = false;      // keys of one size, up to 8 bytes
  bool has_stop_ = false;
  bool stops_forward_ = false;
  Bytes stop_;
  // The prefix of the leaf's keys, and behind it what key() copies there.
  char* key_buffer_ = inline_keys_;
  size_t key_room_ = kInlineKeyBytes;
  char* suffix_ = inline_keys_;  // in the buffer
  size_t key_size_ = 0;          // if all have one
  std::unique_ptr<char[]> long_keys_;
  char inline_keys_[kInlineKeyBytes];
};

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_BTREE_CURSOR_H_
