#include "engine/collections/btree_cursor.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "util/cache_line.h"

namespace eve {
namespace {

// What a leaf that nobody has opened yet may take, in lines: never more than
// the memory system has room for.
constexpr uint32_t kLeafLinesMax = 40;
// Those of a leaf's head and keys, which every step reads besides its value.
constexpr uint32_t kLeafHeadLines = 4;
// A node's head and the heads of its separators.
constexpr uint32_t kNodeLines = 8;
// How many leaves a scan asks for before it comes to them: reading one takes
// about as long as two take to arrive.
constexpr uint32_t kLeavesAhead = 2;

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
  ahead_ = 0;
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
  record_bytes_ = leaf_.bytes() / count_ + 1;
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
    // All that the next search may touch, and, as nobody seeks to look at one
    // record only, all of a leaf.
    Prefetch(slot, Edge::kFirst);
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
    Prefetch(slot, edge);
  }
  if (!OpenLeaf(slot)) return false;
  EnterLeaf();
  return true;
}

void TreeCursor::SeekToFirst() {
  Reset();
  if (root_.is_empty() || !DescendToEdge(root_, Edge::kFirst)) return;
  index_ = 0;
  PrefetchAhead(Edge::kFirst, 1);
  Settle();
}

void TreeCursor::SeekToLast() {
  Reset();
  if (root_.is_empty() || !DescendToEdge(root_, Edge::kLast)) return;
  index_ = leaf_.count() - 1;
  PrefetchAhead(Edge::kLast, 1);
  Settle();
}

// A leaf's keys may all be less than the one that led to it: then the first
// key that is not stands in the next leaf.
void TreeCursor::SeekAtLeast(Bytes key) {
  bool equal;
  if (!Descend(key, &equal)) return;
  if (index_ >= count_) return StepToLeaf(Edge::kFirst);
  PrefetchAhead(Edge::kFirst, 1);
  Settle();
}

void TreeCursor::SeekAbove(Bytes key) {
  bool equal;
  if (!Descend(key, &equal)) return;
  if (equal) ++index_;
  if (index_ >= count_) return StepToLeaf(Edge::kFirst);
  PrefetchAhead(Edge::kFirst, 1);
  Settle();
}

void TreeCursor::SeekAtMost(Bytes key) {
  bool equal;
  if (!Descend(key, &equal)) return;
  if (!equal) {
    if (index_ == 0) return StepToLeaf(Edge::kLast);
    --index_;
  }
  PrefetchAhead(Edge::kLast, 1);
  Settle();
}

void TreeCursor::SeekBelow(Bytes key) {
  bool equal;
  if (!Descend(key, &equal)) return;
  if (index_ == 0) return StepToLeaf(Edge::kLast);
  --index_;
  PrefetchAhead(Edge::kLast, 1);
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
      const TreeSlot slot = level.node.slot(level.index);
      const bool was_leaf = level.node.level() == 1;
      if (!was_leaf) Prefetch(slot, side);
      if (!DescendToEdge(slot, side)) return;
      index_ = forward ? 0 : leaf_.count() - 1;
      ahead_ = was_leaf && ahead_ > 0 ? ahead_ - 1 : 0;
      PrefetchAhead(side, kLeavesAhead);
      return Settle();
    }
    --depth_;
  }
  Reset();
}

uint32_t TreeCursor::LinesOfLeaf(TreeSlot slot) const {
  const uint64_t bytes = uint64_t{slot.leaf_records()} * record_bytes_;
  return static_cast<uint32_t>(
      std::min<uint64_t>(bytes / kCacheLineBytes + 2, kLeafLinesMax));
}

// Asks for what `slot` leads to and is needed now; a leaf will be read from its
// `side` on.
void TreeCursor::Prefetch(TreeSlot slot, Edge side) const {
  if (!view_.Contains(slot.offset())) return;
  const char* const block = view_.At(slot.offset());
  if (slot.leaf_records() == 0) return PrefetchLines(block, kNodeLines);
  const uint32_t lines = LinesOfLeaf(slot);
  if (side == Edge::kFirst || lines <= kLeafHeadLines) {
    return PrefetchLines(block, lines);
  }
  PrefetchLines(block, kLeafHeadLines);
  for (uint32_t line = lines; line-- > kLeafHeadLines;) {
    PrefetchLine(block + line * kCacheLineBytes);
  }
}

// The same of what is needed when the present leaf has been read.
void TreeCursor::PrefetchForLater(TreeSlot slot) const {
  if (!view_.Contains(slot.offset())) return;
  PrefetchLinesForLater(view_.At(slot.offset()), slot.leaf_records() == 0
                                                     ? kNodeLines
                                                     : LinesOfLeaf(slot));
}

// Asks for up to `leaves` leaves of this node that come next when one goes on
// from a leaf's `side`, or for the next node. What was asked for before counts.
void TreeCursor::PrefetchAhead(Edge side, uint32_t leaves) {
  if (depth_ == 0) return;
  const bool forward = side == Edge::kFirst;
  if (StopsInLeaf(forward)) return;
  const Level& level = path_[depth_ - 1];
  while (ahead_ < leaves) {
    ++ahead_;
    const uint32_t left =
        forward ? level.node.count() - 1 - level.index : level.index;
    if (ahead_ > left) {
      if (ahead_ == left + 1) PrefetchNextNode(forward);
      continue;
    }
    PrefetchForLater(
        level.node.slot(forward ? level.index + ahead_ : level.index - ahead_));
  }
}

void TreeCursor::PrefetchNextNode(bool forward) const {
  if (depth_ < 2) return;
  const Level& above = path_[depth_ - 2];
  if (forward ? above.index + 1 >= above.node.count() : above.index == 0) {
    return;
  }
  PrefetchForLater(
      above.node.slot(forward ? above.index + 1 : above.index - 1));
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
