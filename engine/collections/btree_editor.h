// TreeEditor: one edit of a B+tree, from the root down and back.
//
// Each level turns the child that it was given into the children that stand in
// its place: none, the changed one, or several after a split. A node whose
// children keep their separators is copied as it is; else it is built anew.
//
// Threads:    one, that of the store.
// Processes:  none.
// Owns:       scratch space.
// Lifetime:   one edit.
// Errors:     as TreeApply().
// Cost:       see btree.h.
#ifndef EVE_ENGINE_COLLECTIONS_BTREE_EDITOR_H_
#define EVE_ENGINE_COLLECTIONS_BTREE_EDITOR_H_

#include <cstdint>
#include <forward_list>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/collections/btree_writer.h"

namespace eve {

class TreeEditor {
 public:
  explicit TreeEditor(const EditContext& context)
      : context_(context), writer_(context) {}

  // `ops` in the order of their keys, equal keys in the order they came.
  absl::Status Apply(absl::Span<MapOp* const> ops, MapRoot& root);
  absl::Status EraseRange(const KeyRange& range, MapRoot& root,
                          uint64_t* erased, std::vector<NodeSlot>& buried);
  // Puts `leaves` behind the last leaf, or in its place. The records that this
  // adds are `added`. REQUIRES: there are leaves, and they lie behind what
  // stays.
  absl::Status AppendLeaves(absl::Span<TreeChild> leaves, bool replace_last,
                            uint64_t added, MapRoot& root);

 private:
  // Where an edit stands: a subtree, and whether nothing lies to its right.
  struct Place {
    TreeSlot slot;
    uint32_t level = 0;
    uint64_t records = 0;
    KeyPieces separator;  // of the subtree
    bool is_last = false;
  };
  using Children = TreeChildren;

  // What a node's children became: runs of `made`, by the child's index.
  struct Replacement {
    uint32_t index = 0;
    size_t begin = 0;
    size_t end = 0;
  };
  struct NodeEdit {
    Children made;
    absl::InlinedVector<Replacement, 2> replaced;
  };

  absl::Status LevelOf(TreeSlot root, uint32_t* level) const;
  static Place ChildOf(const Place& place, const TreeNodeView& node,
                       uint32_t index);
  static TreeChild Unchanged(const Place& place);
  static KeyPieces SeparatorOf(const Place& place, const TreeNodeView& node,
                               uint32_t index);

  void PrefetchChild(const TreeNodeView& node, uint32_t index) const;
  // Side moves, of a node above leaves: asks for the leaves that are to be
  // moved, and moves those that the edit has left where they were.
  void AskForBeside(const TreeNodeView& node) const;
  void MoveBeside(const Place& place, const TreeNodeView& node, NodeEdit& edit);
  // The same for the large values of a leaf that is edited, and was.
  void AskForValuesBeside(const TreeLeafView& leaf) const;
  void MoveValuesBeside(TreeSlot slot);
  // Null if nothing has to be moved.
  SideMoves* SideMovesToPay() const;
  absl::Status ApplyTo(const Place& place, absl::Span<MapOp* const> ops,
                       Children& out);
  absl::Status ApplyToNode(const Place& place, absl::Span<MapOp* const> ops,
                           Children& out);
  absl::Status ApplyToLeaf(const Place& place, absl::Span<MapOp* const> ops,
                           Children& out);

  // Puts the node that `edit` makes of `node` into `out`: the node as it is, a
  // copy with other slots, or one or more that are built anew.
  absl::Status FinishNode(const Place& place, const TreeNodeView& node,
                          const NodeEdit& edit, TreeWriter::Packing packing,
                          Children& out);
  absl::Status PatchNode(const Place& place, const TreeNodeView& node,
                         const NodeEdit& edit, Children& out);

  absl::Status AppendTo(const Place& place, absl::Span<TreeChild> leaves,
                        bool replace_last, Children& out);

  // ApplyToLeaf() without side moves.
  absl::Status EditLeaf(const Place& place, const TreeLeafView& leaf,
                        absl::Span<MapOp* const> ops, Children& out);
  // The cheap edits of a leaf by one op; *done says whether one was possible.
  absl::Status TryPatchLeaf(const Place& place, const TreeLeafView& leaf,
                            MapOp& op, Children& out, bool* done);
  absl::Status OverwriteValue(const Place& place, const TreeLeafView& leaf,
                              uint32_t index, const MapOp& op, Children& out);
  // Takes a record out of a leaf of uniform ones, or puts `record` in.
  absl::Status PatchUniform(const Place& place, const TreeLeafView& leaf,
                            uint32_t index, const TreeRecord* record,
                            Children& out);

  // Fills records_ with the leaf's records and what the ops make of them.
  // `*changed` is false if they leave all as it is.
  absl::Status MergeLeaf(const TreeLeafView& leaf, absl::Span<MapOp* const> ops,
                         bool* changed);
  // Runs the ops on one key; `stored`, if not null, is its record in `leaf`.
  absl::Status RunOps(absl::Span<MapOp* const> ops, const TreeLeafView& leaf,
                      const TreeRecord* stored, bool* changed);
  // Replaces the leaf by records_.
  absl::Status RewriteLeaf(const Place& place, const TreeLeafView& leaf,
                           TreeWriter::Packing packing, Children& out);

  absl::Status EraseIn(const Place& place, const KeyRange& range, bool from_set,
                       Children& out, std::vector<NodeSlot>& buried);
  absl::Status EraseInNode(const Place& place, const KeyRange& range,
                           bool from_set, Children& out,
                           std::vector<NodeSlot>& buried);
  absl::Status EraseInLeaf(const Place& place, const KeyRange& range,
                           bool from_set, Children& out);
  absl::Status Bury(const Place& place, const TreeNodeView& node,
                    uint32_t first, uint32_t end,
                    std::vector<NodeSlot>& buried);

  // Merges children of `level` that became small with a neighbour.
  absl::Status MergeSmall(Children& children, uint32_t level);
  absl::Status MergeLeaves(const TreeChild& left, const TreeChild& right,
                           Children& out, bool* merged);
  absl::Status MergeNodes(const TreeChild& left, const TreeChild& right,
                          uint32_t level, Children& out, bool* merged);
  absl::Status FinishRoot(Children& children, uint32_t level,
                          TreeWriter::Packing packing, MapRoot& root);

  const EditContext& context_;
  TreeWriter writer_;
  int64_t count_delta_ = 0;
  std::vector<TreeRecord> records_;
  // Offsets of new external values; a list, for their places do not change.
  std::forward_list<uint64_t> words_;
};

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_BTREE_EDITOR_H_
