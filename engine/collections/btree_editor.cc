#include "engine/collections/btree_editor.h"

#include <algorithm>
#include <cstring>

#include "engine/collections/btree_leaf_plan.h"
#include "util/check.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// What an average leaf and node take.
constexpr uint32_t kLeafLinesCopied =
    kTreeLeafBytesMax * 3 / 4 / kCacheLineBytes;
constexpr uint32_t kNodeLinesCopied =
    kTreeNodeBytesMax * 3 / 4 / kCacheLineBytes;

bool KeyIsLess(const MapOp* a, const MapOp* b) {
  return CompareBytes(a->key, b->key) < 0;
}

absl::Status CheckSizes(absl::Span<const MapOp> ops) {
  for (const MapOp& op : ops) {
    if (op.key.size() > kKeyBytesMax || op.value.size() > kValueBytesMax) {
      return absl::InvalidArgumentError("a key or a value is too long");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status TreeApply(const EditContext& context, absl::Span<MapOp> ops,
                       MapRoot& root) {
  EVE_RETURN_IF_ERROR(CheckSizes(ops));
  if (ops.empty()) return absl::OkStatus();
  TreeEditor editor(context);
  if (ops.size() == 1) {
    MapOp* const only = ops.data();
    return editor.Apply(absl::MakeSpan(&only, 1), root);
  }
  std::vector<MapOp*> sorted(ops.size());
  for (size_t i = 0; i < ops.size(); ++i) sorted[i] = &ops[i];
  // Often they come in order.
  if (!std::is_sorted(sorted.begin(), sorted.end(), KeyIsLess)) {
    std::stable_sort(sorted.begin(), sorted.end(), KeyIsLess);
  }
  return editor.Apply(sorted, root);
}

absl::Status TreeEditor::LevelOf(TreeSlot root, uint32_t* level) const {
  if (!writer_.view().Contains(root.offset())) {
    return DamagedTree(root.offset(), "tree root");
  }
  *level = writer_.view().As<BlockHeader>(root.offset())->depth;
  if (*level <= kTreeLevelsMax) return absl::OkStatus();
  return DamagedTree(root.offset(), "tree root");
}

KeyPieces TreeEditor::SeparatorOf(const Place& place, const TreeNodeView& node,
                                  uint32_t index) {
  if (index == 0) return place.separator;
  return KeyPieces{node.prefix(), node.Separator(index - 1)};
}

TreeEditor::Place TreeEditor::ChildOf(const Place& place,
                                      const TreeNodeView& node,
                                      uint32_t index) {
  Place child;
  child.slot = node.slot(index);
  child.level = place.level - 1;
  child.records = node.RecordsBelow(index);
  child.separator = SeparatorOf(place, node, index);
  child.is_last = place.is_last && index + 1 == node.count();
  return child;
}

TreeChild TreeEditor::Unchanged(const Place& place) {
  return TreeChild{place.slot, place.records, place.separator, false};
}

absl::Status TreeEditor::Apply(absl::Span<MapOp* const> ops, MapRoot& root) {
  Children children;
  Place place;
  if (root.slot.is_empty()) {
    bool changed = false;
    EVE_RETURN_IF_ERROR(MergeLeaf(TreeLeafView(), ops, &changed));
    if (records_.empty()) return absl::OkStatus();
    EVE_RETURN_IF_ERROR(writer_.WriteLeaves(
        records_, KeyPieces(), TreeWriter::Packing::kFull, children));
  } else {
    place.slot = TreeSlot{root.slot.word};
    place.records = root.count;
    place.is_last = true;
    EVE_RETURN_IF_ERROR(LevelOf(place.slot, &place.level));
    EVE_RETURN_IF_ERROR(ApplyTo(place, ops, children));
  }
  return FinishRoot(children, place.level, TreeWriter::Packing::kFull, root);
}

absl::Status TreeEditor::FinishRoot(Children& children, uint32_t level,
                                    TreeWriter::Packing packing,
                                    MapRoot& root) {
  TreeSlot slot;
  EVE_RETURN_IF_ERROR(writer_.WriteRoot(children, level, packing, &slot));
  // A root of one child is a level too many. Levels are counted down: damage
  // may have made a node its own child.
  uint32_t left = slot.is_empty() ? 0 : kTreeLevelsMax;
  uint32_t expected = TreeNodeView::kAnyLevel;
  while (left > 0) {
    TreeNodeView node;
    if (!TreeNodeView::Open(writer_.view(), slot.offset(), expected, &node) ||
        node.count() > 1) {
      break;
    }
    writer_.Retire(slot.offset(), node.bytes());
    slot = node.slot(0);
    left = expected = node.level() - 1;
  }
  root.slot = NodeSlot{slot.word};
  root.count += static_cast<uint64_t>(count_delta_);
  return absl::OkStatus();
}

absl::Status TreeEditor::ApplyTo(const Place& place,
                                 absl::Span<MapOp* const> ops, Children& out) {
  return place.level == 0 ? ApplyToLeaf(place, ops, out)
                          : ApplyToNode(place, ops, out);
}

// Asks for a child that will be copied, before its header can tell how much
// that is: too much costs less than a wait for the rest.
void TreeEditor::PrefetchChild(const TreeNodeView& node, uint32_t index) const {
  const Offset child = node.slot(index).offset();
  if (!writer_.view().Contains(child)) return;
  PrefetchLines(writer_.view().At(child),
                node.level() > 1 ? kNodeLinesCopied : kLeafLinesCopied);
}

absl::Status TreeEditor::ApplyToNode(const Place& place,
                                     absl::Span<MapOp* const> ops,
                                     Children& out) {
  TreeNodeView node;
  if (!TreeNodeView::Open(writer_.view(), place.slot.offset(), place.level,
                          &node)) {
    return DamagedTree(place.slot.offset(), "tree node");
  }
  if (place.level == 1) AskForBeside(node);
  NodeEdit edit;
  size_t done = 0;
  uint32_t first_child = 0;
  while (done < ops.size()) {
    const uint32_t child = node.ChildFor(ops[done]->key);
    size_t end = done + 1;
    if (child + 1 == node.count()) {
      end = ops.size();
    } else {
      while (end < ops.size() && node.ChildFor(ops[end]->key) == child) ++end;
    }
    if (edit.replaced.empty()) first_child = child;
    const size_t begin = edit.made.size();
    PrefetchChild(node, child);
    EVE_RETURN_IF_ERROR(ApplyTo(ChildOf(place, node, child),
                                ops.subspan(done, end - done), edit.made));
    edit.replaced.push_back({child, begin, edit.made.size()});
    done = end;
  }
  const bool at_end = place.is_last && first_child + 1 == node.count();
  if (place.level == 1) MoveBeside(place, node, edit);
  return FinishNode(
      place, node, edit,
      at_end ? TreeWriter::Packing::kFull : TreeWriter::Packing::kEven, out);
}

absl::Status TreeEditor::FinishNode(const Place& place,
                                    const TreeNodeView& node,
                                    const NodeEdit& edit,
                                    TreeWriter::Packing packing,
                                    Children& out) {
  bool same_shape = true;
  bool unchanged = true;
  for (const Replacement& part : edit.replaced) {
    same_shape &= part.end == part.begin + 1 && !edit.made[part.begin].is_small;
    if (!same_shape) break;
    const TreeChild& child = edit.made[part.begin];
    unchanged &= child.slot == node.slot(part.index) &&
                 child.records == node.RecordsBelow(part.index);
  }
  if (same_shape && unchanged) {
    out.push_back(Unchanged(place));
    return absl::OkStatus();
  }
  if (same_shape) return PatchNode(place, node, edit, out);
  Children children;
  children.reserve(node.count() + edit.made.size());
  size_t next = 0;
  for (uint32_t i = 0; i < node.count(); ++i) {
    if (next == edit.replaced.size() || edit.replaced[next].index != i) {
      children.push_back(Unchanged(ChildOf(place, node, i)));
      continue;
    }
    const Replacement& part = edit.replaced[next++];
    children.insert(children.end(), edit.made.begin() + part.begin,
                    edit.made.begin() + part.end);
  }
  EVE_RETURN_IF_ERROR(MergeSmall(children, place.level - 1));
  const size_t before = out.size();
  EVE_RETURN_IF_ERROR(writer_.WriteNodes(children, place.level, packing, out));
  // Only what shrinks looks for a neighbour.
  if (children.size() >= node.count()) {
    for (size_t i = before; i < out.size(); ++i) out[i].is_small = false;
  }
  writer_.Retire(place.slot.offset(), node.bytes());
  return absl::OkStatus();
}

absl::Status TreeEditor::PatchNode(const Place& place, const TreeNodeView& node,
                                   const NodeEdit& edit, Children& out) {
  TreeChild copy = Unchanged(place);
  char* data = writer_.Edit(place.slot.offset());
  if (data == nullptr) {
    NewBlock block;
    EVE_RETURN_IF_ERROR(writer_.NewBlockOf(BlockType::kTreeNode, place.level,
                                           node.count(), node.bytes(), &block));
    std::memcpy(block.data + sizeof(BlockHeader),
                node.data() + sizeof(BlockHeader),
                node.bytes() - sizeof(BlockHeader));
    data = block.data;
    copy.slot = TreeSlot::Make(block.offset, 0);
    writer_.Retire(place.slot.offset(), node.bytes());
  }
  for (const Replacement& part : edit.replaced) {
    const TreeChild& child = edit.made[part.begin];
    copy.records += child.records - node.RecordsBelow(part.index);
    char* const slot = data + (node.slots() - node.data()) + 8 * part.index;
    std::memcpy(slot, &child.slot, sizeof(child.slot));
    if (place.level == 1) continue;
    std::memcpy(slot + 8 * node.count(), &child.records, sizeof(child.records));
  }
  out.push_back(copy);
  return absl::OkStatus();
}

absl::Status TreeEditor::MergeSmall(Children& children, uint32_t level) {
  for (size_t i = 0; i < children.size() && children.size() > 1;) {
    if (!children[i].is_small) {
      ++i;
      continue;
    }
    children[i].is_small = false;
    bool merged = false;
    // The right neighbour may be small itself: it comes next anyway.
    for (const size_t left : {i, i - 1}) {
      if (merged || left >= children.size() - 1) continue;
      Children pair;
      EVE_RETURN_IF_ERROR(
          level == 0
              ? MergeLeaves(children[left], children[left + 1], pair, &merged)
              : MergeNodes(children[left], children[left + 1], level, pair,
                           &merged));
      if (!merged) continue;
      children.erase(children.begin() + left, children.begin() + left + 2);
      children.insert(children.begin() + left, pair.begin(), pair.end());
      i = left;
    }
    if (!merged) ++i;
  }
  return absl::OkStatus();
}

absl::Status TreeEditor::MergeLeaves(const TreeChild& left,
                                     const TreeChild& right, Children& out,
                                     bool* merged) {
  TreeLeafView views[2];
  const TreeChild* const children[2] = {&left, &right};
  for (int i = 0; i < 2; ++i) {
    const Offset offset = children[i]->slot.offset();
    if (!TreeLeafView::Open(writer_.view(), offset, &views[i])) {
      return DamagedTree(offset, "tree leaf");
    }
  }
  // Not to the brim, or the next insertion would split it again.
  constexpr uint64_t kMergedMax = kTreeLeafBytesMax * 3 / 4;
  uint64_t bytes = 0;
  for (const TreeLeafView& view : views) {
    bytes += CountedBytes(view.bytes(), view.prefix().size());
  }
  if (bytes > kMergedMax) return absl::OkStatus();
  std::vector<TreeRecord> records;
  for (const TreeLeafView& view : views) view.AppendAll(records);
  // They may have long prefixes each, and little in common.
  LeafPlan plan(writer_.aligns_values());
  for (const TreeRecord& record : records) plan.Add(record);
  if (CountedBytes(plan.bytes(), plan.prefix()) > kMergedMax) {
    return absl::OkStatus();
  }
  EVE_RETURN_IF_ERROR(writer_.WriteLeaves(records, left.separator,
                                          TreeWriter::Packing::kEven, out));
  for (TreeChild& child : out) child.is_small = false;
  for (int i = 0; i < 2; ++i) {
    writer_.Retire(children[i]->slot.offset(), views[i].bytes());
  }
  *merged = true;
  return absl::OkStatus();
}

absl::Status TreeEditor::MergeNodes(const TreeChild& left,
                                    const TreeChild& right, uint32_t level,
                                    Children& out, bool* merged) {
  Children children;
  uint64_t bytes = 0;
  uint32_t fewest = kTreeNodeChildrenMin;
  for (const TreeChild* child : {&left, &right}) {
    const Offset offset = child->slot.offset();
    TreeNodeView node;
    if (!TreeNodeView::Open(writer_.view(), offset, level, &node)) {
      return DamagedTree(offset, "tree node");
    }
    bytes += CountedBytes(node.bytes(), node.prefix().size());
    fewest = std::min(fewest, node.count());
    Place place;
    place.level = level;
    place.separator = child->separator;
    for (uint32_t i = 0; i < node.count(); ++i) {
      children.push_back(Unchanged(ChildOf(place, node, i)));
    }
    // What an only child has missed so far: a neighbour.
    children.back().is_small |= node.count() == 1;
  }
  EVE_RETURN_IF_ERROR(MergeSmall(children, level - 1));
  // A node of one child must have more, whatever that takes.
  constexpr uint64_t kMergedMax = kTreeNodeBytesMax * 3 / 4;
  if (fewest > 1 && (bytes > kMergedMax ||
                     TreeWriter::NodeBytes(children, level) > kMergedMax)) {
    return absl::OkStatus();
  }
  EVE_RETURN_IF_ERROR(
      writer_.WriteNodes(children, level, TreeWriter::Packing::kEven, out));
  // Two small ones may have had nothing but one child together.
  for (TreeChild& child : out) child.is_small = children.size() == 1;
  for (const TreeChild* child : {&left, &right}) {
    const auto* header = writer_.view().As<BlockHeader>(child->slot.offset());
    writer_.Retire(child->slot.offset(), header->bytes());
  }
  *merged = true;
  return absl::OkStatus();
}

}  // namespace eve
