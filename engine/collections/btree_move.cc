#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "engine/collections/btree_node.h"
#include "engine/collections/btree_writer.h"
#include "engine/collections/move.h"
#include "engine/collections/side_moves.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// A block, a key that leads to it, and the level where it is met.
struct Target {
  Bytes key;
  Offset offset;
  uint32_t level = 0;     // of a value, that of its leaf
  bool is_value = false;  // hangs in a leaf, not in a node
};

// Keys of targets that do not lie in one piece, one after the other. Views of
// them are made when all are there.
class KeyBuffer {
 public:
  explicit KeyBuffer(size_t keys) {
    bytes_.reserve(keys * kUsualKeyBytes);
    ends_.reserve(keys);
  }
  void Append(const KeyPieces& key) {
    const size_t begin = bytes_.size();
    bytes_.resize(begin + key.size());
    key.CopyFrom(0, bytes_.data() + begin);
    ends_.push_back(bytes_.size());
  }
  Bytes At(size_t index) const {
    const size_t begin = index == 0 ? 0 : ends_[index - 1];
    return Bytes(bytes_.data() + begin, ends_[index] - begin);
  }

 private:
  static constexpr size_t kUsualKeyBytes = 32;
  std::string bytes_;
  std::vector<size_t> ends_;
};

// False if the block says nothing that could lead to it; `*key` does if so.
bool FindKey(const BlockView& view, Offset offset, Target* target,
             KeyPieces* key) {
  if (!view.Contains(offset)) return false;
  target->offset = offset;
  switch (static_cast<BlockType>(view.As<BlockHeader>(offset)->type)) {
    case BlockType::kTreeLeaf: {
      TreeLeafView leaf;
      if (!TreeLeafView::Open(view, offset, &leaf)) return false;
      *key = KeyPieces{leaf.prefix(), leaf.Suffix(0)};
      return true;
    }
    case BlockType::kTreeNode: {
      TreeNodeView node;
      if (!TreeNodeView::Open(view, offset, TreeNodeView::kAnyLevel, &node) ||
          node.count() < 2) {
        return false;
      }
      // It lies between the separators to the left and right of the node.
      *key = KeyPieces{node.prefix(), node.Separator(0)};
      target->level = node.level();
      return true;
    }
    case BlockType::kTreeValue: {
      Bytes value;
      Bytes name;
      if (!OpenTreeValue(view, offset, &value, &name)) return false;
      *key = KeyPieces{Bytes(), name};
      target->is_value = true;
      return true;
    }
    default:
      return false;
  }
}

// Whether the leaf at `offset` stores `target`, a value's block.
bool LeafNames(const BlockView& view, Offset offset, const Target& target) {
  TreeLeafView leaf;
  if (!TreeLeafView::Open(view, offset, &leaf)) return false;
  bool equal;
  const uint32_t index = leaf.LowerBound(target.key, &equal);
  if (!equal) return false;
  bool external;
  const Bytes stored = leaf.Stored(index, &external);
  return external && stored.size() == kTreeExternalBytes &&
         TreeLeafView::ExternalOffset(stored) == target.offset;
}

// Of a block on its way.
constexpr uint64_t kAskedBytesMax = 4 << 10;

// Whether the walk is followed by the move: then all lines that it copies are
// asked for, instead of one after the other when it comes to them.
enum class Next : uint8_t { kNothing, kMove };

void AskForBlock(const BlockView& view, Offset offset, uint64_t bytes) {
  PrefetchLinesForLater(
      view.At(offset),
      static_cast<uint32_t>((bytes + kCacheLineBytes - 1) / kCacheLineBytes));
}

// Keeps those of up to kMultiFindWidth targets that `root`, of level `height`,
// leads to. They go down in step.
void KeepLive(const BlockView& view, TreeSlot root, uint32_t height, Next after,
              absl::Span<const Target> targets, std::vector<Target>& live) {
  TreeSlot slots[kMultiFindWidth];
  std::fill(slots, slots + targets.size(), root);
  for (uint32_t level = height;; --level) {
    for (size_t i = 0; i < targets.size(); ++i) {
      const Target& target = targets[i];
      if (slots[i].is_empty()) continue;
      if (level == target.level) {
        const Offset at = slots[i].offset();
        if (target.is_value ? LeafNames(view, at, target)
                            : at == target.offset) {
          live.push_back(target);
          // Its key has been read, so its header is here.
          if (after == Next::kMove) {
            AskForBlock(view, at,
                        std::min<uint64_t>(view.As<BlockHeader>(at)->bytes(),
                                           kAskedBytesMax));
          }
        }
        slots[i] = TreeSlot{};
        continue;
      }
      TreeNodeView node;
      if (!TreeNodeView::Open(view, slots[i].offset(), level, &node)) {
        slots[i] = TreeSlot{};
        continue;
      }
      if (after == Next::kMove && level == 1) {
        AskForBlock(view, slots[i].offset(), node.bytes());
      }
      slots[i] = node.slot(node.ChildFor(target.key));
      if (!view.Contains(slots[i].offset())) {
        slots[i] = TreeSlot{};
        continue;
      }
      PrefetchLines(view.At(slots[i].offset()), 4);
    }
    if (level == 0) return;
  }
}

