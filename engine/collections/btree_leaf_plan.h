// LeafPlan: how long a leaf of some records gets, and what its head says.
//
// Threads:    one.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   records given to Add() stay where they are while more are added.
// Errors:     none.
// Cost:       a comparison of two keys a record.
#ifndef EVE_ENGINE_COLLECTIONS_BTREE_LEAF_PLAN_H_
#define EVE_ENGINE_COLLECTIONS_BTREE_LEAF_PLAN_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/collections/btree_node.h"
#include "engine/format/tree_layout.h"
#include "util/align.h"

namespace eve {

// What a leaf of some records will look like.
class LeafPlan {
 public:
  explicit LeafPlan(bool aligned) : aligned_(aligned) {}

  // Records are added in order, and not moved while more are.
  void Add(const TreeRecord& record) {
    if (count_ == 0) first_ = &record.key;
    AddShape({record.key.size(), record.value.size(), record.external},
             count_ == 0 ? 0 : CommonPrefix(*first_, record.key));
  }
  // For who knows how many bytes the key has in common with the first one, or
  // with the one before it: the least of these is the prefix.
  struct Shape {
    size_t key_bytes = 0;
    size_t value_bytes = 0;  // as stored in the leaf
    bool external = false;
  };
  void AddShape(const Shape& record, size_t common) {
    if (count_ == 0) {
      prefix_ = std::min<size_t>(record.key_bytes, kTreePrefixBytesMax);
      key_bytes_ = record.key_bytes;
      value_bytes_ = record.value_bytes;
      external_ = record.external;
    } else {
      prefix_ = std::min(prefix_, common);
    }
    same_keys_ &= record.key_bytes == key_bytes_;
    same_values_ &=
        record.value_bytes == value_bytes_ && record.external == external_;
    key_sum_ += record.key_bytes;
    value_end_ = ValueBegin() + record.value_bytes;
    ++count_;
  }

  uint64_t ValueBegin() const {
    return aligned_ ? AlignUp(value_end_, kTreeValueAlign) : value_end_;
  }
  uint64_t key_area() const { return key_sum_ - count_ * prefix_; }
  uint64_t value_area() const { return value_end_; }
  bool uniform_keys() const {
    return same_keys_ && key_bytes_ - prefix_ < kTreeVaries;
  }
  bool uniform_values() const {
    return same_values_ && value_bytes_ < kTreeVaries;
  }
  bool wide() const {
    return key_area() > kTreeNarrowAreaMax || value_area() > kTreeNarrowAreaMax;
  }
  uint32_t end_bytes() const { return wide() ? 4 : 2; }
  uint64_t KeysAt() const {
    return sizeof(TreeLeaf) + prefix_ +
           (uniform_keys() ? 0 : count_ * end_bytes()) +
           (uniform_values() ? 0 : count_ * end_bytes());
  }
  uint64_t ValuesAt() const {
    const uint64_t at = KeysAt() + key_area();
    return aligned_ ? AlignUp(at, kTreeValueAlign) : at;
  }
  uint64_t bytes() const { return ValuesAt() + value_area(); }
  uint64_t count() const { return count_; }
  size_t prefix() const { return prefix_; }

  TreeLeaf Head(const BlockHeader& header) const {
    TreeLeaf head{};
    head.header = header;
    head.prefix_bytes = static_cast<uint16_t>(prefix_);
    head.key_bytes = uniform_keys()
                         ? static_cast<uint16_t>(key_bytes_ - prefix_)
                         : kTreeVaries;
    head.value_bytes =
        uniform_values() ? static_cast<uint16_t>(value_bytes_) : kTreeVaries;
    head.flags = 0;
    if (wide()) head.flags |= kTreeLeafWide;
    if (uniform_values() && external_) head.flags |= kTreeLeafExternal;
    if (aligned_) head.flags |= kTreeLeafAligned;
    return head;
  }

 private:
  bool aligned_;
  const KeyPieces* first_ = nullptr;
  uint64_t count_ = 0;
  size_t prefix_ = 0;
  size_t key_bytes_ = 0;
  size_t value_bytes_ = 0;
  bool external_ = false;
  bool same_keys_ = true;
  bool same_values_ = true;
  uint64_t key_sum_ = 0;
  uint64_t value_end_ = 0;
};

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_BTREE_LEAF_PLAN_H_
