// Views of a B+tree's blocks: checked when opened, then read in place.
//
// Threads:    immutable values; any thread.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   the view that they were opened in.
// Errors:     Open() is false for bytes that are no such block; what a key or
//             value needs beyond that is checked when it is read.
// Cost:       Open() reads one cache line of a leaf or node.
#ifndef EVE_ENGINE_COLLECTIONS_BTREE_NODE_H_
#define EVE_ENGINE_COLLECTIONS_BTREE_NODE_H_

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/file/block_view.h"
#include "engine/format/tree_layout.h"
#include "eve/bytes.h"
#include "util/align.h"
#include "util/prefetch.h"

namespace eve {

inline uint64_t LoadBigEndian64(const char* from) {
  uint64_t word;
  std::memcpy(&word, from, sizeof(word));
  return __builtin_bswap64(word);
}

// The first 8 bytes of `bytes` as a number that orders as they do; zeroes for
// what is missing.
inline uint64_t KeyHead(Bytes bytes) {
  if (bytes.size() >= 8) return LoadBigEndian64(bytes.data());
  uint64_t head = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    head |= uint64_t{static_cast<uint8_t>(bytes.data()[i])} << (56 - 8 * i);
  }
  return head;
}

// Of how many bytes both begin with, looking at the first `limit`.
inline size_t CommonBytes(const char* a, const char* b, size_t limit) {
  size_t at = 0;
  for (; at + 8 <= limit; at += 8) {
    const uint64_t other = LoadBigEndian64(a + at) ^ LoadBigEndian64(b + at);
    if (other != 0) {
      return at + static_cast<size_t>(std::countl_zero(other)) / 8;
    }
  }
  while (at < limit && a[at] == b[at]) ++at;
  return at;
}

inline int CompareBytes(Bytes a, Bytes b) {
  const size_t common = std::min(a.size(), b.size());
  const int order = common == 0 ? 0 : std::memcmp(a.data(), b.data(), common);
  if (order != 0) return order;
  return a.size() < b.size() ? -1 : a.size() > b.size();
}

// Where a key lies with respect to all that begin with a prefix.
enum class PrefixOrder : uint8_t { kBelow, kWithin, kAbove };
inline PrefixOrder ComparePrefix(Bytes key, Bytes prefix) {
  const size_t common = std::min(key.size(), prefix.size());
  const int order =
      common == 0 ? 0 : std::memcmp(key.data(), prefix.data(), common);
  if (order > 0) return PrefixOrder::kAbove;
  if (order < 0 || key.size() < prefix.size()) return PrefixOrder::kBelow;
  return PrefixOrder::kWithin;
}

// What a leaf or node of two keys or more, of so many bytes, counts as against
// what writers aim at.
inline uint64_t CountedBytes(uint64_t bytes, size_t prefix) {
  return prefix <= kTreeCountedPrefixMax
             ? bytes
             : bytes - (prefix - kTreeCountedPrefixMax);
}

// A key in two pieces: the prefix of the leaf or node that it comes from, and
// the rest. A key of the caller has no first piece.
struct KeyPieces {
  Bytes head;
  Bytes tail;

  size_t size() const { return head.size() + tail.size(); }
  // Bytes from `skip` on, as far as they lie in one piece.
  Bytes PieceAt(size_t skip) const {
    if (skip < head.size()) {
      return Bytes(head.data() + skip, head.size() - skip);
    }
    return Bytes(tail.data() + (skip - head.size()), size() - skip);
  }
  // The first `bytes` of it.
  KeyPieces Truncated(size_t bytes) const;
  // Copies what follows the first `skip` bytes; returns the end of the copy.
  char* CopyFrom(size_t skip, char* to) const;
};

// Of how many bytes both begin with.
size_t CommonPrefix(const KeyPieces& a, const KeyPieces& b);

struct TreeRecord {
  KeyPieces key;
  Bytes value;  // if external, the 8 bytes that stand for it
  bool external = false;
};

class TreeLeafView {
 public:
  static bool Open(const BlockView& view, Offset offset, TreeLeafView* out);

  bool is_open() const { return head_ != nullptr; }
  const BlockHeader& header() const { return head_->header; }
  const char* data() const { return block_; }
  uint32_t bytes() const { return static_cast<uint32_t>(header().bytes()); }
  uint32_t count() const { return head_->header.count; }
  Bytes prefix() const { return Bytes(prefix_, head_->prefix_bytes); }
  bool is_aligned() const { return (head_->flags & kTreeLeafAligned) != 0; }
  bool has_uniform_keys() const { return head_->key_bytes != kTreeVaries; }
  bool has_uniform_values() const { return head_->value_bytes != kTreeVaries; }
  // All records have the same shape and no ends are stored.
  bool IsUniform() const {
    return has_uniform_keys() && has_uniform_values() &&
           (head_->flags & kTreeLeafWide) == 0;
  }
  bool all_external() const { return (head_->flags & kTreeLeafExternal) != 0; }
  uint32_t key_bytes() const { return head_->key_bytes; }
  uint32_t value_bytes() const { return head_->value_bytes; }
  // From one value to the next, where they are uniform.
  uint32_t value_stride() const { return value_stride_; }
  const char* keys() const { return keys_; }
  const char* values() const { return values_; }
  uint32_t value_area_bytes() const { return value_area_; }

