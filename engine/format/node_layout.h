// Byte layout of the hash trie: slots, inner nodes, leaves, large records.
//
// A map's root is one slot word. Inner nodes have 32 dense slots; a slot is
// picked by five bits of the key's 64-bit hash, the highest bits first. A leaf
// covers an aligned power-of-two range of its parent's slots: all of them hold
// the same word.
//
// Threads:    published bytes are immutable.
// Processes:  as above.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none; engine/verify checks these layouts on untrusted bytes.
// Cost:       none.
#ifndef EVE_ENGINE_FORMAT_NODE_LAYOUT_H_
#define EVE_ENGINE_FORMAT_NODE_LAYOUT_H_

#include <cstdint>

#include "engine/format/block.h"
#include "engine/format/layout.h"
#include "engine/format/offset.h"

namespace eve {

inline constexpr int kTrieBits = 5;
inline constexpr uint32_t kTrieFanout = 1 << kTrieBits;
// 12 levels of 5 bits, then one of 4: deeper than this hashes are equal.
inline constexpr uint32_t kTrieDepthMax = 13;
static_assert((kTrieDepthMax - 1) * kTrieBits < 64 &&
              kTrieDepthMax * kTrieBits >= 64);

enum class SlotKind : uint8_t {
  kEmpty = 0,
  kNode = 1,
  kLeaf = 2,
  kCollisionLeaf = 3,
};

// PERSISTED. Bits 0..47 offset in units; 48..49 SlotKind; 50..55 size of the
// leaf in 64-byte lines, rounded up and saturated at 63 (0 for nodes), so that
// a reader can prefetch a leaf before it has seen its header; 56..63 zero.
struct NodeSlot {
  uint64_t word = 0;

  static constexpr NodeSlot Make(SlotKind kind, Offset offset,
                                 uint64_t leaf_bytes) {
    uint64_t lines = (leaf_bytes + 63) / 64;
    if (lines > 63) lines = 63;
    return NodeSlot{offset.units | uint64_t{static_cast<uint8_t>(kind)} << 48 |
                    lines << 50};
  }
  constexpr Offset offset() const {
    return Offset{word & ((uint64_t{1} << kOffsetBits) - 1)};
  }
  constexpr SlotKind kind() const {
    return static_cast<SlotKind>(word >> 48 & 3);
  }
  constexpr uint32_t lines() const {
    return static_cast<uint32_t>(word >> 50 & 63);
  }
  constexpr bool is_empty() const { return word == 0; }
  friend constexpr bool operator==(NodeSlot, NodeSlot) = default;
};
EVE_LAYOUT(NodeSlot, /*size=*/8, /*align=*/8);

// PERSISTED. `prefix` holds the hash bits that lead here, left-aligned, the
// rest zero: with header.depth it says where the node belongs.
struct TrieNode {
  BlockHeader header;           //   0..15   type kTrieNode, depth, count 0
  uint64_t prefix;              //  16..23
  uint64_t reserved;            //  24..31   zero
  NodeSlot slots[kTrieFanout];  //  32..287
};
EVE_LAYOUT(TrieNode, /*size=*/288, /*align=*/8);

}  // namespace eve

#endif  // EVE_ENGINE_FORMAT_NODE_LAYOUT_H_
