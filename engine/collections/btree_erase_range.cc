// The part of TreeEditor that removes ranges of keys, and the retiring of what
// they leave.
#include <algorithm>

#include "engine/collections/btree_editor.h"
#include "util/status_macros.h"

namespace eve {

absl::Status TreeEraseRange(const EditContext& context, const KeyRange& range,
                            MapRoot& root, uint64_t* erased,
                            std::vector<NodeSlot>& buried) {
  *erased = 0;
  const bool is_empty =
      range.to.has_value() && CompareBytes(range.from, *range.to) >= 0;
  if (root.slot.is_empty() || is_empty) return absl::OkStatus();
  return TreeEditor(context).EraseRange(range, root, erased, buried);
}

absl::Status TreeEditor::EraseRange(const KeyRange& range, MapRoot& root,
                                    uint64_t* erased,
                                    std::vector<NodeSlot>& buried) {
  Place place;
  place.slot = TreeSlot{root.slot.word};
  place.records = root.count;
  place.is_last = true;
  EVE_RETURN_IF_ERROR(LevelOf(place.slot, &place.level));
  Children children;
  std::vector<NodeSlot> dropped;
  EVE_RETURN_IF_ERROR(
      EraseIn(place, range, /*from_set=*/true, children, dropped));
  EVE_RETURN_IF_ERROR(
      FinishRoot(children, place.level, TreeWriter::Packing::kEven, root));
  *erased = static_cast<uint64_t>(-count_delta_);
  buried.insert(buried.end(), dropped.begin(), dropped.end());
  return absl::OkStatus();
}

// Without `from_set` the range begins before this subtree.
absl::Status TreeEditor::EraseIn(const Place& place, const KeyRange& range,
                                 bool from_set, Children& out,
                                 std::vector<NodeSlot>& buried) {
  if (!from_set && !range.to.has_value()) {
    buried.push_back(NodeSlot{place.slot.word});
    count_delta_ -= static_cast<int64_t>(place.records);
    return absl::OkStatus();
  }
  return place.level == 0 ? EraseInLeaf(place, range, from_set, out)
                          : EraseInNode(place, range, from_set, out, buried);
}

absl::Status TreeEditor::EraseInLeaf(const Place& place, const KeyRange& range,
                                     bool from_set, Children& out) {
  TreeLeafView leaf;
  if (!TreeLeafView::Open(writer_.view(), place.slot.offset(), &leaf)) {
    return DamagedTree(place.slot.offset(), "tree leaf");
  }
  bool equal;
  const uint32_t begin = from_set ? leaf.LowerBound(range.from, &equal) : 0;
  const uint32_t end =
      range.to.has_value() ? leaf.LowerBound(*range.to, &equal) : leaf.count();
  if (begin >= end) {
    out.push_back(Unchanged(place));
    return absl::OkStatus();
  }
  records_.clear();
  for (uint32_t i = 0; i < leaf.count(); ++i) {
    const TreeRecord record = leaf.Record(i);
    if (i < begin || i >= end) {
      records_.push_back(record);
    } else if (record.external) {
      EVE_RETURN_IF_ERROR(writer_.RetireExternal(leaf, record.value));
    }
  }
  count_delta_ -= end - begin;
  return RewriteLeaf(place, leaf, TreeWriter::Packing::kEven, out);
}

absl::Status TreeEditor::EraseInNode(const Place& place, const KeyRange& range,
                                     bool from_set, Children& out,
                                     std::vector<NodeSlot>& buried) {
  TreeNodeView node;
  if (!TreeNodeView::Open(writer_.view(), place.slot.offset(), place.level,
                          &node)) {
    return DamagedTree(place.slot.offset(), "tree node");
  }
  // Those at the two ends may keep some of their keys; what lies between them
  // goes as it is.
  const uint32_t first = from_set ? node.ChildFor(range.from) : 0;
  const uint32_t last =
      range.to.has_value() ? node.ChildFor(*range.to) : node.count() - 1;
  NodeEdit edit;
  for (uint32_t child = first; child <= last; ++child) {
    const bool is_end = child == first || child == last;
    const size_t begin = edit.made.size();
    if (is_end) {
      KeyRange inside{range.from, std::nullopt};
      if (child == last) inside.to = range.to;
      EVE_RETURN_IF_ERROR(EraseIn(ChildOf(place, node, child), inside,
                                  from_set && child == first, edit.made,
                                  buried));
    }
    edit.replaced.push_back({child, begin, edit.made.size()});
  }
  if (last > first + 1) {
    EVE_RETURN_IF_ERROR(Bury(place, node, first + 1, last, buried));
  }
  return FinishNode(place, node, edit, TreeWriter::Packing::kEven, out);
}

// One root for all of `node`'s children in [first, end).
absl::Status TreeEditor::Bury(const Place& place, const TreeNodeView& node,
                              uint32_t first, uint32_t end,
                              std::vector<NodeSlot>& buried) {
  Children children;
  for (uint32_t i = first; i < end; ++i) {
    children.push_back(Unchanged(ChildOf(place, node, i)));
    count_delta_ -= static_cast<int64_t>(children.back().records);
  }
  if (children.size() > 1) {
    Children above;
    EVE_RETURN_IF_ERROR(writer_.WriteNodes(children, place.level,
                                           TreeWriter::Packing::kFull, above));
    children = std::move(above);
  }
  for (const TreeChild& child : children) {
    buried.push_back(NodeSlot{child.slot.word});
  }
  return absl::OkStatus();
}

namespace {

class TreeRetirer {
 public:
  TreeRetirer(const EditContext& context, uint64_t budget)
      : writer_(context), budget_(budget) {}

