#include "engine/collections/hamt_editor.h"

#include <algorithm>
#include <cstring>

#include "engine/collections/hamt_descend.h"
#include "util/check.h"
#include "util/status_macros.h"

namespace eve {

absl::Status NodeEditor::Open(NodeSlot slot, uint32_t depth) {
  offset_ = slot.offset();
  // It will be copied when the edit below is done: its five lines come while
  // the walk goes on.
  PrefetchLines(writer_.view().At(offset_), kNodeLines);
  const BlockHeader* header =
      writer_.view().Block(offset_, BlockType::kTrieNode, sizeof(TrieNode));
  if (header == nullptr || header->depth != depth) {
    return DamagedBlock(offset_, "trie node");
  }
  node_ = writer_.view().As<TrieNode>(offset_);
  return absl::OkStatus();
}

absl::Status NodeEditor::MakeWritable() {
  char* bytes = writer_.Edit(offset_);
  if (bytes == nullptr) {
    NewBlock block;
    EVE_RETURN_IF_ERROR(writer_.NewBlockOf(BlockType::kTrieNode,
                                           node_->header.depth, 0,
                                           sizeof(TrieNode), &block));
    std::memcpy(block.data + sizeof(BlockHeader), &node_->prefix,
                sizeof(TrieNode) - sizeof(BlockHeader));
    Retire();
    offset_ = block.offset;
    bytes = block.data;
  }
  writable_ = static_cast<TrieNode*>(static_cast<void*>(bytes));
  node_ = writable_;
  return absl::OkStatus();
}

absl::Status NodeEditor::Set(SlotRange range, const NodeSlot* values) {
  if (writable_ == nullptr) EVE_RETURN_IF_ERROR(MakeWritable());
  std::copy_n(values, range.size, writable_->slots + range.first);
  return absl::OkStatus();
}

absl::Status NodeEditor::Fill(SlotRange range, NodeSlot value) {
  if (writable_ == nullptr) EVE_RETURN_IF_ERROR(MakeWritable());
  FillRange(writable_->slots, range, value);
  return absl::OkStatus();
}

void TrieEditor::WarmFrom(size_t k) {
  if (k < warmed_ || order_.size() == 1) return;
  const size_t count =
      std::min<size_t>(order_.size() - k, size_t{kMultiFindWidth});
  uint64_t hashes[kMultiFindWidth] = {};
  NodeSlot slots[kMultiFindWidth];
  for (size_t i = 0; i < count; ++i) {
    const MapOp& op = OpAt(k + i);
    PrefetchLine(op.key.data());
    PrefetchLine(op.value.data());
    hashes[i] = order_[k + i].hash;
  }
  DescendInStep(writer_.view(), root_, hashes, count, 63, slots);
  warmed_ = k + count;
}

absl::Status TrieEditor::Run(NodeSlot* root) {
  const OpRange all{0, order_.size()};
  if (root_.kind() == SlotKind::kNode) {
    NodeSlot slot = root_;
    EVE_RETURN_IF_ERROR(ApplyToNode(0, all, &slot));
    *root = slot;
    return absl::OkStatus();
  }
  NodeSlot slots[1] = {root_};
  Change change = Change::kNone;
  EVE_RETURN_IF_ERROR(ApplyToLeaf(Region{}, root_, all, slots, &change));
  if (change != Change::kNone) *root = slots[0];
  return absl::OkStatus();
}

absl::Status TrieEditor::ApplyToNode(uint32_t depth, OpRange range,
                                     NodeSlot* slot) {
  NodeEditor node(writer_);
  EVE_RETURN_IF_ERROR(node.Open(*slot, depth));
  path_[depth] = &node;
  bool shrunk = false;
  bool above_leaves = false;
  OpRange part{range.begin, range.begin};
  for (; part.begin < range.end; part.begin = part.end) {
    const uint32_t index = TrieSlotIndex(order_[part.begin].hash, depth);
    const NodeSlot old = node.slots()[index];
    const bool is_node = old.kind() == SlotKind::kNode;
    const SlotRange slots =
        is_node ? SlotRange{index, 1} : RangeOf(node.slots(), index);
    do {
      ++part.end;
    } while (part.end < range.end &&
             TrieSlotIndex(order_[part.end].hash, depth) < slots.end());
    // Also refuses a node below the last level.
    if (slots.size < TrieRangeMin(depth)) {
      return DamagedBlock(node.slot().offset(), "trie node");
    }
    if (is_node) {
      if (part.begin == range.begin) AskForNodesBeside(node, depth);
      NodeSlot child = old;
      EVE_RETURN_IF_ERROR(ApplyToNode(depth + 1, part, &child));
      if (child == old) continue;
      EVE_RETURN_IF_ERROR(node.Fill(slots, child));
      if (child.kind() == SlotKind::kNode) continue;
    } else {
      if (!above_leaves) AskForBeside(node);
      above_leaves = true;
      NodeSlot staged[kTrieFanout];
      Change change = Change::kNone;
      EVE_RETURN_IF_ERROR(ApplyToLeaf(Region{static_cast<int>(depth), slots},
                                      old, part, staged, &change));
      if (change == Change::kNone) continue;
      EVE_RETURN_IF_ERROR(node.Set(slots, staged + slots.first));
      if (change != Change::kShrunk) continue;
    }
    shrunk = true;
    EVE_RETURN_IF_ERROR(MergeBuddies(node, depth, slots.first));
  }
  EVE_RETURN_IF_ERROR(above_leaves ? MoveBeside(node)
                                   : MoveNodesBeside(node, depth));
  if (shrunk) return Collapse(node, depth, slot);
  *slot = node.slot();
  return absl::OkStatus();
}

absl::Status TrieEditor::ApplyToLeaf(const Region& region, NodeSlot old,
                                     OpRange range, NodeSlot* slots,
                                     Change* change) {
  PrefetchSlot(writer_.view(), old);
  if (order_.size() == 1 && OpAt(0).kind == MapOpKind::kPut) {
    // It changes the leaf in any case. The nodes are copied while that comes
    // from memory.
    for (int depth = region.depth; depth >= 0; --depth) {
      EVE_RETURN_IF_ERROR(path_[depth]->Copy());
    }
  }
  WarmFrom(range.begin);
  if (old.kind() == SlotKind::kCollisionLeaf) {
    return ApplyToCollisions(region, old, range, slots, change);
  }
  if (range.end - range.begin == 1 && old.kind() == SlotKind::kLeaf) {
    return ApplyOne(region, old, range.begin, slots, change);
  }
  return ApplyMany(region, old, range, slots, change);
}

absl::Status TrieEditor::ApplyToEntries(size_t k, uint64_t hash,
                                        std::vector<CollisionEntry>& entries,
                                        bool* changed) {
  MapOp& op = OpAt(k);
  if (op.hash != hash) {
    return absl::DataLossError("a collision leaf of another hash");
  }
  const uint16_t tag = writer_.hasher().CollisionTag(op.key);
  size_t index = entries.size();
  Bytes value;
  const FindOutcome outcome =
      FindInCollisions(writer_.view(), entries, tag, op.key, &index, &value);
  if (outcome == FindOutcome::kDamaged) {
    return absl::DataLossError("a damaged record of a collision leaf");
  }
  op.existed = outcome == FindOutcome::kFound;
  if (op.kind == MapOpKind::kErase
          ? !op.existed
          : op.kind == MapOpKind::kInsert && op.existed) {
    return absl::OkStatus();
  }
  *changed = true;
  const Offset replaced = op.existed ? entries[index].offset() : kNullOffset;
  if (op.kind == MapOpKind::kErase) {
    entries[index] = entries.back();
    entries.pop_back();
    --count_change_;
  } else {
    Offset offset;
    EVE_RETURN_IF_ERROR(
        writer_.WriteRecord(op.hash, op.key, op.value, &offset));
    if (!op.existed) {
      entries.emplace_back();
      ++count_change_;
    }
    entries[index] = CollisionEntry::Make(offset, tag);
  }
  return replaced.is_null() ? absl::OkStatus() : writer_.RetireRecord(replaced);
}

absl::Status TrieEditor::ApplyToCollisions(const Region& region, NodeSlot old,
                                           OpRange range, NodeSlot* slots,
                                           Change* change) {
  CollisionView view;
  if (!CollisionView::Open(writer_.view(), old.offset(), &view)) {
    return DamagedBlock(old.offset(), "collision leaf");
  }
  const uint64_t hash = view.leaf->hash;
  const uint64_t old_bytes = view.leaf->header.bytes();
  std::vector<CollisionEntry> entries(view.entries.begin(), view.entries.end());
  bool changed = false;
  for (size_t k = range.begin; k < range.end; ++k) {
    EVE_RETURN_IF_ERROR(ApplyToEntries(k, hash, entries, &changed));
  }
  if (!changed) return absl::OkStatus();
  *change =
      entries.size() < view.entries.size() ? Change::kShrunk : Change::kGrown;
  constexpr uint64_t kEach = kLeafBytesPerRecord + sizeof(ExternalRecord);
  if (sizeof(BlockHeader) + entries.size() * kEach > kLeafMergeBytes) {
    NodeSlot slot;
    EVE_RETURN_IF_ERROR(writer_.WriteCollisionLeaf(hash, entries, &slot));
    FillRange(slots, region.range, slot);
  } else {
    // Few enough for a leaf.
    records_.clear();
    for (CollisionEntry entry : entries) {
      PendingRecord record;
      record.hash = hash;
      record.external = entry.offset();
      records_.push_back(record);
    }
    EVE_RETURN_IF_ERROR(
        writer_.BuildRange(absl::MakeSpan(records_), region, slots));
  }
  writer_.Retire(old.offset(), old_bytes);
  return absl::OkStatus();
}

}  // namespace eve
