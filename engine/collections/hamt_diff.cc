#include <cstdint>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "engine/collections/diff.h"
#include "engine/collections/hamt_leaf.h"
#include "engine/collections/hamt_writer.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// The hashes that a slot stands for, the last one included.
struct HashRange {
  uint64_t first = 0;
  uint64_t last = ~uint64_t{0};
  bool Contains(uint64_t hash) const { return first <= hash && hash <= last; }
};

// The part of a node's `range` that its slots from `index` to before `end`
// hold.
HashRange PartOf(const HashRange& range, uint32_t depth, uint32_t index,
                 uint32_t end) {
  const int shift = 64 - static_cast<int>((depth + 1) * kTrieBits);
  const auto first_of = [&](uint64_t slot) {
    // The last level has fewer bits left than an index has.
    return range.first | (shift >= 0 ? slot << shift : slot >> -shift);
  };
  return {first_of(index), end == kTrieFanout ? range.last : first_of(end) - 1};
}

using RecordVisitor = absl::FunctionRef<void(Bytes key, Bytes value)>;

class Differ {
 public:
  Differ(const BlockView& view, const KeyHasher& hasher, DiffVisitor visit)
      : view_(view), hasher_(hasher), visit_(visit) {}

  // Two slots, of nodes of `depth` if they are nodes. A leaf may be met in
  // parts, `range` at a time, where the other side is divided.
  absl::Status Slots(NodeSlot before, NodeSlot after, uint32_t depth,
                     const HashRange& range) {
    if (before == after || !go_on_) return absl::OkStatus();
    if (before.kind() == SlotKind::kNode && after.kind() == SlotKind::kNode) {
      return Nodes(before, after, depth, range);
    }
    // The side that is no node has few records.
    const bool few_are_old = before.kind() != SlotKind::kNode;
    few_.clear();
    EVE_RETURN_IF_ERROR(
        ForEach(few_are_old ? before : after, depth, range,
                [this](Bytes key, Bytes value) { few_[key] = value; }));
    EVE_RETURN_IF_ERROR(
        ForEach(few_are_old ? after : before, depth, range,
                [&](Bytes key, Bytes value) {
                  const auto found = few_.find(key);
                  if (found == few_.end()) {
                    Report(key, std::nullopt, value, few_are_old);
                    return;
                  }
                  if (!IsSameValue(found->second, value)) {
                    Report(key, found->second, value, few_are_old);
                  }
                  few_.erase(found);
                }));
    for (const auto& [key, value] : few_) {
      Report(key, value, std::nullopt, few_are_old);
    }
    return absl::OkStatus();
  }

 private:
  void Report(Bytes key, const std::optional<Bytes>& few,
              const std::optional<Bytes>& other, bool few_are_old) {
    if (!go_on_) return;
    go_on_ = few_are_old ? visit_(key, few, other) : visit_(key, other, few);
  }

  // A node of `depth` that holds `range`, checked; null if it is not there.
  const TrieNode* Open(NodeSlot slot, uint32_t depth,
                       const HashRange& range) const {
    const BlockHeader* header =
        view_.Block(slot.offset(), BlockType::kTrieNode, sizeof(TrieNode));
    if (header == nullptr || depth >= kTrieDepthMax || header->depth != depth) {
      return nullptr;
    }
    const auto* node = view_.As<TrieNode>(slot.offset());
    return node->prefix == range.first ? node : nullptr;
  }

  absl::Status Nodes(NodeSlot before, NodeSlot after, uint32_t depth,
                     const HashRange& range) {
    const TrieNode* old_node = Open(before, depth, range);
    if (old_node == nullptr) return DamagedBlock(before.offset(), "trie node");
    const TrieNode* new_node = Open(after, depth, range);
    if (new_node == nullptr) return DamagedBlock(after.offset(), "trie node");
    for (uint32_t i = 0, end; i < kTrieFanout && go_on_; i = end) {
      // A leaf stands in several slots.
      end = i + 1;
      while (end < kTrieFanout && old_node->slots[end] == old_node->slots[i] &&
             new_node->slots[end] == new_node->slots[i]) {
        ++end;
      }
      EVE_RETURN_IF_ERROR(Slots(old_node->slots[i], new_node->slots[i],
                                depth + 1, PartOf(range, depth, i, end)));
    }
    return absl::OkStatus();
  }

