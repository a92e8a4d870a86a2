#include <algorithm>
#include <cstdint>

#include "engine/collections/btree.h"
#include "engine/collections/btree_node.h"

namespace eve {
namespace {

// Lines of a leaf that a look-up begins with: its head, ends and keys.
constexpr uint32_t kLeafPrefetchLines = 6;
// A node's head and the heads of its separators.
constexpr uint32_t kNodePrefetchLines = 8;

constexpr FindResult kDamagedResult{FindOutcome::kDamaged, Bytes()};

// What the root leads to: a node of `level`, or a leaf if that is 0.
bool LevelOfRoot(const BlockView& view, TreeSlot root, uint32_t* level) {
  if (!view.Contains(root.offset())) return false;
  *level = view.As<BlockHeader>(root.offset())->depth;
  return *level <= kTreeLevelsMax;
}

inline FindResult FindInLeaf(const BlockView& view, Offset offset, Bytes key) {
  TreeLeafView leaf;
  if (!TreeLeafView::Open(view, offset, &leaf)) return kDamagedResult;
  bool equal;
  const uint32_t index = leaf.LowerBound(key, &equal);
  if (!equal) return FindResult{};
  FindResult found{FindOutcome::kFound, Bytes()};
  if (!leaf.Value(view, index, &found.value)) return kDamagedResult;
  return found;
}

}  // namespace

FindResult TreeFind(const BlockView& view, NodeSlot root, Bytes key) {
  if (root.is_empty()) return FindResult{};
  TreeSlot slot{root.word};
  uint32_t level;
  if (!LevelOfRoot(view, slot, &level)) return kDamagedResult;
  for (; level > 0; --level) {
    TreeNodeView node;
    if (!TreeNodeView::Open(view, slot.offset(), level, &node)) {
      return kDamagedResult;
    }
    slot = node.slot(node.ChildFor(key));
    if (!view.Contains(slot.offset())) return kDamagedResult;
    PrefetchLines(view.At(slot.offset()),
                  level > 1 ? kNodePrefetchLines : kLeafPrefetchLines);
  }
  return FindInLeaf(view, slot.offset(), key);
}

void TreeMultiFind(const BlockView& view, NodeSlot root,
                   absl::Span<const Bytes> keys, absl::Span<FindResult> out) {
  uint32_t height = 0;
  const bool sound =
      root.is_empty() || LevelOfRoot(view, TreeSlot{root.word}, &height);
  if (root.is_empty() || !sound) {
    std::fill(out.begin(), out.end(), sound ? FindResult{} : kDamagedResult);
    return;
  }
  // All leaves are at the same depth: a group goes down in step.
  for (size_t done = 0; done < keys.size(); done += kMultiFindWidth) {
    const size_t n = std::min<size_t>(kMultiFindWidth, keys.size() - done);
    TreeSlot slots[kMultiFindWidth];
    std::fill(slots, slots + n, TreeSlot{root.word});
    for (uint32_t level = height; level > 0; --level) {
      for (size_t i = 0; i < n; ++i) {
        TreeNodeView node;
        if (slots[i].is_empty() ||
            !TreeNodeView::Open(view, slots[i].offset(), level, &node)) {
          slots[i] = TreeSlot{};
          continue;
        }
        slots[i] = node.slot(node.ChildFor(keys[done + i]));
        if (!view.Contains(slots[i].offset())) {
          slots[i] = TreeSlot{};
          continue;
        }
        PrefetchLines(view.At(slots[i].offset()),
                      level > 1 ? kNodePrefetchLines : kLeafPrefetchLines);
      }
    }
    // The values of all are asked for before the first is looked at.
    for (size_t i = 0; i < n; ++i) {
      out[done + i] = slots[i].is_empty()
                          ? kDamagedResult
                          : FindInLeaf(view, slots[i].offset(), keys[done + i]);
      const Bytes value = out[done + i].value;
      if (!value.empty()) {
        PrefetchLines(value.data(), value.size() > 64 ? 2 : 1);
      }
    }
  }
}

std::optional<uint64_t> TreeRank(const BlockView& view, NodeSlot root,
                                 Bytes key) {
  if (root.is_empty()) return 0;
  TreeSlot slot{root.word};
  uint32_t level;
  if (!LevelOfRoot(view, slot, &level)) return std::nullopt;
  uint64_t rank = 0;
  for (; level > 0; --level) {
    TreeNodeView node;
    if (!TreeNodeView::Open(view, slot.offset(), level, &node)) {
      return std::nullopt;
    }
    const uint32_t child = node.ChildFor(key);
    for (uint32_t i = 0; i < child; ++i) rank += node.RecordsBelow(i);
    slot = node.slot(child);
  }
  TreeLeafView leaf;
  if (!TreeLeafView::Open(view, slot.offset(), &leaf)) return std::nullopt;
  bool equal;
  return rank + leaf.LowerBound(key, &equal);
}

}  // namespace eve
