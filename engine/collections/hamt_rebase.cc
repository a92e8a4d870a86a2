#include <cstring>

#include "engine/collections/hamt_descend.h"
#include "engine/collections/rebase.h"
#include "util/prefetch.h"

namespace eve {
namespace {

// The same place of three tries.
struct Three {
  NodeSlot base;
  NodeSlot newest;
  NodeSlot ours;

  bool AreNodes() const {
    return base.kind() == SlotKind::kNode && newest.kind() == SlotKind::kNode &&
           ours.kind() == SlotKind::kNode;
  }
};

const TrieNode* OpenNode(const BlockView& view, NodeSlot slot, uint32_t depth) {
  const BlockHeader* header =
      view.Block(slot.offset(), BlockType::kTrieNode, sizeof(TrieNode));
  return header == nullptr || header->depth != depth
             ? nullptr
             : view.As<TrieNode>(slot.offset());
}

// A leaf that covers several slots changes in all of them, and so does an empty
// range that a leaf comes to cover: to compare word by word is to compare whole
// ranges.
bool Rebase(AmendableStore& store, const Three& at, uint32_t depth) {
  const BlockView& view = store.view();
  // Another processor has just written it.
  PrefetchLines(view.At(at.newest.offset()), kNodeLines);
  const TrieNode* const base = OpenNode(view, at.base, depth);
  const TrieNode* const newest = OpenNode(view, at.newest, depth);
  const TrieNode* const ours = OpenNode(view, at.ours, depth);
  if (base == nullptr || newest == nullptr || ours == nullptr) return false;
  NodeSlot slots[kTrieFanout];
  bool is_empty = true;
  for (uint32_t i = 0; i < kTrieFanout; ++i) {
    const Three child{base->slots[i], newest->slots[i], ours->slots[i]};
    slots[i] = child.ours == child.base ? child.newest : child.ours;
    is_empty = is_empty && slots[i].is_empty();
    if (child.ours == child.base || child.newest == child.base) continue;
    if (!child.AreNodes() || !Rebase(store, child, depth + 1)) return false;
  }
  // Each has erased what the other has left of it.
  if (is_empty) return false;
  char* const bytes = store.Amend(at.ours.offset());
  if (bytes == nullptr) return false;
  std::memcpy(bytes + offsetof(TrieNode, slots), slots, sizeof(slots));
  store.Amended(at.ours.offset());
  // The winner has retired the one, and this takes the place of the other.
  store.Unretire(at.base.offset(), sizeof(TrieNode));
  store.Retire(at.newest.offset(), sizeof(TrieNode));
  return true;
}

}  // namespace

bool HamtRebase(AmendableStore& store, NodeSlot base, NodeSlot newest,
                NodeSlot ours) {
  const Three root{base, newest, ours};
  return root.AreNodes() && Rebase(store, root, 0);
}

}  // namespace eve
