#include "engine/collections/btree_node.h"

namespace eve {
namespace {

// The first `bytes` (up to 8) of what stands in front of `end`, as a number.
// Reads whole words: what lies before a key is still its leaf's.
inline uint64_t NumberEndingAt(const char* end, uint64_t mask) {
  return LoadBigEndian64(end - 8) & mask;
}

}  // namespace

KeyPieces KeyPieces::Truncated(size_t bytes) const {
  if (bytes <= head.size()) return {Bytes(head.data(), bytes), Bytes()};
  return {head, Bytes(tail.data(), std::min(bytes - head.size(), tail.size()))};
}

char* KeyPieces::CopyFrom(size_t skip, char* to) const {
  while (skip < size()) {
    const Bytes piece = PieceAt(skip);
    std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
    skip += piece.size();
  }
  return to;
}

size_t CommonPrefix(const KeyPieces& a, const KeyPieces& b) {
  const size_t limit = std::min(a.size(), b.size());
  size_t at = 0;
  while (at < limit) {
    const Bytes x = a.PieceAt(at);
    const Bytes y = b.PieceAt(at);
    const size_t n = std::min(x.size(), y.size());
    // Neighbours often come from the same leaf: the same bytes.
    if (x.data() != y.data()) {
      const size_t same = CommonBytes(x.data(), y.data(), n);
      if (same < n) return at + same;
    }
    at += n;
  }
  return limit;
}

bool TreeLeafView::Open(const BlockView& view, Offset offset,
                        TreeLeafView* out) {
  const BlockHeader* header =
      view.Block(offset, BlockType::kTreeLeaf, sizeof(TreeLeaf));
  if (header == nullptr || header->count == 0 ||
      header->bytes() > kTreeBlockBytesMax) {
    return false;
  }
  out->head_ = view.As<TreeLeaf>(offset);
  out->block_ = view.At(offset);
  return out->Place();
}

bool TreeLeafView::Place() {
  const uint64_t n = count();
  const bool wide = (head_->flags & kTreeLeafWide) != 0;
  const uint64_t end_bytes = wide ? 4 : 2;
  uint64_t at = sizeof(TreeLeaf);
  prefix_ = block_ + at;
  at += head_->prefix_bytes;
  key_ends_ = block_ + at;
  if (!has_uniform_keys()) at += n * end_bytes;
  value_ends_ = block_ + at;
  if (!has_uniform_values()) at += n * end_bytes;
  const uint64_t limit = head_->header.bytes();
  if (at > limit) return false;
  keys_ = block_ + at;
  const uint64_t key_area = has_uniform_keys()
                                ? n * key_bytes()
                                : End(key_ends_, static_cast<uint32_t>(n) - 1);
  at += key_area;
  if (is_aligned()) at = AlignUp(at, kTreeValueAlign);
  values_ = block_ + at;
  uint64_t value_area;
  if (has_uniform_values()) {
    value_stride_ = value_bytes();
    if (is_aligned()) {
      value_stride_ =
          static_cast<uint32_t>(AlignUp(value_stride_, kTreeValueAlign));
    }
    value_area = (n - 1) * value_stride_ + value_bytes();
  } else {
    value_area =
        End(value_ends_, static_cast<uint32_t>(n) - 1) & (ExternalBit() - 1);
  }
  if (at + value_area > limit) return false;
  key_area_ = static_cast<uint32_t>(key_area);
  value_area_ = static_cast<uint32_t>(value_area);
  return true;
}

Bytes TreeLeafView::Stored(uint32_t index, bool* external) const {
  if (has_uniform_values()) {
    *external = all_external();
    return Bytes(values_ + index * value_stride_, value_bytes());
  }
  *external = (End(value_ends_, index) & ExternalBit()) != 0;
  const uint32_t end = ValueEnd(index);
  uint32_t begin = index == 0 ? 0 : ValueEnd(index - 1);
  if (is_aligned()) {
    begin = static_cast<uint32_t>(AlignUp(begin, kTreeValueAlign));
  }
  return begin <= end ? Bytes(values_ + begin, end - begin) : Bytes();
}

bool TreeLeafView::Value(const BlockView& view, uint32_t index,
                         Bytes* value) const {
  bool external;
  const Bytes stored = Stored(index, &external);
  if (!external) {
    *value = stored;
    return true;
  }
  return stored.size() == kTreeExternalBytes &&
         OpenTreeValue(view, ExternalOffset(stored), value);
}

uint32_t TreeLeafView::LowerBound(Bytes key, bool* equal) const {
  *equal = false;
  switch (ComparePrefix(key, prefix())) {
    case PrefixOrder::kBelow:
      return 0;
    case PrefixOrder::kAbove:
      return count();
    case PrefixOrder::kWithin:
      break;
  }
  const Bytes rest(key.data() + head_->prefix_bytes,
                   key.size() - head_->prefix_bytes);
  if (has_uniform_keys() && key_bytes() - 1u < 8) {
    return SearchNumbers(rest, equal);
  }
  return SearchBytes(rest, equal);
}

uint32_t TreeLeafView::SearchNumbers(Bytes rest, bool* equal) const {
  const uint32_t size = key_bytes();
  const uint64_t mask =
      size == 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * size) - 1;
  const uint64_t wanted = KeyHead(rest) >> (64 - 8 * size);
  // Branch-free: base ends at the last number below `wanted`, or at 0.
  const char* base = keys_ + size;
  uint32_t left = count();
  while (left > 1) {
    const uint32_t half = left / 2;
    const uint64_t middle = NumberEndingAt(base + half * size, mask);
    base += middle < wanted ? half * size : 0;
    left -= half;
  }
  uint32_t index = static_cast<uint32_t>(base - keys_) / size - 1;
  if (NumberEndingAt(base, mask) < wanted) {
    ++index;
    base += size;
  }
  if (index < count() && NumberEndingAt(base, mask) == wanted) {
    // A longer key is above the equal number, a shorter one below it.
    if (rest.size() > size) return index + 1;
    *equal = rest.size() == size;
  }
  return index;
}

