#include "engine/collections/btree_cursor.h"

#include <cstring>
#include <utility>

namespace eve {
namespace {

// Of the next leaf while this one is read: all of it, at an odd place.
constexpr uint32_t kAheadLines = 33;

}  // namespace

TreeCursor::TreeCursor(const BlockView& view, NodeSlot root)
    : view_(view), root_{root.word} {}

void TreeCursor::SetTree(const BlockView& view, NodeSlot root) {
  Reset();
  damaged_ = false;
  view_ = view;
  root_ = TreeSlot{root.word};
}

void TreeCursor::StopAt(Bytes stop, bool forward) {
  Reset();
  has_stop_ = true;
  stops_forward_ = forward;
  stop_ = stop;
}

void TreeCursor::Reset() {
  depth_ = 0;
  first_ = count_ = index_ = 0;
}

void TreeCursor::Damaged() {
  Reset();
  damaged_ = true;
}

bool TreeCursor::EnterNode(TreeSlot slot, Level& level) {
  const uint32_t expected = depth_ == 0 ? TreeNodeView::kAnyLevel
                                        : path_[depth_ - 1].node.level() - 1;
  if (depth_ == kTreeLevelsMax ||
      !TreeNodeView::Open(view_, slot.offset(), expected, &level.node)) {
    Damaged();
    return false;
  }
  ++depth_;
  return true;
}

bool TreeCursor::OpenLeaf(TreeSlot slot) {
  if (TreeLeafView::Open(view_, slot.offset(), &leaf_)) return true;
  Damaged();
  return false;
}

void TreeCursor::EnterLeaf() {
  first_ = 0;
  count_ = leaf_.count();
  if (has_stop_) FindStopInLeaf();
  has_plain_values_ = leaf_.has_uniform_values() && !leaf_.all_external();
  const Bytes prefix = leaf_.prefix();
  // Reading a word at the last key must not leave the block.
  copies_words_ = !prefix.empty() && leaf_.has_uniform_keys() &&
                  leaf_.key_bytes() <= 8 && leaf_.value_area_bytes() >= 8;
  if (prefix.empty()) return;
  MakeKeyRoom(prefix.size() + 8);
  key_size_ = prefix.size() + leaf_.key_bytes();
  std::memcpy(key_buffer_, prefix.data(), prefix.size());
}

void TreeCursor::FindStopInLeaf() {
  bool equal;
  const uint32_t stop = leaf_.LowerBound(stop_, &equal);
  (stops_forward_ ? count_ : first_) = stop;
}

// For `bytes` of a key in this leaf, and with what the buffer holds.
void TreeCursor::MakeKeyRoom(size_t bytes) {
  const size_t prefix = leaf_.prefix().size();
  if (bytes > key_room_) {
    key_room_ = 2 * bytes;
    auto room = std::make_unique_for_overwrite<char[]>(key_room_);
    std::memcpy(room.get(), leaf_.prefix().data(), prefix);
    long_keys_ = std::move(room);
    key_buffer_ = long_keys_.get();
  }
  suffix_ = key_buffer_ + prefix;
}

// What a slot leads to: nodes, or the leaf that ends the path.
bool TreeCursor::LeadsToNode(TreeSlot slot) const {
  if (depth_ > 0) return path_[depth_ - 1].node.level() > 1;
  return view_.Contains(slot.offset()) &&
         view_.As<BlockHeader>(slot.offset())->type ==
             static_cast<uint8_t>(BlockType::kTreeNode);
}

bool TreeCursor::Descend(Bytes key, bool* equal) {
  Reset();
  if (root_.is_empty()) return false;
  TreeSlot slot = root_;
  while (LeadsToNode(slot)) {
    Level& level = path_[depth_];
    if (!EnterNode(slot, level)) return false;
    level.index = level.node.ChildFor(key);
    slot = level.node.slot(level.index);
  }
  if (!OpenLeaf(slot)) return false;
  // Before the buffer gets this leaf's prefix: `key` may lie in there.
  index_ = leaf_.LowerBound(key, equal);
  EnterLeaf();
  return true;
}

bool TreeCursor::DescendToEdge(TreeSlot slot, Edge edge) {
  while (LeadsToNode(slot)) {
    Level& level = path_[depth_];
    if (!EnterNode(slot, level)) return false;
    level.index = edge == Edge::kFirst ? 0 : level.node.count() - 1;
    slot = level.node.slot(level.index);
  }
  if (!OpenLeaf(slot)) return false;
  EnterLeaf();
  return true;
}

void TreeCursor::SeekToFirst() {
  Reset();
  if (root_.is_empty() || !DescendToEdge(root_, Edge::kFirst)) return;
  index_ = 0;
  PrefetchSibling(Edge::kLast);
  Settle();
}

void TreeCursor::SeekToLast() {
  Reset();
  if (root_.is_empty() || !DescendToEdge(root_, Edge::kLast)) return;
  index_ = leaf_.count() - 1;
  PrefetchSibling(Edge::kFirst);
  Settle();
}

// A leaf's keys may all be less than the one that led to it: then the first
// key that is not stands in the next leaf.
void TreeCursor::SeekAtLeast(Bytes key) {
  bool equal;
  if (!Descend(key, &equal)) return;
  if (index_ >= count_) return StepToLeaf(Edge::kFirst);
  PrefetchSibling(Edge::kLast);
  Settle();
}

void TreeCursor::SeekAbove(Bytes key) {
  bool equal;
  if (!Descend(key, &equal)) return;
  if (equal) ++index_;
  if (index_ >= count_) return StepToLeaf(Edge::kFirst);
  Settle();
}

void TreeCursor::SeekAtMost(Bytes key) {
  bool equal;
  if (!Descend(key, &equal)) return;
  if (!equal) {
    if (index_ == 0) return StepToLeaf(Edge::kLast);
    --index_;
  }
  Settle();
}

void TreeCursor::SeekBelow(Bytes key) {
  bool equal;
  if (!Descend(key, &equal)) return;
  if (index_ == 0) return StepToLeaf(Edge::kLast);
  --index_;
  Settle();
}

void TreeCursor::SeekToRank(uint64_t rank) {
  Reset();
  if (root_.is_empty()) return;
  TreeSlot slot = root_;
  while (LeadsToNode(slot)) {
    Level& level = path_[depth_];
    if (!EnterNode(slot, level)) return;
    uint32_t child = 0;
    while (child + 1 < level.node.count() &&
           rank >= level.node.RecordsBelow(child)) {
      rank -= level.node.RecordsBelow(child++);
    }
    level.index = child;
    slot = level.node.slot(child);
  }
  if (!OpenLeaf(slot)) return;
  EnterLeaf();
  if (rank >= leaf_.count()) return Reset();
  index_ = static_cast<uint32_t>(rank);
  Settle();
}

// To the neighbouring leaf; `side` is where one stands in it: its first record
// when going forward, its last when going back.
void TreeCursor::StepToLeaf(Edge side) {
  const bool forward = side == Edge::kFirst;
  if (StopsInLeaf(forward)) return Reset();
  while (depth_ > 0) {
    Level& level = path_[depth_ - 1];
    const bool at_edge =
        forward ? level.index + 1 >= level.node.count() : level.index == 0;
    if (!at_edge) {
      level.index += forward ? 1 : -1;
      if (!DescendToEdge(level.node.slot(level.index), side)) return;
      index_ = forward ? 0 : leaf_.count() - 1;
      PrefetchSibling(forward ? Edge::kLast : Edge::kFirst);
      return Settle();
    }
    --depth_;
  }
  Reset();
}

// Asks for the leaf next to this one on `side`, if both hang in one node.
void TreeCursor::PrefetchSibling(Edge side) const {
  if (depth_ == 0) return;
  const Level& level = path_[depth_ - 1];
  const bool forward = side == Edge::kLast;
  if (StopsInLeaf(forward)) return;
  if (forward ? level.index + 1 >= level.node.count() : level.index == 0) {
    return;
  }
  const TreeSlot slot = level.node.slot(level.index + (forward ? 1 : -1));
  if (!view_.Contains(slot.offset())) return;
  PrefetchLines(view_.At(slot.offset()), kAheadLines);
}

Bytes TreeCursor::AssembleKey() {
  const Bytes suffix = leaf_.Suffix(index_);
  const size_t prefix = leaf_.prefix().size();
  if (prefix == 0) return suffix;
  MakeKeyRoom(prefix + suffix.size());
  if (!suffix.empty()) std::memcpy(suffix_, suffix.data(), suffix.size());
  return Bytes(key_buffer_, prefix + suffix.size());
}

Bytes TreeCursor::LoadValue() {
  Bytes value;
  if (!leaf_.Value(view_, index_, &value)) damaged_ = true;
  return value;
}

}  // namespace eve
