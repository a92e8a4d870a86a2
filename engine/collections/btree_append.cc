#include "engine/collections/btree_append.h"

#include <algorithm>
#include <cstring>

#include "engine/collections/btree_editor.h"
#include "util/check.h"
#include "util/status_macros.h"

namespace eve {

TreeAppender::TreeAppender(const EditContext& context)
    : context_(context), writer_(context_), plan_(context.align_values) {}

absl::Status TreeAppender::Start(const MapRoot& root) {
  if (root.slot.is_empty()) return absl::OkStatus();
  TreeSlot slot{root.slot.word};
  if (!writer_.view().Contains(slot.offset())) {
    return DamagedTree(slot.offset(), "tree root");
  }
  uint32_t level = writer_.view().As<BlockHeader>(slot.offset())->depth;
  if (level > kTreeLevelsMax) return DamagedTree(slot.offset(), "tree root");
  for (; level > 0; --level) {
    TreeNodeView node;
    if (!TreeNodeView::Open(writer_.view(), slot.offset(), level, &node)) {
      return DamagedTree(slot.offset(), "tree node");
    }
    slot = node.slot(node.count() - 1);
  }
  TreeLeafView leaf;
  if (!TreeLeafView::Open(writer_.view(), slot.offset(), &leaf)) {
    return DamagedTree(slot.offset(), "tree leaf");
  }
  return Take(leaf);
}

absl::Status TreeAppender::Take(const TreeLeafView& leaf) {
  for (uint32_t i = 0; i < leaf.count(); ++i) {
    const TreeRecord record = leaf.Record(i);
    if (record.external && record.value.size() != kTreeExternalBytes) {
      const auto at = static_cast<uint64_t>(leaf.data() - writer_.view().base);
      return DamagedTree(Offset::FromBytes(at), "tree leaf");
    }
    const size_t begin = keys_.size();
    keys_.append(record.key.head.data(), record.key.head.size());
    keys_.append(record.key.tail.data(), record.key.tail.size());
    const Bytes key(keys_.data() + begin, keys_.size() - begin);
    const size_t common = CommonBytes(last_.data(), key.data(),
                                      std::min(last_.size(), key.size()));
    plan_.AddShape({key.size(), record.value.size(), record.external}, common);
    values_.append(record.value.data(), record.value.size());
    filled_.push_back({keys_.size(), values_.size(), record.external});
    last_.assign(key.data(), key.size());
  }
  has_last_ = takes_last_ = true;
  taken_ = leaf.count();
  return absl::OkStatus();
}

bool TreeAppender::IsAbove(Bytes key) const {
  return !has_last_ || CompareBytes(Bytes(last_), key) < 0;
}

absl::Status TreeAppender::Add(Bytes key, Bytes value) {
  uint64_t word;
  TreeRecord record;
  EVE_RETURN_IF_ERROR(writer_.PlaceValue(key, value, &word, &record));
  const size_t common =
      CommonBytes(last_.data(), key.data(), std::min(last_.size(), key.size()));
  EVE_RETURN_IF_ERROR(MakeRoom(
      {key.size(), record.value.size(), record.external}, common, key));
  keys_.append(key.data(), key.size());
  values_.append(record.value.data(), record.value.size());
  filled_.push_back({keys_.size(), values_.size(), record.external});
  last_.assign(key.data(), key.size());
  has_last_ = has_new_ = true;
  unlinked_bytes_ += key.size() + value.size();
  return absl::OkStatus();
}

absl::Status TreeAppender::MakeRoom(const LeafPlan::Shape& shape, size_t common,
                                    Bytes key) {
  LeafPlan next = plan_;
  next.AddShape(shape, common);
  if (!filled_.empty() &&
      (CountedBytes(next.bytes(), next.prefix()) > kTreeLeafBytesMax ||
       filled_.size() == kTreeLeafRecordsMax)) {
    EVE_RETURN_IF_ERROR(WriteFilled());
    next = LeafPlan(context_.align_values);
    next.AddShape(shape, common);
  }
  if (filled_.empty() && has_last_) {
    // The shortest that tells the two leaves apart.
    separators_.append(key.data(), common + 1);
  }
  plan_ = next;
  return absl::OkStatus();
}

absl::Status TreeAppender::WriteFilled() {
  records_.clear();
  size_t key_at = 0;
  size_t value_at = 0;
  for (const Filled& filled : filled_) {
    TreeRecord record;
    record.key.tail = Bytes(keys_.data() + key_at, filled.key_end - key_at);
    record.value =
        Bytes(values_.data() + value_at, filled.value_end - value_at);
    record.external = filled.external;
    records_.push_back(record);
    key_at = filled.key_end;
    value_at = filled.value_end;
  }
  TreeChildren written;
  EVE_RETURN_IF_ERROR(writer_.WriteLeaf(records_, plan_, KeyPieces(), written));
  leaves_.push_back({written.front().slot, separators_.size()});
  keys_.clear();
  values_.clear();
  filled_.clear();
  return absl::OkStatus();
}

absl::Status TreeAppender::Link(MapRoot& root) {
  unlinked_bytes_ = 0;
  if (leaves_.empty()) return absl::OkStatus();
  TreeChildren children;
  children.reserve(leaves_.size());
  uint64_t records = 0;
  size_t separator_at = 0;
  for (const Leaf& leaf : leaves_) {
    TreeChild child;
    child.slot = leaf.slot;
    child.records = leaf.slot.leaf_records();
    child.separator.tail = Bytes(separators_.data() + separator_at,
                                 leaf.separator_end - separator_at);
    children.push_back(child);
    records += child.records;
    separator_at = leaf.separator_end;
  }
  TreeEditor editor(context_);
  EVE_RETURN_IF_ERROR(editor.AppendLeaves(absl::MakeSpan(children), takes_last_,
                                          records - taken_, root));
  takes_last_ = false;
  taken_ = 0;
  leaves_.clear();
  // What is left belongs to the leaf that is being filled.
  separators_.erase(0, separator_at);
  return absl::OkStatus();
}

absl::Status TreeAppender::Finish(MapRoot& root) {
  if (!has_new_) return absl::OkStatus();
  if (!filled_.empty()) EVE_RETURN_IF_ERROR(WriteFilled());
  return Link(root);
}

absl::Status TreeEditor::AppendLeaves(absl::Span<TreeChild> leaves,
                                      bool replace_last, uint64_t added,
                                      MapRoot& root) {
  Children children;
  Place place;
  if (root.slot.is_empty()) {
    children.assign(leaves.begin(), leaves.end());
  } else {
    place.slot = TreeSlot{root.slot.word};
    place.records = root.count;
    place.is_last = true;
    EVE_RETURN_IF_ERROR(LevelOf(place.slot, &place.level));
    EVE_RETURN_IF_ERROR(AppendTo(place, leaves, replace_last, children));
  }
  count_delta_ += static_cast<int64_t>(added);
  return FinishRoot(children, place.level, TreeWriter::Packing::kFull, root);
}

absl::Status TreeEditor::AppendTo(const Place& place,
                                  absl::Span<TreeChild> leaves,
                                  bool replace_last, Children& out) {
  if (place.level == 0) {
    if (replace_last) {
      const BlockHeader* header = writer_.view().Block(
          place.slot.offset(), BlockType::kTreeLeaf, sizeof(TreeLeaf));
      if (header == nullptr) {
        return DamagedTree(place.slot.offset(), "tree leaf");
      }
      writer_.Retire(place.slot.offset(), header->bytes());
      leaves.front().separator = place.separator;
    } else {
      out.push_back(Unchanged(place));
    }
    out.insert(out.end(), leaves.begin(), leaves.end());
    return absl::OkStatus();
  }
  TreeNodeView node;
  if (!TreeNodeView::Open(writer_.view(), place.slot.offset(), place.level,
                          &node)) {
    return DamagedTree(place.slot.offset(), "tree node");
  }
  const uint32_t last = node.count() - 1;
  NodeEdit edit;
  EVE_RETURN_IF_ERROR(
      AppendTo(ChildOf(place, node, last), leaves, replace_last, edit.made));
  edit.replaced.push_back({last, 0, edit.made.size()});
  return FinishNode(place, node, edit, TreeWriter::Packing::kFull, out);
}

}  // namespace eve