uint32_t TreeLeafView::SearchBytes(Bytes rest, bool* equal) const {
  uint32_t low = 0;
  uint32_t high = count();
  while (low < high) {
    const uint32_t middle = (low + high) / 2;
    const int order = CompareBytes(Suffix(middle), rest);
    if (order < 0) {
      low = middle + 1;
    } else {
      *equal |= order == 0;
      high = middle;
    }
  }
  return low;
}

bool TreeNodeView::Open(const BlockView& view, Offset offset, uint32_t level,
                        TreeNodeView* out) {
  const BlockHeader* header =
      view.Block(offset, BlockType::kTreeNode, sizeof(TreeNode));
  if (header == nullptr || header->count == 0 || header->depth == 0 ||
      header->depth > kTreeLevelsMax || header->bytes() > kTreeBlockBytesMax) {
    return false;
  }
  if (level != kAnyLevel && header->depth != level) return false;
  out->head_ = view.As<TreeNode>(offset);
  out->block_ = view.At(offset);
  return out->Place();
}

bool TreeNodeView::Place() {
  const uint64_t n = count();
  uint64_t at = sizeof(TreeNode) + 8 * (n - 1);
  slots_ = block_ + at;
  at += 8 * n * (level() > 1 ? 2 : 1);
  sizes_ = block_ + at;
  at += (n - 1) * (is_long() ? sizeof(uint32_t) : 1);
  prefix_ = block_ + at;
  at += head_->prefix_bytes;
  return at <= head_->header.bytes();
}

Bytes TreeNodeView::Separator(uint32_t index) const {
  if (!is_long()) {
    const uint32_t size = static_cast<uint8_t>(sizes_[index]);
    return Bytes(heads() + 8 * index, std::min(size, 8u));
  }
  const auto end_at = [&](uint32_t i) {
    uint32_t end;
    std::memcpy(&end, sizes_ + 4 * i, sizeof(end));
    return end;
  };
  const uint32_t end = end_at(index);
  const uint32_t begin = index == 0 ? 0 : end_at(index - 1);
  const char* const separators = prefix_ + head_->prefix_bytes;
  if (begin > end || end > bytes() - (separators - block_)) return Bytes();
  return Bytes(separators + begin, end - begin);
}

uint32_t TreeNodeView::ChildFor(Bytes key) const {
  const uint32_t last = count() - 1;
  if (last == 0) return 0;
  switch (ComparePrefix(key, prefix())) {
    case PrefixOrder::kBelow:
      return 0;
    case PrefixOrder::kAbove:
      return last;
    case PrefixOrder::kWithin:
      break;
  }
  const Bytes rest(key.data() + head_->prefix_bytes,
                   key.size() - head_->prefix_bytes);
  const uint64_t wanted = KeyHead(rest);
  // The number of heads below `wanted`, branch-free.
  uint32_t base = 0;
  uint32_t left = last;
  while (left > 1) {
    const uint32_t half = left / 2;
    base += HeadAt(base + half - 1) < wanted ? half : 0;
    left -= half;
  }
  base += HeadAt(base) < wanted;
  while (base < last && HeadAt(base) == wanted &&
         CompareBytes(Separator(base), rest) <= 0) {
    ++base;
  }
  return base;
}

bool OpenTreeValue(const BlockView& view, Offset offset, Bytes* value,
                   Bytes* key) {
  const BlockHeader* header =
      view.Block(offset, BlockType::kTreeValue, sizeof(TreeValue));
  if (header == nullptr) return false;
  const auto* block = view.As<TreeValue>(offset);
  const uint64_t room = header->bytes() - sizeof(TreeValue);
  // Read once: a compactor may look at bytes that are being written.
  const uint64_t bytes = block->value_bytes;
  const uint64_t key_bytes = block->key_bytes;
  if (bytes > room || key_bytes > room - bytes) return false;
  const char* const at = view.At(offset) + sizeof(TreeValue);
  *value = Bytes(at, bytes);
  if (key != nullptr) *key = Bytes(at + bytes, key_bytes);
  return true;
}

}  // namespace eve
