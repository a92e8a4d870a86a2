#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/collections/hamt_descend.h"
#include "engine/collections/hamt_editor.h"
#include "engine/collections/hamt_leaf.h"
#include "engine/collections/hamt_writer.h"
#include "engine/collections/move.h"
#include "engine/collections/side_moves.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// Says that the block hangs in a leaf and not in a node.
constexpr uint64_t kIsRecord = 1;

// Whether the leaf that `slot` leads to names this record block.
bool LeafNames(const BlockView& view, NodeSlot slot, Offset record) {
  if (slot.kind() == SlotKind::kCollisionLeaf) {
    CollisionView leaf;
    if (!CollisionView::Open(view, slot.offset(), &leaf)) return false;
    return std::any_of(
        leaf.entries.begin(), leaf.entries.end(),
        [&](CollisionEntry entry) { return entry.offset() == record; });
  }
  LeafView leaf;
  if (slot.kind() != SlotKind::kLeaf ||
      !LeafView::Open(view, slot.offset(), &leaf)) {
    return false;
  }
  for (uint32_t i = 0; i < leaf.count(); ++i) {
    StoredRecord stored;
    if (!leaf.Record(i, &stored)) return false;
    if (stored.external() && stored.AsExternal().offset() == record) {
      return true;
    }
  }
  return false;
}

// Whether the walk is followed by the move: then all lines that it copies are
// asked for, instead of one after the other when it comes to them.
enum class Next : uint8_t { kNothing, kMove };

// Keeps those of up to kMultiFindWidth targets that `root` leads to. They go
// down in step; each stops where it meets its block.
void KeepLive(const BlockView& view, NodeSlot root, Next after,
              absl::Span<const MoveTarget> targets,
              std::vector<MoveTarget>& live) {
  NodeSlot slots[kMultiFindWidth];
  bool met[kMultiFindWidth] = {};
  std::fill(slots, slots + targets.size(), root);
  for (uint32_t depth = 0; depth <= kTrieDepthMax; ++depth) {
    const NodeSlot* next[kMultiFindWidth] = {};
    bool any = false;
    for (size_t i = 0; i < targets.size(); ++i) {
      met[i] |= !slots[i].is_empty() && slots[i].offset() == targets[i].offset;
      if (met[i] || slots[i].kind() != SlotKind::kNode) continue;
      next[i] = SlotIn(view, slots[i], targets[i].order << depth * kTrieBits);
      if (next[i] == nullptr) continue;
      PrefetchLine(next[i]);
      if (after == Next::kMove) {
        PrefetchLinesForLater(view.At(slots[i].offset()), kNodeLines);
      }
      any = true;
    }
    if (!any) break;
    for (size_t i = 0; i < targets.size(); ++i) {
      if (next[i] != nullptr) slots[i] = *next[i];
    }
  }
  for (size_t i = 0; i < targets.size(); ++i) {
    if (targets[i].order_below == kIsRecord) {
      met[i] = LeafNames(view, slots[i], targets[i].offset);
    }
    if (!met[i]) continue;
    live.push_back(targets[i]);
    if (after == Next::kMove) {
      PrefetchLinesForLater(view.At(slots[i].offset()),
                            std::max(slots[i].lines(), kNodeLines));
    }
  }
}

void KeepLiveOf(const BlockView& view, NodeSlot root, Next after,
                std::vector<MoveTarget>& targets) {
  std::vector<MoveTarget> live;
  const absl::Span<const MoveTarget> all = targets;
  for (size_t i = 0; i < all.size(); i += kMultiFindWidth) {
    KeepLive(view, root, after, all.subspan(i, kMultiFindWidth), live);
  }
  targets = std::move(live);
}

class TrieMover {
 public:
  TrieMover(const EditContext& context, MoveResult* moved)
      : context_(context), writer_(context), moved_(moved) {}

  // `targets` in the order of their hashes; all are below `slot`, or it.
  absl::Status Move(uint32_t depth, absl::Span<const MoveTarget> targets,
                    NodeSlot* slot) {
    switch (slot->kind()) {
      case SlotKind::kEmpty:
        return absl::OkStatus();
      case SlotKind::kNode:
        return MoveNode(depth, targets, slot);
      case SlotKind::kLeaf:
        return MoveLeaf(targets, slot);
      case SlotKind::kCollisionLeaf:
        return MoveCollisionLeaf(targets, slot);
    }
    return absl::OkStatus();
  }

