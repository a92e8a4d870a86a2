// LeafView: the records of one trie leaf, read from bytes that nobody vouches
// for.
//
// Threads:    value types over immutable bytes.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   points into the view.
// Errors:     every read is checked against the block; false means damage.
// Cost:       a search compares sixteen fingerprints at once, then, on average
//             1.03 keys of the leaf for a hit and 0.03 for a miss.
#ifndef EVE_ENGINE_COLLECTIONS_HAMT_LEAF_H_
#define EVE_ENGINE_COLLECTIONS_HAMT_LEAF_H_

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <bit>
#include <cstdint>
#include <cstring>

#include "engine/collections/hamt_map.h"
#include "engine/collections/hash.h"
#include "engine/file/block_view.h"
#include "engine/format/node_layout.h"
#include "eve/bytes.h"

namespace eve {

// Keys are short: two overlapping words instead of a call.
inline bool SameBytes(const char* a, const char* b, size_t size) {
  if (size < 8 || size > 16) return std::memcmp(a, b, size) == 0;
  uint64_t a_first, b_first, a_last, b_last;
  std::memcpy(&a_first, a, 8);
  std::memcpy(&b_first, b, 8);
  std::memcpy(&a_last, a + size - 8, 8);
  std::memcpy(&b_last, b + size - 8, 8);
  return ((a_first ^ b_first) | (a_last ^ b_last)) == 0;
}

// Bit i set: tags[i] == tag. Reads 16 tags.
inline uint32_t MatchTags(const char* tags, uint8_t tag) {
#if defined(__SSE2__)
  const void* address = tags;
  const __m128i block = _mm_loadu_si128(static_cast<const __m128i*>(address));
  return static_cast<uint32_t>(_mm_movemask_epi8(
      _mm_cmpeq_epi8(block, _mm_set1_epi8(static_cast<char>(tag)))));
#else
  uint32_t mask = 0;
  for (uint32_t i = 0; i < 16; ++i) {
    mask |= uint32_t{static_cast<uint8_t>(tags[i]) == tag} << i;
  }
  return mask;
#endif
}

// A record as a leaf stores it.
struct StoredRecord {
  const char* data = nullptr;
  uint32_t bytes = 0;
  uint8_t key_bytes = 0;
  uint8_t value_bytes = 0;

  bool external() const { return key_bytes == kExternalMark; }
  ExternalRecord AsExternal() const {
    ExternalRecord record;
    std::memcpy(&record, data, sizeof(record));
    return record;
  }
  // REQUIRES: !external(), here and below.
  Bytes key() const { return Bytes(data + kRecordHeadBytes, key_bytes); }
  Bytes value() const {
    return Bytes(data + kRecordHeadBytes + key_bytes, value_bytes);
  }
};

class LeafView {
 public:
  // False if there is no leaf at `offset`.
  static bool Open(const BlockView& view, Offset offset, LeafView* leaf) {
    // Two units at least: the search loads 16 fingerprints.
    const BlockHeader* header =
        view.Block(offset, BlockType::kTrieLeaf, 2 * kUnitBytes);
    if (header == nullptr) return false;
    leaf->data_ = view.At(offset);
    leaf->bytes_ = static_cast<uint32_t>(header->bytes());
    leaf->count_ = header->count;
    // The first bound keeps `bytes_` honest: positions are 16 bits wide.
    return header->size_units <= (1 << 16) / kUnitBytes && leaf->count_ != 0 &&
           leaf->TableEnd() <= leaf->bytes_;
  }

  const char* data() const { return data_; }
  uint32_t bytes() const { return bytes_; }
  uint32_t count() const { return count_; }
  uint8_t depth() const { return header().depth; }
  const BlockHeader& header() const {
    return *static_cast<const BlockHeader*>(static_cast<const void*>(data_));
  }
  const char* tags() const { return data_ + sizeof(BlockHeader); }
  const char* positions() const { return tags() + count_; }
  // Where the first record begins.
  uint32_t TableEnd() const {
    return static_cast<uint32_t>(sizeof(BlockHeader) +
                                 kLeafBytesPerRecord * count_);
  }
  // REQUIRES: index < count(), here and below.
  uint32_t Position(uint32_t index) const {
    uint16_t position;
    std::memcpy(&position, positions() + 2 * index, sizeof(position));
    return position;
  }

  bool Record(uint32_t index, StoredRecord* record) const {
    const uint32_t position = Position(index);
    if (position + kRecordHeadBytes > bytes_) return false;
    record->data = data_ + position;
    record->key_bytes = static_cast<uint8_t>(record->data[0]);
    record->value_bytes = static_cast<uint8_t>(record->data[1]);
    record->bytes =
        record->external()
            ? static_cast<uint32_t>(sizeof(ExternalRecord))
            : static_cast<uint32_t>(kRecordHeadBytes + record->key_bytes +
                                    record->value_bytes);
    return position + record->bytes <= bytes_;
  }

  // The hash of a record that Record() gave.
  static uint64_t HashOf(const KeyHasher& hasher, const StoredRecord& record) {
    return record.external() ? record.AsExternal().hash : hasher(record.key());
  }