  // REQUIRES: index < count(), here and below.
  // What follows the prefix. Damaged ends give bytes of the key area.
  Bytes Suffix(uint32_t index) const {
    if (has_uniform_keys()) {
      return Bytes(keys_ + index * key_bytes(), key_bytes());
    }
    const uint32_t end = KeyEnd(index);
    const uint32_t begin = index == 0 ? 0 : KeyEnd(index - 1);
    return begin <= end ? Bytes(keys_ + begin, end - begin) : Bytes();
  }
  uint32_t LongestSuffix() const {
    return has_uniform_keys() ? key_bytes() : key_area_;
  }
  // The value as it lies in the leaf: if `external`, 8 bytes with the offset
  // of its block.
  Bytes Stored(uint32_t index, bool* external) const;
  static Offset ExternalOffset(Bytes stored) {
    uint64_t units;
    std::memcpy(&units, stored.data(), sizeof(units));
    return Offset{units};
  }
  TreeRecord Record(uint32_t index) const {
    TreeRecord record;
    record.key = KeyPieces{prefix(), Suffix(index)};
    record.value = Stored(index, &record.external);
    return record;
  }
  void AppendAll(std::vector<TreeRecord>& records) const {
    for (uint32_t i = 0; i < count(); ++i) records.push_back(Record(i));
  }
  // False if the bytes are damaged.
  bool Value(const BlockView& view, uint32_t index, Bytes* value) const;

  // The first key that is not less than `key`; count() if there is none.
  uint32_t LowerBound(Bytes key, bool* equal) const;

 private:
  uint32_t End(const char* ends, uint32_t index) const {
    if ((head_->flags & kTreeLeafWide) != 0) {
      uint32_t end;
      std::memcpy(&end, ends + 4 * index, sizeof(end));
      return end;
    }
    uint16_t end;
    std::memcpy(&end, ends + 2 * index, sizeof(end));
    return end;
  }
  uint32_t KeyEnd(uint32_t index) const {
    return std::min(End(key_ends_, index), key_area_);
  }
  uint32_t ExternalBit() const {
    return (head_->flags & kTreeLeafWide) != 0 ? uint32_t{1} << 31
                                               : uint32_t{1} << 15;
  }
  uint32_t ValueEnd(uint32_t index) const {
    return std::min(End(value_ends_, index) & (ExternalBit() - 1), value_area_);
  }
  bool Place();
  uint32_t SearchNumbers(Bytes rest, bool* equal) const;
  uint32_t SearchBytes(Bytes rest, bool* equal) const;

  const char* block_ = nullptr;
  const TreeLeaf* head_ = nullptr;
  const char* prefix_ = nullptr;
  const char* key_ends_ = nullptr;
  const char* value_ends_ = nullptr;
  const char* keys_ = nullptr;
  const char* values_ = nullptr;
  uint32_t key_area_ = 0;
  uint32_t value_area_ = 0;
  uint32_t value_stride_ = 0;
};

class TreeNodeView {
 public:
  // A node of level `level`; kAnyLevel takes what is there.
  static constexpr uint32_t kAnyLevel = 0;
  static bool Open(const BlockView& view, Offset offset, uint32_t level,
                   TreeNodeView* out);

  const BlockHeader& header() const { return head_->header; }
  const char* data() const { return block_; }
  uint32_t bytes() const { return static_cast<uint32_t>(header().bytes()); }
  uint32_t level() const { return head_->header.depth; }
  // Of children; at least 1.
  uint32_t count() const { return head_->header.count; }
  Bytes prefix() const { return Bytes(prefix_, head_->prefix_bytes); }

  // REQUIRES: index < count().
  TreeSlot slot(uint32_t index) const {
    TreeSlot slot;
    std::memcpy(&slot, slots_ + 8 * index, sizeof(slot));
    return slot;
  }
  // Records below that slot.
  uint64_t RecordsBelow(uint32_t index) const {
    if (level() == 1) return slot(index).leaf_records();
    uint64_t records;
    std::memcpy(&records, slots_ + 8 * (count() + index), sizeof(records));
    return records;
  }
  const char* slots() const { return slots_; }
  // Behind the prefix. REQUIRES: index + 1 < count(). A damaged one is empty.
  Bytes Separator(uint32_t index) const;

  // The child whose keys `key` would be among.
  uint32_t ChildFor(Bytes key) const;

 private:
  bool is_long() const { return (head_->flags & kTreeNodeLong) != 0; }
  uint64_t HeadAt(uint32_t index) const {
    return LoadBigEndian64(heads() + 8 * index);
  }
  const char* heads() const { return block_ + sizeof(TreeNode); }
  bool Place();

  const char* block_ = nullptr;
  const TreeNode* head_ = nullptr;
  const char* slots_ = nullptr;
  const char* sizes_ = nullptr;  // or ends
  const char* prefix_ = nullptr;
};

// The value of an external record, and, if `key` is not null, its key; false if
// there is none at `offset`.
bool OpenTreeValue(const BlockView& view, Offset offset, Bytes* value,
                   Bytes* key = nullptr);

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_BTREE_NODE_H_
