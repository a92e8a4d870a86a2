// The part of TrieEditor that makes a trie smaller.
#include <algorithm>
#include <cstring>

#include "engine/collections/hamt_descend.h"
#include "engine/collections/hamt_editor.h"
#include "util/check.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// Copies table and records of `part` into a leaf of `count` records, as its
// records from `index` on. `at` is where the records go; returns their end.
char* CopyRecords(const LeafView& part, uint32_t content_end, uint32_t index,
                  uint32_t count, char* block, char* at) {
  char* const tags = block + sizeof(BlockHeader);
  char* const positions = tags + count + 2 * index;
  std::memcpy(tags + index, part.tags(), part.count());
  const uint32_t delta = static_cast<uint32_t>(at - block) - part.TableEnd();
  for (uint32_t i = 0; i < part.count(); ++i) {
    const uint16_t position = static_cast<uint16_t>(part.Position(i) + delta);
    std::memcpy(positions + 2 * i, &position, sizeof(position));
  }
  const uint32_t bytes = content_end - part.TableEnd();
  std::memcpy(at, part.data() + part.TableEnd(), bytes);
  return at + bytes;
}

}  // namespace

absl::Status TrieEditor::ConcatLeaves(uint8_t depth, const LeafView& low,
                                      const LeafView& high, NodeSlot* slot) {
  uint32_t low_end, high_end;
  if (!low.ContentEnd(&low_end) || low_end < low.TableEnd() ||
      !high.ContentEnd(&high_end) || high_end < high.TableEnd()) {
    return absl::DataLossError("a damaged trie leaf");
  }
  const uint32_t count = low.count() + high.count();
  const uint64_t bytes = uint64_t{low_end} + high_end - sizeof(BlockHeader);
  NewBlock block;
  EVE_RETURN_IF_ERROR(
      writer_.NewBlockOf(BlockType::kTrieLeaf, depth, count, bytes, &block));
  char* at = block.data + sizeof(BlockHeader) + kLeafBytesPerRecord * count;
  at = CopyRecords(low, low_end, 0, count, block.data, at);
  CopyRecords(high, high_end, low.count(), count, block.data, at);
  *slot = NodeSlot::Make(SlotKind::kLeaf, block.offset, bytes);
  return absl::OkStatus();
}

// Cases, with a buddy that is
//   a node, or several leaves     stays
//   a leaf, too large together    stays
//   a leaf                        one new leaf over both ranges
//   empty, or we are              the leaf covers both ranges, as it is
absl::Status TrieEditor::MergeBuddies(NodeEditor& node, uint32_t depth,
                                      uint32_t first) {
  while (true) {
    const NodeSlot* slots = node.slots();
    const SlotRange range = RangeOf(slots, first);
    if (range.size == kTrieFanout) return absl::OkStatus();
    const SlotRange buddy{range.first ^ range.size, range.size};
    if (RangeOf(slots, buddy.first).size != range.size) {
      return absl::OkStatus();
    }
    const SlotRange both{std::min(range.first, buddy.first), 2 * range.size};
    const NodeSlot low = slots[both.first];
    const NodeSlot high = slots[both.first + range.size];
    uint64_t bytes = 0;
    LeafView leaves[2];
    for (int i = 0; i < 2; ++i) {
      const NodeSlot slot = i == 0 ? low : high;
      if (slot.is_empty()) continue;
      // One line is rounding; a large one need not be looked at.
      if (slot.kind() != SlotKind::kLeaf ||
          (slot.lines() - 1) * kCacheLineBytes > kLeafMergeBytes) {
        return absl::OkStatus();
      }
      if (!LeafView::Open(writer_.view(), slot.offset(), &leaves[i])) {
        return DamagedBlock(slot.offset(), "trie leaf");
      }
      bytes += leaves[i].bytes();
    }
    if (bytes > kLeafMergeBytes) return absl::OkStatus();
    NodeSlot merged = low.is_empty() ? high : low;
    if (!low.is_empty() && !high.is_empty()) {
      EVE_RETURN_IF_ERROR(ConcatLeaves(static_cast<uint8_t>(depth), leaves[0],
                                       leaves[1], &merged));
      writer_.Retire(low.offset(), leaves[0].bytes());
      writer_.Retire(high.offset(), leaves[1].bytes());
    }
    EVE_RETURN_IF_ERROR(node.Fill(both, merged));
    first = both.first;
  }
}

// Cases:
//   no records left              nothing
//   one small leaf over it all   that leaf, which now belongs one level up
//   else                         the node
absl::Status TrieEditor::Collapse(NodeEditor& node, uint32_t depth,
                                  NodeSlot* slot) {
  const NodeSlot only = node.slots()[0];
  *slot = node.slot();
  if (only.kind() == SlotKind::kNode ||
      only.kind() == SlotKind::kCollisionLeaf ||
      RangeOf(node.slots(), 0).size != kTrieFanout) {
    return absl::OkStatus();
  }
  NodeSlot lifted = only;
  if (!only.is_empty()) {
    LeafView leaf;
    if (!LeafView::Open(writer_.view(), only.offset(), &leaf)) {
      return DamagedBlock(only.offset(), "trie leaf");
    }
    if (leaf.bytes() > kLeafMergeBytes) return absl::OkStatus();
    // The leaves of the root node say 0 already, as a leaf that is the root.
    if (depth > 0) {
      BlockHeader header = leaf.header();
      header.depth = static_cast<uint8_t>(depth - 1);
      header.checksum = 0;
      char* block = writer_.Edit(only.offset());
      if (block == nullptr) {
        NewBlock copy;
        EVE_RETURN_IF_ERROR(writer_.NewBlockOf(BlockType::kTrieLeaf,
                                               header.depth, leaf.count(),
                                               leaf.bytes(), &copy));
        std::memcpy(copy.data, leaf.data(), leaf.bytes());
        writer_.Retire(only.offset(), leaf.bytes());
        lifted = NodeSlot::Make(SlotKind::kLeaf, copy.offset, leaf.bytes());
        block = copy.data;
      }
      std::memcpy(block, &header, sizeof(header));
    }
  }
  node.Retire();
  *slot = lifted;
  return absl::OkStatus();
}

}  // namespace eve