class TreeMover {
 public:
  TreeMover(const EditContext& context, MoveResult* moved)
      : context_(context), writer_(context), moved_(moved) {}

  // `targets` in the order of their keys; all are below `slot`, or it.
  absl::Status Move(uint32_t level, absl::Span<const Target> targets,
                    TreeSlot* slot) {
    return level == 0 ? MoveLeaf(targets, slot)
                      : MoveNode(level, targets, slot);
  }

 private:
  static bool IsAsked(absl::Span<const Target> targets, Offset offset) {
    return std::any_of(
        targets.begin(), targets.end(),
        [&](const Target& target) { return target.offset == offset; });
  }

  void Count(uint64_t bytes) {
    ++moved_->blocks;
    moved_->bytes += bytes;
  }

  // Writable bytes of a block: its own, if the transaction wrote it, or a
  // copy, whose offset goes into `*slot`.
  absl::Status MakeWritable(Stream stream, uint64_t bytes, TreeSlot* slot,
                            char** data) {
    const Offset before = slot->offset();
    *data = writer_.Edit(before);
    if (*data != nullptr) return absl::OkStatus();
    EVE_ASSIGN_OR_RETURN(const NewBlock copy,
                         CopyBlock(*context_.store, stream, before, bytes));
    *slot = TreeSlot::Make(copy.offset, slot->leaf_records());
    *data = copy.data;
    return absl::OkStatus();
  }

  absl::Status MoveNode(uint32_t level, absl::Span<const Target> targets,
                        TreeSlot* slot) {
    TreeNodeView node;
    const Offset before = slot->offset();
    if (!TreeNodeView::Open(writer_.view(), before, level, &node)) {
      return DamagedTree(before, "tree node");
    }
    char* data = nullptr;
    if (IsAsked(targets, before)) {
      EVE_RETURN_IF_ERROR(
          MakeWritable(Stream::kNodes, node.bytes(), slot, &data));
      Count(node.bytes());
    }
    const size_t slots_at = static_cast<size_t>(node.slots() - node.data());
    for (size_t done = 0; done < targets.size();) {
      if (targets[done].level >= level) {
        ++done;
        continue;
      }
      const uint32_t index = node.ChildFor(targets[done].key);
      size_t end = done + 1;
      while (end < targets.size() &&
             (targets[end].level >= level ||
              node.ChildFor(targets[end].key) == index)) {
        ++end;
      }
      const TreeSlot old = node.slot(index);
      TreeSlot child = old;
      EVE_RETURN_IF_ERROR(
          Move(level - 1, targets.subspan(done, end - done), &child));
      done = end;
      if (child == old) continue;
      if (data == nullptr) {
        EVE_RETURN_IF_ERROR(
            MakeWritable(Stream::kNodes, node.bytes(), slot, &data));
      }
      std::memcpy(data + slots_at + 8 * index, &child, sizeof(child));
    }
    return absl::OkStatus();
  }