  // Retires what `slot` leads to, in the order of the keys, until the budget is
  // spent; what is left goes back into `slot`.
  absl::Status Retire(uint32_t level, TreeSlot* slot) {
    return level == 0 ? RetireLeaf(slot) : RetireNode(level, slot);
  }

 private:
  void Spend() {
    if (budget_ > 0) --budget_;
  }

  absl::Status RetireLeaf(TreeSlot* slot) {
    TreeLeafView leaf;
    if (!TreeLeafView::Open(writer_.view(), slot->offset(), &leaf)) {
      return DamagedTree(slot->offset(), "tree leaf");
    }
    for (uint32_t i = 0; i < leaf.count(); ++i) {
      bool external;
      const Bytes stored = leaf.Stored(i, &external);
      if (!external) continue;
      Spend();
      EVE_RETURN_IF_ERROR(writer_.RetireExternal(leaf, stored));
    }
    Spend();
    writer_.Retire(slot->offset(), leaf.bytes());
    *slot = TreeSlot{};
    return absl::OkStatus();
  }

  absl::Status RetireNode(uint32_t level, TreeSlot* slot) {
    TreeNodeView node;
    if (!TreeNodeView::Open(writer_.view(), slot->offset(), level, &node)) {
      return DamagedTree(slot->offset(), "tree node");
    }
    uint32_t done = 0;
    TreeSlot rest;
    while (done < node.count() && budget_ > 0) {
      rest = node.slot(done);
      EVE_RETURN_IF_ERROR(Retire(level - 1, &rest));
      if (!rest.is_empty()) break;
      ++done;
    }
    const Offset offset = slot->offset();
    *slot = TreeSlot{};
    if (done < node.count()) {
      EVE_RETURN_IF_ERROR(KeepRest(node, done, rest, slot));
    }
    writer_.Retire(offset, node.bytes());
    Spend();
    return absl::OkStatus();
  }

  // A node of what is left from child `first` on; that one may have shrunk.
  // Nobody counts records here any more.
  absl::Status KeepRest(const TreeNodeView& node, uint32_t first, TreeSlot rest,
                        TreeSlot* slot) {
    TreeChildren children;
    for (uint32_t i = first; i < node.count(); ++i) {
      TreeChild child;
      child.slot = i == first && !rest.is_empty() ? rest : node.slot(i);
      child.records = node.RecordsBelow(i);
      if (i > 0) {
        child.separator = KeyPieces{node.prefix(), node.Separator(i - 1)};
      }
      children.push_back(child);
    }
    TreeChildren out;
    EVE_RETURN_IF_ERROR(writer_.WriteNode(children, node.level(), out));
    *slot = out.front().slot;
    return absl::OkStatus();
  }

  TreeWriter writer_;
  uint64_t budget_;
};

}  // namespace

absl::Status TreeRetireSome(const EditContext& context, uint64_t budget,
                            NodeSlot& root, bool* done) {
  const BlockView& view = context.store->view();
  TreeSlot slot{root.word};
  if (!slot.is_empty()) {
    if (!view.Contains(slot.offset())) {
      return DamagedTree(slot.offset(), "tree root");
    }
    const uint32_t level = view.As<BlockHeader>(slot.offset())->depth;
    if (level > kTreeLevelsMax) return DamagedTree(slot.offset(), "tree root");
    // A budget of nothing would never end.
    TreeRetirer retirer(context, budget == 0 ? 1 : budget);
    EVE_RETURN_IF_ERROR(retirer.Retire(level, &slot));
  }
  root = NodeSlot{slot.word};
  *done = slot.is_empty();
  return absl::OkStatus();
}

}  // namespace eve
