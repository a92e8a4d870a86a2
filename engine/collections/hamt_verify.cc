#include "engine/collections/hamt_verify.h"

#include "engine/collections/block_checksum.h"
#include "engine/collections/hamt_descend.h"
#include "engine/collections/hamt_leaf.h"

namespace eve {
namespace {

// The blocks of the leaf's external records with this hash.
bool AreRecordsIntact(const BlockView& view, Offset offset, uint64_t hash,
                      uint64_t salt) {
  LeafView leaf;
  if (!LeafView::Open(view, offset, &leaf)) return false;
  for (uint32_t i = 0; i < leaf.count(); ++i) {
    StoredRecord record;
    if (!leaf.Record(i, &record)) return false;
    if (!record.external() || record.AsExternal().hash != hash) continue;
    if (!IsBlockIntact(view, record.AsExternal().offset(), BlockType::kRecord,
                       salt)) {
      return false;
    }
  }
  return true;
}

bool IsCollisionLeafIntact(const BlockView& view, Offset offset,
                           uint64_t salt) {
  if (!IsBlockIntact(view, offset, BlockType::kCollisionLeaf, salt))
    return false;
  const BlockHeader* header =
      view.Block(offset, BlockType::kCollisionLeaf, sizeof(CollisionLeaf));
  if (header == nullptr) return false;
  const auto* leaf = view.As<CollisionLeaf>(offset);
  const uint64_t bytes =
      sizeof(CollisionLeaf) + uint64_t{leaf->entries} * sizeof(CollisionEntry);
  if (bytes > header->bytes()) return false;
  const auto* entries = static_cast<const CollisionEntry*>(
      static_cast<const void*>(view.At(offset) + sizeof(CollisionLeaf)));
  for (uint32_t i = 0; i < leaf->entries; ++i) {
    if (!IsBlockIntact(view, entries[i].offset(), BlockType::kRecord, salt)) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool HamtVerifyPath(const BlockView& view, const KeyHasher& hasher,
                    NodeSlot root, Bytes key, uint64_t salt) {
  const uint64_t hash = hasher(key);
  NodeSlot slot = root;
  for (uint32_t depth = 0; depth <= kTrieDepthMax; ++depth) {
    switch (slot.kind()) {
      case SlotKind::kEmpty:
        return true;
      case SlotKind::kLeaf:
        return IsBlockIntact(view, slot.offset(), BlockType::kTrieLeaf, salt) &&
               AreRecordsIntact(view, slot.offset(), hash, salt);
      case SlotKind::kCollisionLeaf:
        return IsCollisionLeafIntact(view, slot.offset(), salt);
      case SlotKind::kNode:
        break;
    }
    if (depth == kTrieDepthMax ||
        !IsBlockIntact(view, slot.offset(), BlockType::kTrieNode, salt)) {
      return false;
    }
    const NodeSlot* next = SlotIn(view, slot, hash << depth * kTrieBits);
    if (next == nullptr) return false;
    slot = *next;
  }
  return false;
}

}  // namespace eve
