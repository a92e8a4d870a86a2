// TreeWriter: builds the blocks of a B+tree from sorted records and children.
//
// Threads:    one, that of the store.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   keys and values that are given lie in older blocks or with the
//             caller, and stay there until the call returns.
// Errors:     kResourceExhausted from the store; kDataLoss for old blocks that
//             are damaged.
// Cost:       one copy of each byte.
#ifndef EVE_ENGINE_COLLECTIONS_BTREE_WRITER_H_
#define EVE_ENGINE_COLLECTIONS_BTREE_WRITER_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/collections/btree.h"
#include "engine/collections/btree_node.h"

namespace eve {

// A child on its way into a node. The separator, unused in a node's first
// child, is not above the child's least key and above all keys to its left.
struct TreeChild {
  TreeSlot slot;
  uint64_t records = 0;
  KeyPieces separator;
  bool is_small = false;  // looks for a neighbour to merge with
};

// An edit of one key makes one of a level.
using TreeChildren = absl::InlinedVector<TreeChild, 2>;

class LeafPlan;

absl::Status DamagedTree(Offset offset, const char* what);

class TreeWriter {
 public:
  explicit TreeWriter(const EditContext& context) : context_(context) {}

  bool aligns_values() const { return context_.align_values; }
  const BlockView& view() const { return context_.store->view(); }
  char* Edit(Offset offset) { return context_.store->Edit(offset); }
  void Retire(Offset offset, uint64_t bytes) {
    context_.store->Retire(offset, bytes);
  }
  // Retires the block of an external value of `leaf`, of which these bytes are
  // stored there.
  absl::Status RetireExternal(const TreeLeafView& leaf, Bytes stored);
  // Makes the `value` of `key` fit a leaf: a long one gets a block, and
  // `*record` its offset, kept in `*word`, which may be null for a short one.
  absl::Status PlaceValue(Bytes key, Bytes value, uint64_t* word,
                          TreeRecord* record);

  // A block with its header written; its content is the caller's.
  absl::Status NewBlockOf(BlockType type, uint32_t level, uint32_t count,
                          uint64_t bytes, NewBlock* block);

  // How a new leaf or node is filled: evenly, so that there is room for keys
  // between these; or to the brim, where the next keys will follow.
  enum class Packing : uint8_t { kEven, kFull };

  // Puts `records` into leaves and appends these to `out`, the first with
  // `separator`.
  absl::Status WriteLeaves(absl::Span<const TreeRecord> records,
                           const KeyPieces& separator, Packing packing,
                           TreeChildren& out);
  // Puts all of them into one leaf. REQUIRES: `plan` is of these records.
  absl::Status WriteLeaf(absl::Span<const TreeRecord> records,
                         const LeafPlan& plan, const KeyPieces& separator,
                         TreeChildren& out);
  // What one node of these counts as (CountedBytes).
  static uint64_t NodeBytes(absl::Span<const TreeChild> children,
                            uint32_t level);
  // Puts `children` into nodes of `level` and appends these to `out`; the
  // first child's separator becomes that of the first node.
  absl::Status WriteNodes(absl::Span<const TreeChild> children, uint32_t level,
                          Packing packing, TreeChildren& out);
  // Puts all of them into one node, however long it gets.
  absl::Status WriteNode(absl::Span<const TreeChild> children, uint32_t level,
                         TreeChildren& out);
  // Adds levels until there is one root.
  absl::Status WriteRoot(TreeChildren& children, uint32_t level,
                         Packing packing, TreeSlot* root);

 private:
  absl::Status WriteLeaf(absl::Span<const TreeRecord> records,
                         const KeyPieces& separator, TreeChildren& out);

  const EditContext& context_;
};

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_BTREE_WRITER_H_
