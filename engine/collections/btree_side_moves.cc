// The part of TreeEditor that takes along what is to be moved beside an edit.
#include <algorithm>
#include <cstring>

#include "engine/collections/btree_editor.h"
#include "engine/collections/side_moves.h"
#include "util/prefetch.h"

namespace eve {
namespace {

// The block that stands for a large value of a leaf; null for other values.
Offset ValueBlock(const TreeLeafView& leaf, uint32_t index, Bytes* stored) {
  bool external;
  *stored = leaf.Stored(index, &external);
  return external && stored->size() == kTreeExternalBytes
             ? TreeLeafView::ExternalOffset(*stored)
             : kNullOffset;
}

bool MayHaveValueBlocks(const TreeLeafView& leaf) {
  return leaf.all_external() || !leaf.has_uniform_values();
}

}  // namespace

SideMoves* TreeEditor::SideMovesToPay() const {
  SideMoves* const moves = context_.side_moves;
  return moves == nullptr || moves->budget_bytes <= 0 ? nullptr : moves;
}

void TreeEditor::AskForBeside(const TreeNodeView& node) const {
  const SideMoves* const moves = SideMovesToPay();
  if (moves == nullptr) return;
  size_t asked = 0;
  for (uint32_t i = 0; i < node.count() && asked < kSideLeavesAhead; ++i) {
    if (!moves->IsWanted(node.slot(i).offset())) continue;
    PrefetchChild(node, i);
    ++asked;
  }
}

void TreeEditor::MoveBeside(const Place& place, const TreeNodeView& node,
                            NodeEdit& edit) {
  SideMoves* const moves = SideMovesToPay();
  if (moves == nullptr) return;
  // A node that nothing was changed in is not copied.
  const bool is_changed = std::any_of(
      edit.replaced.begin(), edit.replaced.end(), [&](const Replacement& part) {
        return part.end != part.begin + 1 ||
               edit.made[part.begin].slot != node.slot(part.index);
      });
  if (!is_changed) return;
  const size_t edited = edit.replaced.size();
  for (uint32_t i = 0; i < node.count() && moves->budget_bytes > 0; ++i) {
    const Offset offset = node.slot(i).offset();
    if (!moves->IsWanted(offset)) continue;
    TreeLeafView leaf;
    const auto is_it = [i](const Replacement& part) { return part.index == i; };
    if (std::any_of(edit.replaced.begin(), edit.replaced.begin() + edited,
                    is_it) ||
        !TreeLeafView::Open(writer_.view(), offset, &leaf)) {
      continue;
    }
    const Offset moved =
        TakeAlong(*context_.store, *moves, offset, leaf.bytes());
    if (moved.is_null()) break;
    TreeChild child = Unchanged(ChildOf(place, node, i));
    child.slot = TreeSlot::Make(moved, child.slot.leaf_records());
    edit.replaced.push_back({i, edit.made.size(), edit.made.size() + 1});
    edit.made.push_back(child);
  }
  std::sort(edit.replaced.begin(), edit.replaced.end(),
            [](const Replacement& a, const Replacement& b) {
              return a.index < b.index;
            });
}

void TreeEditor::AskForValuesBeside(const TreeLeafView& leaf) const {
  const SideMoves* const moves = SideMovesToPay();
  if (moves == nullptr || !MayHaveValueBlocks(leaf)) return;
  size_t asked = 0;
  for (uint32_t i = 0; i < leaf.count() && asked < kSideValuesAhead; ++i) {
    Bytes stored;
    const Offset value = ValueBlock(leaf, i, &stored);
    if (value.is_null() || !moves->IsWanted(value) ||
        !writer_.view().Contains(value)) {
      continue;
    }
    PrefetchLines(writer_.view().At(value), kSideValueLines);
    ++asked;
  }
}

void TreeEditor::MoveValuesBeside(TreeSlot slot) {
  SideMoves* const moves = SideMovesToPay();
  if (moves == nullptr) return;
  // Null: the edit has left the leaf where it was.
  char* const data = writer_.Edit(slot.offset());
  TreeLeafView leaf;
  if (data == nullptr ||
      !TreeLeafView::Open(writer_.view(), slot.offset(), &leaf) ||
      !MayHaveValueBlocks(leaf)) {
    return;
  }
  const uint64_t most = moves->moved.bytes + kSideBytesMax;
  for (uint32_t i = 0; i < leaf.count() && moves->moved.bytes < most; ++i) {
    Bytes stored;
    const Offset value = ValueBlock(leaf, i, &stored);
    if (value.is_null() || !moves->IsWanted(value)) continue;
    const BlockHeader* const header =
        writer_.view().Block(value, BlockType::kTreeValue, sizeof(TreeValue));
    if (header == nullptr || header->bytes() > kSideBytesMax) continue;
    const Offset copy =
        TakeAlong(*context_.store, *moves, value, header->bytes());
    if (copy.is_null()) return;
    std::memcpy(data + (stored.data() - leaf.data()), &copy.units,
                sizeof(copy.units));
  }
}

}  // namespace eve