  absl::Status MoveLeaf(absl::Span<const Target> targets, TreeSlot* slot) {
    TreeLeafView leaf;
    const Offset before = slot->offset();
    if (!TreeLeafView::Open(writer_.view(), before, &leaf)) {
      return DamagedTree(before, "tree leaf");
    }
    char* data = nullptr;
    if (IsAsked(targets, before)) {
      EVE_RETURN_IF_ERROR(
          MakeWritable(context_.leaf_stream, leaf.bytes(), slot, &data));
      Count(leaf.bytes());
    }
    for (const Target& target : targets) {
      if (!target.is_value) continue;
      bool equal;
      const uint32_t index = leaf.LowerBound(target.key, &equal);
      if (!equal) return DamagedTree(before, "tree leaf");
      bool external;
      const Bytes stored = leaf.Stored(index, &external);
      EVE_ASSIGN_OR_RETURN(const Offset moved, MoveValue(target.offset));
      if (data == nullptr) {
        EVE_RETURN_IF_ERROR(
            MakeWritable(context_.leaf_stream, leaf.bytes(), slot, &data));
      }
      std::memcpy(data + (stored.data() - leaf.data()), &moved.units,
                  sizeof(moved.units));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Offset> MoveValue(Offset offset) {
    const BlockHeader* header =
        writer_.view().Block(offset, BlockType::kTreeValue, sizeof(TreeValue));
    if (header == nullptr) return DamagedTree(offset, "tree value");
    TreeSlot slot = TreeSlot::Make(offset, 0);
    char* data = nullptr;
    EVE_RETURN_IF_ERROR(
        MakeWritable(context_.leaf_stream, header->bytes(), &slot, &data));
    Count(header->bytes());
    return slot.offset();
  }

  const EditContext& context_;
  TreeWriter writer_;
  MoveResult* moved_;
};

// Keeps of `targets` those that `root` leads to, in the order of their keys,
// which go to `keys`.
absl::Status FindLive(const BlockView& view, TreeSlot root, Next after,
                      absl::Span<const MoveTarget> targets, KeyBuffer& keys,
                      uint32_t* height, std::vector<Target>* live) {
  if (root.is_empty()) return absl::OkStatus();
  if (!view.Contains(root.offset())) {
    return DamagedTree(root.offset(), "tree root");
  }
  *height = view.As<BlockHeader>(root.offset())->depth;
  if (*height > kTreeLevelsMax) return DamagedTree(root.offset(), "tree root");
  std::vector<Target> all;
  all.reserve(targets.size());
  for (size_t i = 0; i < targets.size(); ++i) {
    if (i + 4 < targets.size()) {
      PrefetchLines(view.At(targets[i + 4].offset), 2);
    }
    Target target;
    KeyPieces key;
    if (!FindKey(view, targets[i].offset, &target, &key)) continue;
    keys.Append(key);
    all.push_back(target);
  }
  for (size_t i = 0; i < all.size(); ++i) all[i].key = keys.At(i);
  for (size_t i = 0; i < all.size(); i += kMultiFindWidth) {
    KeepLive(view, root, *height, after,
             absl::MakeConstSpan(all).subspan(i, kMultiFindWidth), *live);
  }
  return absl::OkStatus();
}

}  // namespace

bool MakeTreeTarget(const BlockView& view, Offset offset, MoveTarget* target) {
  Target found;
  KeyPieces key;
  if (!FindKey(view, offset, &found, &key)) return false;
  char first[2 * sizeof(uint64_t)];
  const KeyPieces most = key.Truncated(std::min(key.size(), sizeof(first)));
  const char* const end = most.CopyFrom(0, first);
  const Bytes head(first, static_cast<size_t>(end - first));
  *target = MoveTarget{KeyHead(head), 0, offset};
  if (head.size() > 8) {
    target->order_below = KeyHead(Bytes(head.data() + 8, head.size() - 8));
  }
  return true;
}

void KeepLiveInTree(const BlockView& view, NodeSlot root,
                    std::vector<MoveTarget>& targets) {
  KeyBuffer keys(targets.size());
  uint32_t height = 0;
  std::vector<Target> live;
  // A damaged root leads to nothing.
  FindLive(view, TreeSlot{root.word}, Next::kNothing, targets, keys, &height,
           &live)
      .IgnoreError();
  absl::flat_hash_set<uint64_t> kept;
  kept.reserve(live.size());
  for (const Target& target : live) kept.insert(target.offset.units);
  std::erase_if(targets, [&](const MoveTarget& target) {
    return !kept.contains(target.offset.units);
  });
}

absl::Status TreeMove(const EditContext& context,
                      absl::Span<const MoveTarget> targets, NodeSlot& root,
                      MoveResult* moved) {
  TreeSlot slot{root.word};
  KeyBuffer keys(targets.size());
  uint32_t height = 0;
  std::vector<Target> live;
  EVE_RETURN_IF_ERROR(FindLive(context.store->view(), slot, Next::kMove,
                               targets, keys, &height, &live));
  if (live.empty()) return absl::OkStatus();
  std::sort(live.begin(), live.end(), [](const Target& a, const Target& b) {
    return CompareBytes(a.key, b.key) < 0;
  });
  TreeMover mover(context, moved);
  EVE_RETURN_IF_ERROR(mover.Move(height, live, &slot));
  root = NodeSlot{slot.word};
  return absl::OkStatus();
}

}  // namespace eve
