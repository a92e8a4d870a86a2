#include "engine/collections/hamt_descend.h"

#include <algorithm>

namespace eve {

void DescendInStep(const BlockView& view, NodeSlot root, const uint64_t* hashes,
                   size_t count, uint32_t leaf_lines, NodeSlot* slots) {
  const NodeSlot* next[kMultiFindWidth];
  uint8_t walking[kMultiFindWidth];
  for (size_t i = 0; i < count; ++i) {
    slots[i] = root;
    walking[i] = static_cast<uint8_t>(i);
  }
  size_t left = count;
  for (uint32_t depth = 0; depth < kTrieDepthMax && left != 0; ++depth) {
    size_t kept = 0;
    for (size_t k = 0; k < left; ++k) {
      const uint8_t i = walking[k];
      if (slots[i].kind() != SlotKind::kNode) {
        if (!slots[i].is_empty()) {
          PrefetchLines(view.At(slots[i].offset()),
                        std::min(slots[i].lines(), leaf_lines));
        }
        continue;
      }
      next[i] = SlotIn(view, slots[i], hashes[i] << depth * kTrieBits);
      if (next[i] == nullptr) continue;
      PrefetchLine(next[i]);
      walking[kept++] = i;
    }
    left = kept;
    for (size_t k = 0; k < left; ++k) slots[walking[k]] = *next[walking[k]];
  }
}

}  // namespace eve