 private:
  static bool IsAsked(absl::Span<const MoveTarget> targets, Offset offset) {
    return std::any_of(
        targets.begin(), targets.end(),
        [&](const MoveTarget& target) { return target.offset == offset; });
  }

  void Count(uint64_t bytes) {
    ++moved_->blocks;
    moved_->bytes += bytes;
  }

  absl::Status MoveNode(uint32_t depth, absl::Span<const MoveTarget> targets,
                        NodeSlot* slot) {
    NodeEditor node(writer_);
    // The depths along a path rise, so a damaged file cannot lead in a circle.
    EVE_RETURN_IF_ERROR(node.Open(*slot, depth));
    const Offset before = slot->offset();
    for (size_t done = 0; done < targets.size();) {
      if (targets[done].offset == before) {
        ++done;
        continue;
      }
      const uint32_t index = TrieSlotIndex(targets[done].order, depth);
      const NodeSlot old = node.slots()[index];
      const SlotRange range = old.kind() == SlotKind::kNode
                                  ? SlotRange{index, 1}
                                  : RangeOf(node.slots(), index);
      size_t end = done + 1;
      while (end < targets.size() &&
             (targets[end].offset == before ||
              TrieSlotIndex(targets[end].order, depth) < range.end())) {
        ++end;
      }
      NodeSlot child = old;
      EVE_RETURN_IF_ERROR(
          Move(depth + 1, targets.subspan(done, end - done), &child));
      if (child != old) EVE_RETURN_IF_ERROR(node.Fill(range, child));
      done = end;
    }
    if (IsAsked(targets, before)) {
      if (node.slot() == *slot) EVE_RETURN_IF_ERROR(node.Copy());
      Count(sizeof(TrieNode));
    }
    *slot = node.slot();
    return absl::OkStatus();
  }

  // A copy of a block that may be changed, and the old place retired.
  absl::StatusOr<NewBlock> CopyBlock(Offset offset, uint64_t bytes) {
    return eve::CopyBlock(*context_.store, context_.leaf_stream, offset, bytes);
  }

  // Writable bytes of a leaf: its own, if the transaction wrote it, or a copy.
  absl::Status MakeWritable(uint64_t bytes, Offset* offset, char** data) {
    *data = writer_.Edit(*offset);
    if (*data != nullptr) return absl::OkStatus();
    EVE_ASSIGN_OR_RETURN(const NewBlock copy, CopyBlock(*offset, bytes));
    *offset = copy.offset;
    *data = copy.data;
    return absl::OkStatus();
  }

  absl::StatusOr<Offset> MoveRecord(Offset offset) {
    LargeRecord record;
    if (!OpenLargeRecord(writer_.view(), offset, &record)) {
      return DamagedBlock(offset, "record block");
    }
    EVE_ASSIGN_OR_RETURN(const NewBlock copy,
                         CopyBlock(offset, record.block_bytes));
    Count(record.block_bytes);
    return copy.offset;
  }

  absl::Status MoveLeaf(absl::Span<const MoveTarget> targets, NodeSlot* slot) {
    LeafView leaf;
    if (!LeafView::Open(writer_.view(), slot->offset(), &leaf)) {
      return DamagedBlock(slot->offset(), "trie leaf");
    }
    Offset offset = slot->offset();
    char* data = nullptr;
    if (IsAsked(targets, offset)) {
      EVE_ASSIGN_OR_RETURN(const NewBlock copy,
                           CopyBlock(offset, leaf.bytes()));
      offset = copy.offset;
      data = copy.data;
      Count(leaf.bytes());
    }
    for (uint32_t i = 0; i < leaf.count(); ++i) {
      StoredRecord stored;
      if (!leaf.Record(i, &stored)) return DamagedBlock(offset, "trie leaf");
      if (!stored.external()) continue;
      const ExternalRecord external = stored.AsExternal();
      if (!IsAsked(targets, external.offset())) continue;
      EVE_ASSIGN_OR_RETURN(const Offset moved, MoveRecord(external.offset()));
      if (data == nullptr) {
        EVE_RETURN_IF_ERROR(MakeWritable(leaf.bytes(), &offset, &data));
      }
      const ExternalRecord now = ExternalRecord::Make(moved, external.hash);
      std::memcpy(data + leaf.Position(i), &now, sizeof(now));
    }
    *slot = slot->At(offset);
    return absl::OkStatus();
  }

