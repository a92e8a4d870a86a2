// TrieWriter: places the blocks of a hash trie.
//
// Threads:    one thread, inside one transaction.
// Processes:  what it writes is seen by nobody until the commit.
// Owns:       nothing.
// Lifetime:   one edit.
// Errors:     those of NodeStore::Allocate(), and kResourceExhausted for too
//             many keys of one hash.
// Cost:       a leaf is written once, front to back.
#ifndef EVE_ENGINE_COLLECTIONS_HAMT_WRITER_H_
#define EVE_ENGINE_COLLECTIONS_HAMT_WRITER_H_

#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/collections/hamt_leaf.h"
#include "engine/collections/hamt_map.h"
#include "engine/format/node_layout.h"
#include "eve/bytes.h"

namespace eve {

// A record on its way into a leaf. Its bytes are those of an older leaf or of
// the caller.
struct PendingRecord {
  uint64_t hash = 0;
  Bytes key;        // empty while the record is external and not looked at
  Bytes value;      // the same
  Offset external;  // its block, if it has one already

  bool is_large() const {
    return key.size() + value.size() > kInlineRecordBytesMax ||
           key.size() > kInlineKeyBytesMax ||
           value.size() > kInlineValueBytesMax;
  }
  // What it takes in a leaf, table included.
  uint32_t LeafBytes() const {
    const size_t stored = !external.is_null() || is_large()
                              ? sizeof(ExternalRecord)
                              : kRecordHeadBytes + key.size() + value.size();
    return static_cast<uint32_t>(kLeafBytesPerRecord + stored);
  }
};

// Slots of one node: an aligned power-of-two range.
struct SlotRange {
  uint32_t first = 0;
  uint32_t size = 0;
  uint32_t end() const { return first + size; }
};

// Where a leaf hangs: in `range` of a node of `depth`. A root that is a leaf
// hangs in the one slot of a node of depth -1.
struct Region {
  int depth = -1;
  SlotRange range{0, 1};

  // What the leaf's header says.
  uint8_t leaf_depth() const {
    return static_cast<uint8_t>(depth < 0 ? 0 : depth);
  }
  // The bits that all hashes in here have in common.
  int prefix_bits() const;
  bool can_halve() const {
    return depth >= 0 &&
           range.size > TrieRangeMin(static_cast<uint32_t>(depth));
  }
};

// The range of the leaf that `index` belongs to; for an empty slot the largest
// one that is empty. `slots` are those of a whole node.
SlotRange RangeOf(const NodeSlot* slots, uint32_t index);

inline void FillRange(NodeSlot* slots, SlotRange range, NodeSlot value) {
  for (uint32_t i = range.first; i < range.end(); ++i) slots[i] = value;
}

// Writes record `index` of a leaf of `count` into `block`: its tag, its
// position and, at `at`, itself. Returns where it ends.
// REQUIRES: a large record is external by now.
char* StoreRecord(const PendingRecord& record, uint32_t index, uint32_t count,
                  char* block, char* at);

absl::Status DamagedBlock(Offset offset, const char* what);

class TrieWriter {
 public:
  explicit TrieWriter(const EditContext& context) : context_(context) {}

  const BlockView& view() const { return context_.store->view(); }
  const KeyHasher& hasher() const { return context_.hasher; }
  char* Edit(Offset offset) { return context_.store->Edit(offset); }
  void Retire(Offset offset, uint64_t bytes) {
    context_.store->Retire(offset, bytes);
  }
  // kDataLoss if there is no record at `offset`.
  absl::Status RetireRecord(Offset offset);

  // A block of `bytes` with its header written and its padding zeroed.
  absl::Status NewBlockOf(BlockType type, int depth, uint32_t count,
                          uint64_t bytes, NewBlock* block);
  absl::Status WriteRecord(uint64_t hash, Bytes key, Bytes value,
                           Offset* offset);

  // Puts `records`, ordered by hash, into `region`, whose slots begin at
  // `slots` (those of the whole node): one leaf, or more if it takes more.
  absl::Status BuildRange(absl::Span<PendingRecord> records,
                          const Region& region, NodeSlot* slots);

  // REQUIRES: the records fit kLeafBytesMax.
  absl::Status WriteLeaf(absl::Span<PendingRecord> records, uint8_t depth,
                         NodeSlot* slot);

  // A leaf that takes the place of `old`: over it, if it may be edited and has
  // the size, else in a new block, and `old` is retired. `fill(block)` writes
  // everything but header and padding; it may read from the old one.
  // REQUIRES: bytes <= kLeafBytesMax.
  template <class Fill>
  absl::Status ReplaceLeaf(NodeSlot old, const LeafView& leaf, uint32_t count,
                           uint32_t bytes, Fill fill, NodeSlot* slot);

  absl::Status WriteCollisionLeaf(uint64_t hash,
                                  absl::Span<const CollisionEntry> entries,
                                  NodeSlot* slot);

 private:
  absl::Status BuildNode(absl::Span<PendingRecord> records, uint32_t depth,
                         NodeSlot* slot);
  absl::Status BuildCollisionLeaf(absl::Span<PendingRecord> records,
                                  NodeSlot* slot);

  const EditContext& context_;
};

// Zeroes a block after its last byte of content, to the end of its last unit.
inline void ZeroPadding(char* block, uint64_t bytes) {
  const uint64_t end = UnitsForBytes(bytes) * kUnitBytes;
  std::memset(block + bytes, 0, end - bytes);
}

template <class Fill>
absl::Status TrieWriter::ReplaceLeaf(NodeSlot old, const LeafView& leaf,
                                     uint32_t count, uint32_t bytes, Fill fill,
                                     NodeSlot* slot) {
  const uint64_t block_bytes = UnitsForBytes(bytes) * kUnitBytes;
  char* const in_place =
      block_bytes == leaf.bytes() ? Edit(old.offset()) : nullptr;
  if (in_place == nullptr) {
    NewBlock block;
    const absl::Status placed =
        NewBlockOf(BlockType::kTrieLeaf, leaf.depth(), count, bytes, &block);
    if (!placed.ok()) return placed;
    fill(block.data);
    Retire(old.offset(), leaf.bytes());
    *slot = NodeSlot::Make(SlotKind::kLeaf, block.offset, bytes);
    return absl::OkStatus();
  }
  // By way of a copy: old and new records overlap.
  char copy[kLeafBytesMax + kUnitBytes];
  BlockHeader header = leaf.header();
  header.count = static_cast<uint16_t>(count);
  header.checksum = 0;
  std::memcpy(copy, &header, sizeof(header));
  ZeroPadding(copy, bytes);
  fill(copy);
  std::memcpy(in_place, copy, block_bytes);
  *slot = old;
  return absl::OkStatus();
}

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_HAMT_WRITER_H_
