#include <cstdint>

#include "engine/collections/hamt_editor.h"
#include "engine/collections/hamt_leaf.h"
#include "engine/collections/hamt_map.h"
#include "engine/collections/hamt_writer.h"
#include "util/status_macros.h"

namespace eve {
namespace {

class TrieRetirer {
 public:
  TrieRetirer(const EditContext& context, uint64_t budget)
      : writer_(context), budget_(budget) {}

  // Retires what `slot` leads to, in the order of the hashes, until the budget
  // is spent; what is left goes back into `slot`.
  absl::Status Retire(uint32_t depth, NodeSlot* slot) {
    switch (slot->kind()) {
      case SlotKind::kEmpty:
        break;
      case SlotKind::kNode:
        return RetireNode(depth, slot);
      case SlotKind::kLeaf:
        EVE_RETURN_IF_ERROR(RetireLeaf(slot->offset()));
        break;
      case SlotKind::kCollisionLeaf:
        EVE_RETURN_IF_ERROR(RetireCollisions(slot->offset()));
        break;
    }
    *slot = NodeSlot{};
    return absl::OkStatus();
  }

 private:
  void Spend() {
    if (budget_ > 0) --budget_;
  }

  absl::Status RetireRecord(Offset offset) {
    Spend();
    return writer_.RetireRecord(offset);
  }

  absl::Status RetireLeaf(Offset offset) {
    LeafView leaf;
    if (!LeafView::Open(writer_.view(), offset, &leaf)) {
      return DamagedBlock(offset, "trie leaf");
    }
    for (uint32_t i = 0; i < leaf.count(); ++i) {
      StoredRecord record;
      if (!leaf.Record(i, &record)) return DamagedBlock(offset, "trie leaf");
      if (!record.external()) continue;
      EVE_RETURN_IF_ERROR(RetireRecord(record.AsExternal().offset()));
    }
    Spend();
    writer_.Retire(offset, leaf.bytes());
    return absl::OkStatus();
  }

  absl::Status RetireCollisions(Offset offset) {
    CollisionView view;
    if (!CollisionView::Open(writer_.view(), offset, &view)) {
      return DamagedBlock(offset, "collision leaf");
    }
    for (CollisionEntry entry : view.entries) {
      EVE_RETURN_IF_ERROR(RetireRecord(entry.offset()));
    }
    Spend();
    writer_.Retire(offset, view.leaf->header.bytes());
    return absl::OkStatus();
  }

  absl::Status RetireNode(uint32_t depth, NodeSlot* slot) {
    NodeEditor node(writer_);
    // The depths along a path rise, so a damaged file cannot lead in a circle.
    EVE_RETURN_IF_ERROR(node.Open(*slot, depth));
    uint32_t first = 0;
    NodeSlot child;
    uint32_t child_slots = 0;
    while (first < kTrieFanout &&
           (budget_ > 0 || node.slots()[first].is_empty())) {
      child = node.slots()[first];
      child_slots = RangeOf(node.slots(), first).size;
      EVE_RETURN_IF_ERROR(Retire(depth + 1, &child));
      if (!child.is_empty()) break;
      first += child_slots;
    }
    if (first == kTrieFanout) {
      Spend();
      node.Retire();
      *slot = NodeSlot{};
      return absl::OkStatus();
    }
    if (first > 0) {
      EVE_RETURN_IF_ERROR(node.Fill({0, first}, NodeSlot{}));
    }
    if (!child.is_empty() && child != node.slots()[first]) {
      EVE_RETURN_IF_ERROR(node.Fill({first, child_slots}, child));
    }
    *slot = node.slot();
    return absl::OkStatus();
  }

  TrieWriter writer_;
  uint64_t budget_;
};

}  // namespace

absl::Status HamtRetireSome(const EditContext& context, uint64_t budget,
                            NodeSlot& root, bool* done) {
  // A budget of nothing would never end.
  TrieRetirer retirer(context, budget == 0 ? 1 : budget);
  NodeSlot slot = root;
  EVE_RETURN_IF_ERROR(retirer.Retire(0, &slot));
  root = slot;
  *done = slot.is_empty();
  return absl::OkStatus();
}

}  // namespace eve
