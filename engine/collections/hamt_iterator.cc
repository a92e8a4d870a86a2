#include "engine/collections/hamt_iterator.h"

#include "engine/collections/hamt_descend.h"

namespace eve {
namespace {

// How many leaves ahead are asked for: one takes longer to come than to read.
constexpr int kSlotsAhead = 4;

// The first slot from `index` on that holds another word than the one before.
uint32_t SkipSame(const TrieNode* node, uint32_t index) {
  const NodeSlot word = node->slots[index];
  do {
    ++index;
  } while (index < kTrieFanout && node->slots[index] == word);
  return index;
}

}  // namespace

HamtIterator::HamtIterator(const BlockView& view, NodeSlot root) : view_(view) {
  if (!Enter(root) && !damaged_) Advance();
}

void HamtIterator::Damaged() {
  valid_ = false;
  damaged_ = true;
}

void HamtIterator::Next() {
  if (++index_ < count_) {
    LoadRecord();
  } else {
    Advance();
  }
}

void HamtIterator::Advance() {
  valid_ = false;
  while (depth_ > 0 && !damaged_) {
    Level& level = path_[depth_ - 1];
    if (level.next == kTrieFanout) {
      --depth_;
      continue;
    }
    const NodeSlot slot = level.node->slots[level.next];
    level.next = SkipSame(level.node, level.next);
    PrefetchAhead(level);
    if (Enter(slot)) return;
  }
}

void HamtIterator::PrefetchAhead(const Level& level) const {
  uint32_t index = level.next;
  for (int i = 1; i < kSlotsAhead && index < kTrieFanout; ++i) {
    index = SkipSame(level.node, index);
  }
  if (index == kTrieFanout) return;
  const NodeSlot slot = level.node->slots[index];
  if (slot.kind() == SlotKind::kNode) {
    PrefetchLines(view_.At(slot.offset()), kNodeLines);
  } else {
    PrefetchSlot(view_, slot);
  }
}

// What the next node down must say. A damaged slot that leads to another node
// of the trie is found out here: the walk ends, and sees nothing twice.
uint64_t HamtIterator::PrefixBelow() const {
  if (depth_ == 0) return 0;
  const Level& level = path_[depth_ - 1];
  const uint64_t index = level.next - 1;  // a node has one slot
  return level.node->prefix | index << (64 - depth_ * kTrieBits);
}

bool HamtIterator::EnterNode(NodeSlot slot) {
  const BlockHeader* header =
      view_.Block(slot.offset(), BlockType::kTrieNode, sizeof(TrieNode));
  if (header == nullptr || depth_ == kTrieDepthMax || header->depth != depth_ ||
      view_.As<TrieNode>(slot.offset())->prefix != PrefixBelow()) {
    Damaged();
    return false;
  }
  path_[depth_++] = Level{view_.As<TrieNode>(slot.offset()), 0};
  Level first = path_[depth_ - 1];
  for (int i = 0; i < kSlotsAhead && first.next < kTrieFanout; ++i) {
    PrefetchSlot(view_, first.node->slots[first.next]);
    first.next = SkipSame(first.node, first.next);
  }
  return false;
}

bool HamtIterator::Enter(NodeSlot slot) {
  switch (slot.kind()) {
    case SlotKind::kEmpty:
      if (!slot.is_empty()) Damaged();
      return false;
    case SlotKind::kNode:
      return EnterNode(slot);
    case SlotKind::kLeaf:
      in_collisions_ = false;
      if (!LeafView::Open(view_, slot.offset(), &leaf_)) {
        Damaged();
        return false;
      }
      count_ = leaf_.count();
      break;
    case SlotKind::kCollisionLeaf:
      in_collisions_ = true;
      if (!CollisionView::Open(view_, slot.offset(), &collisions_)) {
        Damaged();
        return false;
      }
      count_ = static_cast<uint32_t>(collisions_.entries.size());
      break;
  }
  index_ = 0;
  if (count_ == 0) return false;
  LoadRecord();
  return valid_;
}

void HamtIterator::LoadRecord() {
  if (in_collisions_) {
    LoadExternal(collisions_.entries[index_].offset());
    return;
  }
  StoredRecord record;
  if (!leaf_.Record(index_, &record)) {
    Damaged();
  } else if (record.external()) {
    LoadExternal(record.AsExternal().offset());
  } else {
    key_ = record.key();
    value_ = record.value();
    valid_ = true;
  }
}

void HamtIterator::LoadExternal(Offset offset) {
  LargeRecord record;
  if (!OpenLargeRecord(view_, offset, &record)) {
    Damaged();
    return;
  }
  key_ = record.key;
  value_ = record.value;
  valid_ = true;
}

}  // namespace eve