  // Calls `fn` with the records below `slot` whose hashes are in `range`.
  absl::Status ForEach(NodeSlot slot, uint32_t depth, const HashRange& range,
                       RecordVisitor fn) {
    if (!go_on_) return absl::OkStatus();
    switch (slot.kind()) {
      case SlotKind::kEmpty:
        if (slot.is_empty()) return absl::OkStatus();
        return DamagedBlock(slot.offset(), "trie slot");
      case SlotKind::kNode:
        return ForEachInNode(slot, depth, range, fn);
      case SlotKind::kLeaf:
        return ForEachInLeaf(slot, range, fn);
      case SlotKind::kCollisionLeaf:
        return ForEachInCollisions(slot, range, fn);
    }
    return absl::OkStatus();
  }

  absl::Status ForEachInNode(NodeSlot slot, uint32_t depth,
                             const HashRange& range, RecordVisitor fn) {
    const TrieNode* node = Open(slot, depth, range);
    if (node == nullptr) return DamagedBlock(slot.offset(), "trie node");
    for (uint32_t i = 0, end; i < kTrieFanout; i = end) {
      end = i + 1;
      while (end < kTrieFanout && node->slots[end] == node->slots[i]) ++end;
      EVE_RETURN_IF_ERROR(
          ForEach(node->slots[i], depth + 1, PartOf(range, depth, i, end), fn));
    }
    return absl::OkStatus();
  }

  absl::Status ForEachInLeaf(NodeSlot slot, const HashRange& range,
                             RecordVisitor fn) {
    LeafView leaf;
    if (!LeafView::Open(view_, slot.offset(), &leaf)) {
      return DamagedBlock(slot.offset(), "trie leaf");
    }
    for (uint32_t i = 0; i < leaf.count(); ++i) {
      StoredRecord record;
      if (!leaf.Record(i, &record)) {
        return DamagedBlock(slot.offset(), "trie leaf");
      }
      if (!range.Contains(LeafView::HashOf(hasher_, record))) continue;
      if (record.external()) {
        EVE_RETURN_IF_ERROR(ForLarge(record.AsExternal().offset(), fn));
      } else {
        fn(record.key(), record.value());
      }
    }
    return absl::OkStatus();
  }

  absl::Status ForEachInCollisions(NodeSlot slot, const HashRange& range,
                                   RecordVisitor fn) {
    CollisionView leaf;
    if (!CollisionView::Open(view_, slot.offset(), &leaf)) {
      return DamagedBlock(slot.offset(), "collision leaf");
    }
    // All of one hash.
    if (!range.Contains(leaf.leaf->hash)) return absl::OkStatus();
    for (const CollisionEntry& entry : leaf.entries) {
      EVE_RETURN_IF_ERROR(ForLarge(entry.offset(), fn));
    }
    return absl::OkStatus();
  }

  absl::Status ForLarge(Offset offset, RecordVisitor fn) {
    LargeRecord record;
    if (!OpenLargeRecord(view_, offset, &record)) {
      return DamagedBlock(offset, "large record");
    }
    fn(record.key, record.value);
    return absl::OkStatus();
  }

  const BlockView& view_;
  const KeyHasher& hasher_;
  DiffVisitor visit_;
  bool go_on_ = true;
  absl::flat_hash_map<Bytes, Bytes> few_;
};

}  // namespace

absl::Status HamtDiff(const BlockView& view, const KeyHasher& hasher,
                      NodeSlot before, NodeSlot after, DiffVisitor visit) {
  return Differ(view, hasher, visit)
      .Slots(before, after, /*depth=*/0, HashRange());
}

}  // namespace eve
