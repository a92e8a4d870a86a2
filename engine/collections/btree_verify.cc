#include "engine/collections/btree_verify.h"

#include "engine/collections/block_checksum.h"
#include "engine/collections/btree_node.h"

namespace eve {
namespace {

bool IsLeafIntact(const BlockView& view, Offset offset, Bytes key,
                  uint64_t salt) {
  TreeLeafView leaf;
  if (!IsBlockIntact(view, offset, BlockType::kTreeLeaf, salt) ||
      !TreeLeafView::Open(view, offset, &leaf)) {
    return false;
  }
  bool equal;
  const uint32_t index = leaf.LowerBound(key, &equal);
  if (!equal) return true;
  bool external;
  const Bytes stored = leaf.Stored(index, &external);
  if (!external) return true;
  return stored.size() == kTreeExternalBytes &&
         IsBlockIntact(view, TreeLeafView::ExternalOffset(stored),
                       BlockType::kTreeValue, salt);
}

}  // namespace

bool TreeVerifyPath(const BlockView& view, NodeSlot root, Bytes key,
                    uint64_t salt) {
  if (root.is_empty()) return true;
  TreeSlot slot{root.word};
  if (!view.Contains(slot.offset())) return false;
  // Of the block that `slot` leads to: one less with each step down.
  uint32_t level = view.As<BlockHeader>(slot.offset())->depth;
  if (level > kTreeLevelsMax) return false;
  for (; level > 0; --level) {
    TreeNodeView node;
    if (!IsBlockIntact(view, slot.offset(), BlockType::kTreeNode, salt) ||
        !TreeNodeView::Open(view, slot.offset(), level, &node)) {
      return false;
    }
    slot = node.slot(node.ChildFor(key));
  }
  return IsLeafIntact(view, slot.offset(), key, salt);
}

}  // namespace eve
