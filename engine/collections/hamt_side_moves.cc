#include <algorithm>
#include <cstring>

#include "engine/collections/hamt_descend.h"
#include "engine/collections/hamt_editor.h"
#include "engine/collections/side_moves.h"
#include "util/prefetch.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// Of the nodes beside an edited one, at a time.
constexpr size_t kSideNodesMax = 3;
// Above this, nodes are few, and edits copy them before they are in the way.
constexpr uint32_t kSideNodesDepth = 2;

bool IsWantedNode(const SideMoves& moves, NodeSlot slot) {
  return slot.kind() == SlotKind::kNode && moves.IsWanted(slot.offset());
}

}  // namespace

SideMoves* TrieEditor::SideMovesToPay() const {
  SideMoves* const moves = context_.side_moves;
  return moves == nullptr || moves->budget_bytes <= 0 ? nullptr : moves;
}

void TrieEditor::AskForBeside(const NodeEditor& node) const {
  const SideMoves* const moves = SideMovesToPay();
  if (moves == nullptr) return;
  NodeSlot last;
  size_t asked = 0;
  for (uint32_t i = 0; i < kTrieFanout && asked < kSideLeavesAhead; ++i) {
    const NodeSlot slot = node.slots()[i];
    if (slot == last || slot.kind() != SlotKind::kLeaf ||
        !moves->IsWanted(slot.offset())) {
      continue;
    }
    last = slot;
    PrefetchLines(writer_.view().At(slot.offset()), slot.lines());
    ++asked;
  }
}

absl::Status TrieEditor::MoveBeside(NodeEditor& node) {
  SideMoves* const moves = SideMovesToPay();
  if (moves == nullptr || !node.is_writable()) return absl::OkStatus();
  for (uint32_t i = 0; i < kTrieFanout;) {
    const NodeSlot slot = node.slots()[i];
    LeafView leaf;
    if (slot.kind() != SlotKind::kLeaf || !moves->IsWanted(slot.offset()) ||
        !LeafView::Open(writer_.view(), slot.offset(), &leaf)) {
      ++i;
      continue;
    }
    const SlotRange range = RangeOf(node.slots(), i);
    const Offset moved =
        TakeAlong(*context_.store, *moves, slot.offset(), leaf.bytes());
    if (moved.is_null()) break;
    EVE_RETURN_IF_ERROR(node.Fill(range, slot.At(moved)));
    i = range.end();
  }
  return absl::OkStatus();
}

void TrieEditor::AskForNodesBeside(const NodeEditor& node,
                                   uint32_t depth) const {
  const SideMoves* const moves = SideMovesToPay();
  if (moves == nullptr || depth < kSideNodesDepth) return;
  size_t asked = 0;
  for (uint32_t i = 0; i < kTrieFanout && asked < kSideNodesMax; ++i) {
    const NodeSlot slot = node.slots()[i];
    if (!IsWantedNode(*moves, slot)) continue;
    PrefetchLines(writer_.view().At(slot.offset()), kNodeLines);
    ++asked;
  }
}

absl::Status TrieEditor::MoveNodesBeside(NodeEditor& node, uint32_t depth) {
  SideMoves* const moves = SideMovesToPay();
  if (moves == nullptr || depth < kSideNodesDepth || !node.is_writable()) {
    return absl::OkStatus();
  }
  NodeSlot taken[kSideNodesMax];
  size_t count = 0;
  const uint64_t most = moves->moved.bytes + kSideBytesMax;
  for (uint32_t i = 0;
       i < kTrieFanout && count < kSideNodesMax && moves->moved.bytes < most;
       ++i) {
    const NodeSlot slot = node.slots()[i];
    NodeEditor child(writer_);
    // In a damaged node two slots may lead to one child.
    if (!IsWantedNode(*moves, slot) ||
        std::find(taken, taken + count, slot) != taken + count ||
        !child.Open(slot, depth + 1).ok()) {
      continue;
    }
    AskForBeside(child);
    if (!child.Copy().ok()) {
      moves->budget_bytes = 0;
      break;
    }
    taken[count++] = slot;
    moves->Count(sizeof(TrieNode));
    EVE_RETURN_IF_ERROR(MoveBeside(child));
    EVE_RETURN_IF_ERROR(node.Fill(SlotRange{i, 1}, child.slot()));
  }
  return absl::OkStatus();
}

void TrieEditor::AskForValuesBeside(const LeafView& leaf) const {
  const SideMoves* const moves = SideMovesToPay();
  if (moves == nullptr) return;
  size_t asked = 0;
  for (uint32_t i = 0; i < leaf.count() && asked < kSideValuesAhead; ++i) {
    StoredRecord stored;
    if (!leaf.Record(i, &stored) || !stored.external()) continue;
    const Offset value = stored.AsExternal().offset();
    if (!moves->IsWanted(value) || !writer_.view().Contains(value)) continue;
    PrefetchLines(writer_.view().At(value), kSideValueLines);
    ++asked;
  }
}

void TrieEditor::MoveValuesBeside(NodeSlot slot) {
  SideMoves* const moves = SideMovesToPay();
  if (moves == nullptr || slot.kind() != SlotKind::kLeaf) return;
  // Null: the edit has left the leaf where it was.
  char* const data = writer_.Edit(slot.offset());
  LeafView leaf;
  if (data == nullptr ||
      !LeafView::Open(writer_.view(), slot.offset(), &leaf)) {
    return;
  }
  const uint64_t most = moves->moved.bytes + kSideBytesMax;
  for (uint32_t i = 0; i < leaf.count() && moves->moved.bytes < most; ++i) {
    StoredRecord stored;
    if (!leaf.Record(i, &stored) || !stored.external()) continue;
    const ExternalRecord before = stored.AsExternal();
    LargeRecord large;
    if (!moves->IsWanted(before.offset()) ||
        !OpenLargeRecord(writer_.view(), before.offset(), &large) ||
        large.block_bytes > kSideBytesMax) {
      continue;
    }
    const Offset copy =
        TakeAlong(*context_.store, *moves, before.offset(), large.block_bytes);
    if (copy.is_null()) return;
    const ExternalRecord after = ExternalRecord::Make(copy, before.hash);
    std::memcpy(data + (stored.data - leaf.data()), &after, sizeof(after));
  }
}

}  // namespace eve