  absl::Status MoveCollisionLeaf(absl::Span<const MoveTarget> targets,
                                 NodeSlot* slot) {
    CollisionView leaf;
    if (!CollisionView::Open(writer_.view(), slot->offset(), &leaf)) {
      return DamagedBlock(slot->offset(), "collision leaf");
    }
    const uint64_t bytes = leaf.leaf->header.bytes();
    Offset offset = slot->offset();
    char* data = nullptr;
    if (IsAsked(targets, offset)) {
      EVE_ASSIGN_OR_RETURN(const NewBlock copy, CopyBlock(offset, bytes));
      offset = copy.offset;
      data = copy.data;
      Count(bytes);
    }
    for (size_t i = 0; i < leaf.entries.size(); ++i) {
      const CollisionEntry entry = leaf.entries[i];
      if (!IsAsked(targets, entry.offset())) continue;
      EVE_ASSIGN_OR_RETURN(const Offset moved, MoveRecord(entry.offset()));
      if (data == nullptr) {
        EVE_RETURN_IF_ERROR(MakeWritable(bytes, &offset, &data));
      }
      const CollisionEntry now = CollisionEntry::Make(moved, entry.tag());
      std::memcpy(data + sizeof(CollisionLeaf) + i * sizeof(now), &now,
                  sizeof(now));
    }
    *slot = slot->At(offset);
    return absl::OkStatus();
  }

  const EditContext& context_;
  TrieWriter writer_;
  MoveResult* moved_;
};

}  // namespace

bool MakeHamtTarget(const BlockView& view, const KeyHasher& hasher,
                    Offset offset, MoveTarget* target) {
  if (!view.Contains(offset)) return false;
  *target = MoveTarget{0, 0, offset};
  const auto type = static_cast<BlockType>(view.As<BlockHeader>(offset)->type);
  if (type == BlockType::kTrieNode) {
    if (view.Block(offset, type, sizeof(TrieNode)) == nullptr) return false;
    target->order = view.As<TrieNode>(offset)->prefix;
    return true;
  }
  if (type == BlockType::kTrieLeaf) {
    LeafView leaf;
    StoredRecord first;
    if (!LeafView::Open(view, offset, &leaf) || !leaf.Record(0, &first)) {
      return false;
    }
    target->order = LeafView::HashOf(hasher, first);
    return true;
  }
  if (type == BlockType::kCollisionLeaf) {
    CollisionView leaf;
    if (!CollisionView::Open(view, offset, &leaf)) return false;
    target->order = leaf.leaf->hash;
    return true;
  }
  if (type != BlockType::kRecord) return false;
  LargeRecord record;
  if (!OpenLargeRecord(view, offset, &record)) return false;
  target->order = record.hash;
  target->order_below = kIsRecord;
  return true;
}

void KeepLiveInHamt(const BlockView& view, NodeSlot root,
                    std::vector<MoveTarget>& targets) {
  KeepLiveOf(view, root, Next::kNothing, targets);
}

absl::Status HamtMove(const EditContext& context,
                      absl::Span<const MoveTarget> targets, NodeSlot& root,
                      MoveResult* moved) {
  std::vector<MoveTarget> live(targets.begin(), targets.end());
  KeepLiveOf(context.store->view(), root, Next::kMove, live);
  if (live.empty()) return absl::OkStatus();
  std::sort(live.begin(), live.end());
  NodeSlot slot = root;
  TrieMover mover(context, moved);
  EVE_RETURN_IF_ERROR(mover.Move(0, live, &slot));
  root = slot;
  return absl::OkStatus();
}

}  // namespace eve