  // Where the last record ends.
  bool ContentEnd(uint32_t* end) const {
    StoredRecord last;
    if (!Record(count_ - 1, &last)) return false;
    *end = static_cast<uint32_t>(last.data - data_) + last.bytes;
    return true;
  }

 private:
  const char* data_ = nullptr;
  uint32_t bytes_ = 0;
  uint32_t count_ = 0;
};

// A record with a block of its own.
struct LargeRecord {
  uint64_t hash = 0;
  uint64_t block_bytes = 0;
  Bytes key;
  Bytes value;
};

// False if there is none at `offset`.
inline bool OpenLargeRecord(const BlockView& view, Offset offset,
                            LargeRecord* record) {
  const BlockHeader* header =
      view.Block(offset, BlockType::kRecord, sizeof(RecordBlock));
  if (header == nullptr) return false;
  const auto* block = view.As<RecordBlock>(offset);
  const uint64_t room = header->bytes() - sizeof(RecordBlock);
  if (block->key_bytes > kKeyBytesMax || block->key_bytes > room ||
      block->value_bytes > room - block->key_bytes) {
    return false;
  }
  const char* bytes = view.At(offset) + sizeof(RecordBlock);
  record->hash = block->hash;
  record->block_bytes = header->bytes();
  record->key = Bytes(bytes, block->key_bytes);
  record->value = Bytes(bytes + block->key_bytes, block->value_bytes);
  return true;
}

// A record found in a leaf.
struct LeafHit {
  FindOutcome outcome = FindOutcome::kAbsent;
  uint32_t index = 0;
  StoredRecord stored;
  Bytes value;
};

// Whether record `index`, whose fingerprint matches, has this key.
inline FindOutcome CheckRecord(const BlockView& view, const LeafView& leaf,
                               uint64_t hash, Bytes key, uint32_t index,
                               LeafHit* hit) {
  StoredRecord& stored = hit->stored;
  if (!leaf.Record(index, &stored)) return FindOutcome::kDamaged;
  if (!stored.external()) {
    if (stored.key_bytes != key.size() ||
        !SameBytes(stored.key().data(), key.data(), key.size())) {
      return FindOutcome::kAbsent;
    }
    hit->value = stored.value();
    return FindOutcome::kFound;
  }
  const ExternalRecord external = stored.AsExternal();
  if (external.hash != hash) return FindOutcome::kAbsent;
  LargeRecord large;
  if (!OpenLargeRecord(view, external.offset(), &large)) {
    return FindOutcome::kDamaged;
  }
  if (large.key != key) return FindOutcome::kAbsent;
  hit->value = large.value;
  return FindOutcome::kFound;
}

inline LeafHit FindInLeaf(const BlockView& view, const LeafView& leaf,
                          uint64_t hash, Bytes key) {
  LeafHit hit;
  const uint8_t tag = LeafFingerprint(hash);
  const uint32_t count = leaf.count();
  // Sixteen tags lie inside the block even where the array is shorter: with
  // 16 * k < count, 32 + 16 * k <= 16 + 3 * count or the least block.
  for (uint32_t first = 0; first < count; first += 16) {
    uint32_t mask = MatchTags(leaf.tags() + first, tag);
    if (count - first < 16) mask &= (1u << (count - first)) - 1;
    for (; mask != 0; mask &= mask - 1) {
      hit.index = first + static_cast<uint32_t>(std::countr_zero(mask));
      hit.outcome = CheckRecord(view, leaf, hash, key, hit.index, &hit);
      if (hit.outcome != FindOutcome::kAbsent) return hit;
    }
  }
  return hit;
}

// A collision leaf, checked.
struct CollisionView {
  const CollisionLeaf* leaf = nullptr;
  absl::Span<const CollisionEntry> entries;

  static bool Open(const BlockView& view, Offset offset, CollisionView* out) {
    const BlockHeader* header =
        view.Block(offset, BlockType::kCollisionLeaf, sizeof(CollisionLeaf));
    if (header == nullptr) return false;
    const auto* leaf = view.As<CollisionLeaf>(offset);
    const uint64_t room = header->bytes() - sizeof(CollisionLeaf);
    if (leaf->entries > room / sizeof(CollisionEntry)) return false;
    out->leaf = leaf;
    const void* after = leaf + 1;
    out->entries = absl::MakeConstSpan(
        static_cast<const CollisionEntry*>(after), leaf->entries);
    return true;
  }
};

// Walks all keys with the right tag; `*index` is that of the one found.
inline FindOutcome FindInCollisions(const BlockView& view,
                                    absl::Span<const CollisionEntry> entries,
                                    uint16_t tag, Bytes key, size_t* index,
                                    Bytes* value) {
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].tag() != tag) continue;
    LargeRecord record;
    if (!OpenLargeRecord(view, entries[i].offset(), &record)) {
      return FindOutcome::kDamaged;
    }
    if (record.key != key) continue;
    *index = i;
    *value = record.value;
    return FindOutcome::kFound;
  }
  return FindOutcome::kAbsent;
}

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_HAMT_LEAF_H_
