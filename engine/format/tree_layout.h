// Byte layout of the ordered map's B+tree: leaves, inner nodes, large values.
//
// Records lie in leaves, in the order of their keys' bytes. An inner node of
// level n leads to nodes of level n - 1; leaves have level 0. There are no
// links between siblings: they would have to be copied with their neighbours.
// docs/format-tree.md has the byte tables and the rules.
//
// Threads:    published bytes are immutable.
// Processes:  as above.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none; engine/verify checks these layouts on untrusted bytes.
// Cost:       none.
#ifndef EVE_ENGINE_FORMAT_TREE_LAYOUT_H_
#define EVE_ENGINE_FORMAT_TREE_LAYOUT_H_

#include <cstdint>

#include "engine/format/block.h"
#include "engine/format/layout.h"
#include "engine/format/offset.h"

namespace eve {

// Levels above the leaves, at most. Inner nodes have two children or more, but
// for those of the widest keys they have tens: 32 levels are never reached.
inline constexpr uint32_t kTreeLevelsMax = 32;
// Records of a leaf: what fits the 16 bits of a slot, and less.
inline constexpr uint32_t kTreeLeafRecordsMax = 4096;
// Longer common prefixes are kept with each key.
inline constexpr uint32_t kTreePrefixBytesMax = 0xFFFF;
// Of a leaf or an inner node: only values may be runs.
inline constexpr uint64_t kTreeBlockBytesMax = kRunThresholdBytes;

// What writers aim at. No part of the format: readers take any size.
inline constexpr uint32_t kTreeLeafBytesMax = 2048;
inline constexpr uint32_t kTreeNodeBytesMax = 1024;
// Of a prefix only so much counts: a long one is there once, however many keys
// share it, and would leave room for few of them in a leaf or node.
inline constexpr uint32_t kTreeCountedPrefixMax = 128;
// Smaller ones look for a neighbour to merge with.
inline constexpr uint32_t kTreeLeafBytesMin = kTreeLeafBytesMax / 4;
inline constexpr uint32_t kTreeNodeChildrenMin = 8;
inline constexpr uint32_t kTreeNodeChildrenMax = 4096;
// A value with more bytes than this gets a block of its own.
inline constexpr uint32_t kTreeInlineValueBytesMax = 512;

// PERSISTED. Bits 0..47 offset in units; 48..63 the records of the leaf that it
// leads to, zero if it leads to an inner node. A map's root is one slot; the
// block's type says what it leads to; an empty map has the word 0.
struct TreeSlot {
  uint64_t word = 0;

  static constexpr TreeSlot Make(Offset offset, uint64_t leaf_records) {
    return TreeSlot{offset.units | leaf_records << kOffsetBits};
  }
  constexpr Offset offset() const {
    return Offset{word & ((uint64_t{1} << kOffsetBits) - 1)};
  }
  constexpr uint32_t leaf_records() const {
    return static_cast<uint32_t>(word >> kOffsetBits);
  }
  constexpr bool is_empty() const { return word == 0; }
  friend constexpr bool operator==(TreeSlot, TreeSlot) = default;
};
EVE_LAYOUT(TreeSlot, /*size=*/8, /*align=*/8);

// PERSISTED. Stands for a size that is not the same for all.
inline constexpr uint16_t kTreeVaries = 0xFFFF;

// PERSISTED: bits of TreeLeaf::flags.
inline constexpr uint16_t kTreeLeafWide = 1;      // ends have 32 bits, not 16
inline constexpr uint16_t kTreeLeafExternal = 2;  // all values are external
inline constexpr uint16_t kTreeLeafAligned = 4;  // values begin at 8-byte steps

// PERSISTED. A leaf (kTreeLeaf; depth 0, header.count > 0 its records) goes on
// with
//   prefix[prefix_bytes]      that all its keys begin with
//   key ends[count]           if key_bytes varies
//   value ends[count]         if value_bytes varies
//   the keys, without the prefix, one after the other
//   zeroes up to a multiple of 8, if aligned
//   the values, one after the other, each from a multiple of 8, if aligned
// and zeroes up to the next 16 bytes. An end is where the key or value stops,
// counted from the first of its kind. The highest bit of a value's end marks an
// external value: 8 bytes, the offset of its TreeValue in units.
struct TreeLeaf {
  BlockHeader header;     //   0..15
  uint16_t prefix_bytes;  //  16..17
  uint16_t key_bytes;     //  18..19  of each key behind the prefix
  uint16_t value_bytes;   //  20..21  of each value; 8 if all are external
  uint16_t flags;         //  22..23
};
EVE_LAYOUT(TreeLeaf, /*size=*/24, /*align=*/4);

// A leaf is wide if its keys behind the prefix, or its values, have more bytes
// than this: the 16th bit of a value's end marks external values.
inline constexpr uint32_t kTreeNarrowAreaMax = 0x7FFF;
inline constexpr uint32_t kTreeExternalBytes = 8;
inline constexpr uint64_t kTreeValueAlign = 8;

// PERSISTED: bits of TreeNode::flags.
inline constexpr uint16_t kTreeNodeLong = 1;  // separators may exceed 8 bytes

// PERSISTED. An inner node (kTreeNode; header.depth its level, header.count its
// children) goes on with
//   char heads[count - 1][8]   the first bytes of each separator behind the
//                              prefix, then zeroes if it is shorter
//   TreeSlot slots[count]
//   uint64_t counts[count]     records below each slot, if the level is above 1
// and, if not long,
//   uint8_t  sizes[count - 1]  of each separator behind the prefix, up to 8
//   prefix[prefix_bytes]
// else
//   uint32_t ends[count - 1]   where each separator behind the prefix stops
//   prefix[prefix_bytes]
//   the separators behind the prefix, whole, one after the other
// and zeroes up to the next 16 bytes. Keys below slot i + 1 are not less than
// separator i, those below slot i are.
struct TreeNode {
  BlockHeader header;     //   0..15
  uint16_t prefix_bytes;  //  16..17  that all separators begin with
  uint16_t flags;         //  18..19
  uint32_t reserved;      //  20..23  zero
};
EVE_LAYOUT(TreeNode, /*size=*/24, /*align=*/4);

// PERSISTED. A value with a block of its own (kTreeValue; depth and count 0),
// followed by the value, the key that it belongs to, and zeroes up to the next
// 16 bytes. The key says where a compactor finds what leads to the block.
struct TreeValue {
  BlockHeader header;    //   0..15
  uint64_t value_bytes;  //  16..23
  uint64_t key_bytes;    //  24..31  up to kKeyBytesMax
};
EVE_LAYOUT(TreeValue, /*size=*/32, /*align=*/8);

}  // namespace eve

#endif  // EVE_ENGINE_FORMAT_TREE_LAYOUT_H_
