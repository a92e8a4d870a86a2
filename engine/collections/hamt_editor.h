// TrieEditor: applies a sorted batch of ops to a hash trie.
//
// Threads:    one thread, inside one transaction.
// Processes:  what it writes is seen by nobody until the commit.
// Owns:       nothing.
// Lifetime:   one HamtApply().
// Errors:     see HamtApply().
// Cost:       see hamt_map.h.
#ifndef EVE_ENGINE_COLLECTIONS_HAMT_EDITOR_H_
#define EVE_ENGINE_COLLECTIONS_HAMT_EDITOR_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/collections/hamt_leaf.h"
#include "engine/collections/hamt_map.h"
#include "engine/collections/hamt_writer.h"
#include "engine/format/node_layout.h"

namespace eve {

// Ops are sorted by way of these.
struct OpRef {
  uint64_t hash = 0;
  uint64_t index = 0;  // in the caller's array
};

// One node that may be about to change: copied at the first change, unless it
// may be edited in place.
class NodeEditor {
 public:
  explicit NodeEditor(TrieWriter& writer) : writer_(writer) {}

  // kDataLoss if there is no node of `depth` there.
  absl::Status Open(NodeSlot slot, uint32_t depth);
  // Sets a range of slots. REQUIRES: Open() was OK.
  absl::Status Set(SlotRange range, const NodeSlot* values);
  absl::Status Fill(SlotRange range, NodeSlot value);
  // Places the node anew as it is, unless it may be edited where it lies.
  absl::Status Copy() {
    return writable_ == nullptr ? MakeWritable() : absl::OkStatus();
  }

  const NodeSlot* slots() const { return node_->slots; }
  // Whether a change has been made.
  bool is_writable() const { return writable_ != nullptr; }
  NodeSlot slot() const { return NodeSlot::Make(SlotKind::kNode, offset_, 0); }
  void Retire() { writer_.Retire(offset_, sizeof(TrieNode)); }

 private:
  absl::Status MakeWritable();

  TrieWriter& writer_;
  const TrieNode* node_ = nullptr;
  TrieNode* writable_ = nullptr;
  Offset offset_;
};

class TrieEditor {
 public:
  TrieEditor(const EditContext& context, absl::Span<MapOp> ops,
             absl::Span<const OpRef> order, NodeSlot root)
      : context_(context),
        writer_(context),
        ops_(ops),
        order_(order),
        root_(root) {}

  // Applies everything; `*root` is the new root.
  absl::Status Run(NodeSlot* root);

  // Records put in less records taken out, modulo 2^64.
  uint64_t count_change() const { return count_change_; }

 private:
  // What an edit did to the bytes of a leaf.
  enum class Change : uint8_t { kNone, kGrown, kShrunk };

  // Ops [begin, end) of order_.
  struct OpRange {
    size_t begin = 0;
    size_t end = 0;
  };

  MapOp& OpAt(size_t k) { return ops_[order_[k].index]; }
  // Asks for the memory that the next ops will need.
  void WarmFrom(size_t k);

  absl::Status ApplyToNode(uint32_t depth, OpRange range, NodeSlot* slot);
  // Side moves: asks for the leaves of a node that are to be moved, and moves
  // those that an edit of the node has left where they were.
  void AskForBeside(const NodeEditor& node) const;
  absl::Status MoveBeside(NodeEditor& node);
  // The same for the nodes below a node, with the leaves of those that move.
  void AskForNodesBeside(const NodeEditor& node, uint32_t depth) const;
  absl::Status MoveNodesBeside(NodeEditor& node, uint32_t depth);
  // The same for the large values of a leaf that one op edits, and has edited.
  void AskForValuesBeside(const LeafView& leaf) const;
  void MoveValuesBeside(NodeSlot slot);
  // Null if nothing has to be moved.
  SideMoves* SideMovesToPay() const;
  // All of a leaf's ops, or an empty range's. The new words of the region go
  // to `slots`, those of a whole node.
  absl::Status ApplyToLeaf(const Region& region, NodeSlot old, OpRange range,
                           NodeSlot* slots, Change* change);
  absl::Status ApplyOne(const Region& region, NodeSlot old, size_t k,
                        NodeSlot* slots, Change* change);
  absl::Status ApplyMany(const Region& region, NodeSlot old, OpRange range,
                         NodeSlot* slots, Change* change);
  absl::Status ApplyToCollisions(const Region& region, NodeSlot old,
                                 OpRange range, NodeSlot* slots,
                                 Change* change);

  // Pieces of ApplyOne().
  absl::Status OverwriteValue(NodeSlot old, const LeafView& leaf,
                              const LeafHit& hit, Bytes value, NodeSlot* slot,
                              Change* change);
  absl::Status RewriteLeaf(NodeSlot old, const LeafView& leaf,
                           const LeafHit& hit, const PendingRecord* added,
                           NodeSlot* slot, Change* change);

  // Pieces of ApplyMany(): collect in records_, in order of hash.
  absl::Status LoadRecord(const LeafView& leaf, uint32_t index,
                          PendingRecord* record);
  absl::Status MergeOps(const Region& region, NodeSlot old, OpRange range,
                        bool* changed);
  absl::Status ApplyToTail(size_t k, bool* changed);

  absl::Status ApplyToEntries(size_t k, uint64_t hash,
                              std::vector<CollisionEntry>& entries,
                              bool* changed);

  // Merging, in hamt_merge.cc. A leaf or empty range at `first` shrank: unites
  // it with its buddy, and that with its own, while they are small together.
  absl::Status MergeBuddies(NodeEditor& node, uint32_t depth, uint32_t first);
  absl::Status ConcatLeaves(uint8_t depth, const LeafView& low,
                            const LeafView& high, NodeSlot* slot);
  // What the parent of a node that shrank should point at.
  absl::Status Collapse(NodeEditor& node, uint32_t depth, NodeSlot* slot);

  const EditContext& context_;
  TrieWriter writer_;
  absl::Span<MapOp> ops_;
  absl::Span<const OpRef> order_;
  NodeSlot root_;  // as it was before
  // Those above the leaf that is at work, by depth.
  NodeEditor* path_[kTrieDepthMax] = {};
  size_t warmed_ = 0;
  uint64_t count_change_ = 0;
  absl::InlinedVector<PendingRecord, 16> records_;
};

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_HAMT_EDITOR_H_
