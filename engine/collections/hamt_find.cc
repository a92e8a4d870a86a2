#include <bit>
#include <cstddef>
#include <cstdint>

#include "engine/collections/hamt_descend.h"
#include "engine/collections/hamt_leaf.h"
#include "engine/collections/hamt_map.h"
#include "util/check.h"

namespace eve {
namespace {

FindResult FindInCollisionLeaf(const BlockView& view, const KeyHasher& hasher,
                               Offset offset, Bytes key) {
  FindResult result;
  CollisionView leaf;
  if (!CollisionView::Open(view, offset, &leaf)) {
    result.outcome = FindOutcome::kDamaged;
    return result;
  }
  size_t index;
  result.outcome = FindInCollisions(
      view, leaf.entries, hasher.CollisionTag(key), key, &index, &result.value);
  return result;
}

// `slot` leads to a leaf, to nothing, or is damaged.
inline FindResult FinishFind(const BlockView& view, const KeyHasher& hasher,
                             NodeSlot slot, uint64_t hash, Bytes key) {
  if (slot.kind() == SlotKind::kLeaf) {
    LeafView leaf;
    if (!LeafView::Open(view, slot.offset(), &leaf)) {
      return FindResult{FindOutcome::kDamaged, Bytes()};
    }
    const LeafHit hit = FindInLeaf(view, leaf, hash, key);
    return FindResult{hit.outcome, hit.value};
  }
  if (slot.kind() == SlotKind::kCollisionLeaf) {
    return FindInCollisionLeaf(view, hasher, slot.offset(), key);
  }
  return FindResult{
      slot.is_empty() ? FindOutcome::kAbsent : FindOutcome::kDamaged, Bytes()};
}

// Asks for the record that `hash` most likely leads to.
inline void PrefetchRecord(const BlockView& view, NodeSlot slot,
                           uint64_t hash) {
  LeafView leaf;
  if (slot.kind() != SlotKind::kLeaf ||
      !LeafView::Open(view, slot.offset(), &leaf)) {
    return;
  }
  const uint32_t mask = MatchTags(leaf.tags(), LeafFingerprint(hash));
  if (mask == 0) return;
  const uint32_t index = static_cast<uint32_t>(std::countr_zero(mask));
  if (index >= leaf.count()) return;
  const uint32_t begin = leaf.Position(index);
  const uint32_t end =
      index + 1 < leaf.count() ? leaf.Position(index + 1) : leaf.bytes();
  for (uint32_t at = begin; at < end; at += kCacheLineBytes) {
    PrefetchLine(leaf.data() + at);
  }
  PrefetchLine(leaf.data() + end - 1);
}

// Up to kMultiFindWidth keys.
void FindGroup(const BlockView& view, const KeyHasher& hasher, NodeSlot root,
               absl::Span<const Bytes> keys, FindResult* out) {
  uint64_t hashes[kMultiFindWidth] = {};
  NodeSlot slots[kMultiFindWidth];
  for (size_t i = 0; i < keys.size(); ++i) hashes[i] = hasher(keys[i]);
  DescendInStep(view, root, hashes, keys.size(), 1, slots);
  for (size_t i = 0; i < keys.size(); ++i) {
    PrefetchRecord(view, slots[i], hashes[i]);
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    out[i] = FinishFind(view, hasher, slots[i], hashes[i], keys[i]);
  }
}

}  // namespace

FindResult HamtFind(const BlockView& view, const KeyHasher& hasher,
                    NodeSlot root, Bytes key) {
  const uint64_t hash = hasher(key);
  uint64_t bits = hash;
  NodeSlot slot = root;
  for (uint32_t depth = 0;
       slot.kind() == SlotKind::kNode && depth < kTrieDepthMax; ++depth) {
    const NodeSlot* next = SlotIn(view, slot, bits);
    if (next == nullptr) return FindResult{FindOutcome::kDamaged, Bytes()};
    slot = *next;
    bits <<= kTrieBits;
  }
  PrefetchSlot(view, slot);
  return FinishFind(view, hasher, slot, hash, key);
}

void HamtMultiFind(const BlockView& view, const KeyHasher& hasher,
                   NodeSlot root, absl::Span<const Bytes> keys,
                   absl::Span<FindResult> out) {
  EVE_CHECK(keys.size() == out.size(), "one result for each key");
  for (size_t i = 0; i < keys.size(); i += kMultiFindWidth) {
    FindGroup(view, hasher, root, keys.subspan(i, kMultiFindWidth), &out[i]);
  }
}

}  // namespace eve
