#include "engine/verify/tree_shape.h"

#include <algorithm>
#include <cstring>

#include "engine/format/constants.h"

namespace eve::verify {
namespace {

constexpr uint16_t kLeafFlags =
    kTreeLeafWide | kTreeLeafExternal | kTreeLeafAligned;
constexpr uint64_t kHeadBytes = 8;

uint64_t AlignValue(uint64_t at) {
  return (at + kTreeValueAlign - 1) / kTreeValueAlign * kTreeValueAlign;
}

bool IsWide(const TreeLeaf& head) { return (head.flags & kTreeLeafWide) != 0; }
bool IsAligned(const TreeLeaf& head) {
  return (head.flags & kTreeLeafAligned) != 0;
}

uint64_t EndAt(const LoadedBlock& block, bool wide, uint64_t ends, uint64_t i) {
  return wide ? block.Read<uint32_t>(ends + 4 * i)
              : block.Read<uint16_t>(ends + 2 * i);
}

std::string_view Part(const LoadedBlock& block, uint64_t from, uint64_t end) {
  return std::string_view(block.bytes.data() + from, end - from);
}

// What a block's content ends with: its size, and zeroes.
void CheckEnd(const LoadedBlock& block, const char* size, const char* padding,
              uint64_t end, ErrorLog& log) {
  if (!log.Equal(block.offset, size, UnitsForBytes(end),
                 block.header.size_units)) {
    return;
  }
  if (!block.IsZeroFrom(end)) {
    log.Add(block.offset, padding, "zeroes", "other bytes");
  }
}

}  // namespace

bool TreeLeafShape::Make(const LoadedBlock& block, ErrorLog& log) {
  const Offset offset = block.offset;
  const auto head = block.Read<TreeLeaf>(0);
  const uint64_t n = head.header.count;
  keys_.clear();
  values_.clear();
  if (n == 0 || n > kTreeLeafRecordsMax) {
    log.Add(offset, "tree leaf: count",
            absl::StrCat("1 to ", kTreeLeafRecordsMax), absl::StrCat(n));
    return false;
  }
  if ((head.flags & ~kLeafFlags) != 0) {
    log.Add(offset, "tree leaf: unknown flags", Hex(head.flags & kLeafFlags),
            Hex(head.flags));
  }
  const uint64_t ends_bytes = n * (IsWide(head) ? 4 : 2);
  const uint64_t prefix_end = sizeof(TreeLeaf) + head.prefix_bytes;
  const uint64_t value_ends =
      prefix_end + (head.key_bytes == kTreeVaries ? ends_bytes : 0);
  const uint64_t keys =
      value_ends + (head.value_bytes == kTreeVaries ? ends_bytes : 0);
  if (!log.AtMost(offset, "tree leaf: where its keys begin", block.bytes.size(),
                  keys)) {
    return false;
  }
  prefix_ = Part(block, sizeof(TreeLeaf), prefix_end);
  if (!PlaceKeys(block, head, prefix_end, keys, log) ||
      !PlaceValues(block, head, value_ends, log)) {
    return false;
  }
  CheckAreas(block, head, log);
  return true;
}

bool TreeLeafShape::PlaceKeys(const LoadedBlock& block, const TreeLeaf& head,
                              uint64_t ends, uint64_t begin, ErrorLog& log) {
  const uint64_t room = block.bytes.size() - begin;
  uint64_t at = 0;
  for (uint64_t i = 0; i < head.header.count; ++i) {
    const uint64_t end = head.key_bytes == kTreeVaries
                             ? EndAt(block, IsWide(head), ends, i)
                             : at + head.key_bytes;
    if (end < at || end > room) {
      log.Add(block.offset, absl::StrCat("tree leaf: end of key ", i),
              absl::StrCat(at, " to ", room), absl::StrCat(end));
      return false;
    }
    keys_.push_back(Part(block, begin + at, begin + end));
    at = end;
  }
  keys_begin_ = begin;
  keys_end_ = begin + at;
  return true;
}

bool TreeLeafShape::PlaceValues(const LoadedBlock& block, const TreeLeaf& head,
                                uint64_t ends, ErrorLog& log) {
  const bool varies = head.value_bytes == kTreeVaries;
  const bool all_external = (head.flags & kTreeLeafExternal) != 0;
  const uint64_t bit = uint64_t{1} << (IsWide(head) ? 31 : 15);
  if (all_external) {
    log.Equal(block.offset, "tree leaf: bytes of values that are external",
              kTreeExternalBytes, head.value_bytes);
  }
  values_begin_ = IsAligned(head) ? AlignValue(keys_end_) : keys_end_;
  const uint64_t limit = block.bytes.size();
  const uint64_t room = limit - std::min(limit, values_begin_);
  uint64_t at = 0;
  for (uint64_t i = 0; i < head.header.count; ++i) {
    const uint64_t begin = IsAligned(head) ? AlignValue(at) : at;
    uint64_t end = begin + head.value_bytes;
    bool external = all_external;
    if (varies) {
      const uint64_t word = EndAt(block, IsWide(head), ends, i);
      end = word & (bit - 1);
      external = (word & bit) != 0;
    }
    if (end < begin || end > room) {
      log.Add(block.offset, absl::StrCat("tree leaf: end of value ", i),
              absl::StrCat(begin, " to ", room), absl::StrCat(end));
      return false;
    }
    if (!block.IsZero(values_begin_ + at, values_begin_ + begin)) {
      log.Add(block.offset, absl::StrCat("tree leaf: gap before value ", i),
              "zeroes", "other bytes");
    }
    values_.push_back(
        {Part(block, values_begin_ + begin, values_begin_ + end), external});
    at = end;
  }
  values_end_ = values_begin_ + at;
  return true;
}

void TreeLeafShape::CheckAreas(const LoadedBlock& block, const TreeLeaf& head,
                               ErrorLog& log) const {
  const Offset offset = block.offset;
  const bool wide = keys_end_ - keys_begin_ > kTreeNarrowAreaMax ||
                    values_end_ - values_begin_ > kTreeNarrowAreaMax;
  log.Equal(offset, "tree leaf: wide", wide ? 1 : 0, IsWide(head) ? 1 : 0);
  if (!block.IsZero(keys_end_,
                    std::min<uint64_t>(values_begin_, block.bytes.size()))) {
    log.Add(offset, "tree leaf: gap between keys and values", "zeroes",
            "other bytes");
  }
  for (uint32_t i = 1; i < count(); ++i) {
    if (keys_[i - 1] < keys_[i]) continue;
    const bool equal = keys_[i - 1] == keys_[i];
    log.Add(
        offset,
        equal ? "tree leaf: a key is here twice" : "tree leaf: order of keys",
        absl::StrCat("key ", i, " above the one before"),
        equal ? "equal" : "below");
  }
  for (const std::string_view key : keys_) {
    if (!log.AtMost(offset, "tree leaf: key bytes", kKeyBytesMax,
                    prefix_.size() + key.size())) {
      break;
    }
  }
  CheckEnd(block, "tree leaf: size in units", "tree leaf: padding", values_end_,
           log);
}

bool TreeNodeShape::Make(const LoadedBlock& block, uint32_t children_min,
                         ErrorLog& log) {
  const Offset offset = block.offset;
  const auto head = block.Read<TreeNode>(0);
  count_ = head.header.count;
  level_ = head.header.depth;
  has_separators_ = false;
  separators_.clear();
  if (count_ < children_min) {
    log.Add(offset, "tree node: children",
            absl::StrCat("at least ", children_min), absl::StrCat(count_));
    if (count_ == 0) return false;
  }
  if ((head.flags & ~kTreeNodeLong) != 0) {
    log.Add(offset, "tree node: unknown flags", Hex(head.flags & kTreeNodeLong),
            Hex(head.flags));
  }
  log.Equal(offset, "tree node: reserved", 0, head.reserved);
  const bool is_long = (head.flags & kTreeNodeLong) != 0;
  const uint64_t n = count_;
  slots_at_ = sizeof(TreeNode) + kHeadBytes * (n - 1);
  const uint64_t sizes_at =
      slots_at_ + sizeof(TreeSlot) * n * (level_ > 1 ? 2 : 1);
  const uint64_t prefix_at = sizes_at + (n - 1) * (is_long ? 4 : 1);
  end_ = prefix_at + head.prefix_bytes;
  if (!log.AtMost(offset, "tree node: bytes for its children",
                  block.bytes.size(), sizes_at)) {
    return false;
  }
  // The children are known now, and worth a look whatever comes.
  if (!log.AtMost(offset, "tree node: bytes for its prefix", block.bytes.size(),
                  end_)) {
    return true;
  }
  prefix_ = Part(block, prefix_at, end_);
  if (n == 1) {
    log.Equal(offset, "tree node: prefix of no separators", 0, prefix_.size());
  }
  has_separators_ = is_long ? PlaceLong(block, sizes_at, end_, log)
                            : PlaceShort(block, sizes_at, log);
  if (has_separators_) CheckSeparators(block, is_long, log);
  return true;
}

bool TreeNodeShape::PlaceShort(const LoadedBlock& block, uint64_t sizes_at,
                               ErrorLog& log) {
  for (uint64_t i = 0; i + 1 < count_; ++i) {
    const auto size = block.Read<uint8_t>(sizes_at + i);
    if (!log.AtMost(block.offset, "tree node: size of a separator", kHeadBytes,
                    size)) {
      return false;
    }
    const uint64_t at = sizeof(TreeNode) + kHeadBytes * i;
    separators_.push_back(Part(block, at, at + size));
    if (!block.IsZero(at + size, at + kHeadBytes)) {
      log.Add(block.offset, absl::StrCat("tree node: head of separator ", i),
              absl::StrCat("zeroes behind its ", size, " bytes"),
              "other bytes");
    }
  }
  return true;
}

bool TreeNodeShape::PlaceLong(const LoadedBlock& block, uint64_t ends_at,
                              uint64_t tails_at, ErrorLog& log) {
  const uint64_t room = block.bytes.size() - tails_at;
  uint64_t begin = 0;
  for (uint64_t i = 0; i + 1 < count_; ++i) {
    const uint64_t end = block.Read<uint32_t>(ends_at + 4 * i);
    if (end < begin || end > room) {
      log.Add(block.offset, absl::StrCat("tree node: end of separator ", i),
              absl::StrCat(begin, " to ", room), absl::StrCat(end));
      return false;
    }
    separators_.push_back(Part(block, tails_at + begin, tails_at + end));
    char head[kHeadBytes] = {};
    std::memcpy(head, separators_.back().data(),
                std::min(kHeadBytes, end - begin));
    const uint64_t head_at = sizeof(TreeNode) + kHeadBytes * i;
    if (Part(block, head_at, head_at + kHeadBytes) !=
        std::string_view(head, kHeadBytes)) {
      log.Add(block.offset, absl::StrCat("tree node: head of separator ", i),
              "its first bytes", "others");
    }
    begin = end;
  }
  end_ = tails_at + begin;
  return true;
}

void TreeNodeShape::CheckSeparators(const LoadedBlock& block, bool is_long,
                                    ErrorLog& log) const {
  const Offset offset = block.offset;
  uint64_t longest = 0;
  for (size_t i = 0; i < separators_.size(); ++i) {
    longest = std::max<uint64_t>(longest, separators_[i].size());
    if (i == 0 || separators_[i - 1] < separators_[i]) continue;
    log.Add(offset, "tree node: order of separators",
            absl::StrCat("separator ", i, " above the one before"),
            "not above it");
  }
  log.AtMost(offset, "tree node: bytes of a separator", kKeyBytesMax,
             prefix_.size() + longest);
  log.Equal(offset, "tree node: long", longest > kHeadBytes ? 1 : 0,
            is_long ? 1 : 0);
  CheckEnd(block, "tree node: size in units", "tree node: padding", end_, log);
}

}  // namespace eve::verify
