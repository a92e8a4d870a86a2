#include <algorithm>
#include <cstring>

#include "engine/collections/hamt_descend.h"
#include "engine/collections/hamt_writer.h"
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

// The slots that belong together with slot `index`: the leaf or the empty range
// there, on whichever side it is largest. An erased neighbour leaves its range
// to a leaf that stays as it is, so a leaf may spread without its own slots
// changing.
SlotRange GroupOf(const TrieNode& base, const TrieNode& newest,
                  const TrieNode& ours, uint32_t index) {
  SlotRange group = RangeOf(base.slots, index);
  for (const TrieNode* node : {&newest, &ours}) {
    const SlotRange range = RangeOf(node->slots, index);
    // Aligned powers of two: the larger contains the other.
    if (range.size > group.size) group = range;
  }
  return group;
}

bool IsSame(const TrieNode& a, const TrieNode& b, SlotRange range) {
  return std::equal(a.slots + range.first, a.slots + range.end(),
                    b.slots + range.first);
}

bool Rebase(AmendableStore& store, const Three& at, uint32_t depth) {
  const BlockView& view = store.view();
  // Another processor has just written it.
  PrefetchLines(view.At(at.newest.offset()), kNodeLines);
  const TrieNode* const base = OpenNode(view, at.base, depth);
  const TrieNode* const newest = OpenNode(view, at.newest, depth);
  const TrieNode* const ours = OpenNode(view, at.ours, depth);
  if (base == nullptr || newest == nullptr || ours == nullptr) return false;
  NodeSlot slots[kTrieFanout];
  std::copy_n(ours->slots, kTrieFanout, slots);
  for (uint32_t i = 0; i < kTrieFanout;) {
    const Three child{base->slots[i], newest->slots[i], ours->slots[i]};
    if (child.newest == child.base) {
      ++i;
      continue;
    }
    const SlotRange group = GroupOf(*base, *newest, *ours, i);
    if (IsSame(*ours, *base, group)) {
      std::copy_n(newest->slots + group.first, group.size, slots + group.first);
    } else if (group.size > 1 || !child.AreNodes() ||
               !Rebase(store, child, depth + 1)) {
      return false;
    }
    i = group.end();
  }
  // Each has erased what the other has left of it.
  if (std::all_of(slots, slots + kTrieFanout,
                  [](NodeSlot slot) { return slot.is_empty(); })) {
    return false;
  }
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
