// Byte layout of the hash trie: slots, inner nodes, leaves, large records.
//
// A map's root is one slot word. Inner nodes have 32 dense slots; a slot is
// picked by five bits of the key's 64-bit hash, the highest bits first. A leaf
// covers an aligned power-of-two range of its parent's slots: all of them hold
// the same word. docs/format-trie.md has the byte tables and the rules.
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

// The slot of `hash` in a node of `depth`. The last level has four bits left:
// its odd slots are never asked for, and what covers a pair of them is the
// smallest range there. REQUIRES: depth < kTrieDepthMax.
constexpr uint32_t TrieSlotIndex(uint64_t hash, uint32_t depth) {
  return static_cast<uint32_t>(hash << depth * kTrieBits >> (64 - kTrieBits));
}
constexpr uint32_t TrieRangeMin(uint32_t depth) {
  return depth == kTrieDepthMax - 1 ? 2 : 1;
}
// The bits of `hash` that lead to a node of `depth`; the rest zero.
constexpr uint64_t TriePrefix(uint64_t hash, uint32_t depth) {
  return depth == 0 ? 0 : hash & ~uint64_t{0} << (64 - depth * kTrieBits);
}
// A leaf's tag of a record. The low bits of the hash: the path to the leaf has
// used none of them above depth 11.
constexpr uint8_t LeafFingerprint(uint64_t hash) {
  return static_cast<uint8_t>(hash);
}

// What writers aim at. No part of the format: readers take leaves of any size
// below 64 KiB and records of any size in either place.
//
// A leaf above kLeafBytesMax splits; leaves and nodes whose content fits
// kLeafMergeBytes merge. Half, so that one insertion after a merge does not
// split again.
inline constexpr uint32_t kLeafBytesMax = 1024;
inline constexpr uint32_t kLeafMergeBytes = kLeafBytesMax / 2;
// A record with more key and value bytes than this gets its own block.
inline constexpr uint32_t kInlineRecordBytesMax = 256;
inline constexpr uint64_t kCollisionLeafBytesMax = 512 << 10;

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
  // To a copy of the same block.
  constexpr NodeSlot At(Offset copy) const {
    return NodeSlot{word >> kOffsetBits << kOffsetBits | copy.units};
  }
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

// PERSISTED. A leaf (kTrieLeaf; header.depth that of the node whose slots it
// covers, header.count > 0 its records) goes on after its header with
//   uint8_t  fingerprints[count]   LeafFingerprint() of each record
//   uint16_t positions[count]      of each record, from the start of the block
// and the records, without gaps, in the order of their hashes and of the two
// arrays; zeroes up to the next 16 bytes. A record is
//   uint8_t key_bytes (0..254), uint8_t value_bytes, key, value
// or an ExternalRecord. Nothing in a leaf is aligned.
inline constexpr uint64_t kLeafBytesPerRecord = 3;
inline constexpr uint64_t kRecordHeadBytes = 2;
inline constexpr uint8_t kExternalMark = 0xFF;
inline constexpr uint32_t kInlineKeyBytesMax = 254;
inline constexpr uint32_t kInlineValueBytesMax = 255;
static_assert(kInlineKeyBytesMax < kExternalMark);

// PERSISTED. In a leaf, a record that lives in a block of its own.
struct ExternalRecord {
  uint64_t word;  //  0..7   byte 0 kExternalMark, byte 1 zero, bytes 2..7 the
                  //         offset of its RecordBlock in units
  uint64_t hash;  //  8..15  of the key

  static constexpr ExternalRecord Make(Offset offset, uint64_t hash) {
    return ExternalRecord{offset.units << 16 | kExternalMark, hash};
  }
  constexpr Offset offset() const { return Offset{word >> 16}; }
};
EVE_LAYOUT(ExternalRecord, /*size=*/16, /*align=*/8);

// PERSISTED. A record with a block of its own (kRecord; depth and count 0),
// followed by the key, the value, and zeroes up to the next 16 bytes.
struct RecordBlock {
  BlockHeader header;    //   0..15
  uint64_t hash;         //  16..23  of the key
  uint64_t key_bytes;    //  24..31  up to kKeyBytesMax
  uint64_t value_bytes;  //  32..39  up to kValueBytesMax
};
EVE_LAYOUT(RecordBlock, /*size=*/40, /*align=*/8);

// PERSISTED. One record of a collision leaf: bits 0..47 the offset of its
// RecordBlock in units, 48..63 KeyHasher::CollisionTag() of its key.
struct CollisionEntry {
  uint64_t word;

  static constexpr CollisionEntry Make(Offset offset, uint16_t tag) {
    return CollisionEntry{offset.units | uint64_t{tag} << kOffsetBits};
  }
  constexpr Offset offset() const {
    return Offset{word & ((uint64_t{1} << kOffsetBits) - 1)};
  }
  constexpr uint16_t tag() const {
    return static_cast<uint16_t>(word >> kOffsetBits);
  }
};
EVE_LAYOUT(CollisionEntry, /*size=*/8, /*align=*/8);

// PERSISTED. Records whose 64 hash bits are all equal (kCollisionLeaf; depth
// kTrieDepthMax - 1, header.count 0), too many for a leaf. Followed by
// `entries` CollisionEntry in no particular order, and zeroes up to the next
// 16 bytes.
struct CollisionLeaf {
  BlockHeader header;  //   0..15
  uint64_t hash;       //  16..23  of every key in here
  uint32_t entries;    //  24..27
  uint32_t reserved;   //  28..31  zero
};
EVE_LAYOUT(CollisionLeaf, /*size=*/32, /*align=*/8);

}  // namespace eve

#endif  // EVE_ENGINE_FORMAT_NODE_LAYOUT_H_
