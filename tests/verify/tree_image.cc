#include "tests/verify/tree_image.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/format/tree_layout.h"

namespace eve::testing {
namespace {

struct Child {
  std::string separator;
  TreeSlot slot;
  uint64_t records = 0;
};
struct Stored {
  std::string key;
  std::string value;
  bool external = false;
};

template <class T>
void Append(std::string& bytes, T value) {
  bytes.resize(bytes.size() + sizeof(T));
  std::memcpy(&bytes[bytes.size() - sizeof(T)], &value, sizeof(T));
}
void Pad(std::string& bytes, size_t step) {
  while (bytes.size() % step != 0) bytes += '\0';
}

size_t SharedBytes(const std::vector<std::string>& strings) {
  if (strings.empty()) return 0;
  size_t shared = strings.front().size();
  for (const std::string& each : strings) {
    size_t same = 0;
    while (same < shared && same < each.size() &&
           each[same] == strings.front()[same]) {
      ++same;
    }
    shared = same;
  }
  return std::min<size_t>(shared, kTreePrefixBytesMax);
}

class TreeBuilder {
 public:
  TreeBuilder(ImageBuilder& builder, uint32_t id, const TreeShape& shape)
      : builder_(builder), id_(id), shape_(shape) {}

  TreeSlot Build(const Records& records) {
    std::vector<Child> children = Leaves(records);
    for (uint8_t level = 1; children.size() > 1; ++level) {
      std::vector<Child> above;
      for (size_t i = 0; i < children.size();) {
        size_t n = std::min(shape_.node_children, children.size() - i);
        // None but those of what is half retired has one child.
        if (children.size() - i - n == 1) ++n;
        if (shape_.half_retired && i == 0 && children.size() > 2) n = 1;
        above.push_back(MakeNode(&children[i], n, level));
        i += n;
      }
      children = std::move(above);
    }
    return children.empty() ? TreeSlot{} : children[0].slot;
  }

 private:
  std::vector<Child> Leaves(const Records& records) {
    std::vector<Child> leaves;
    std::vector<Stored> stored;
    std::string last;
    size_t left = records.size();
    for (const auto& [key, value] : records) {
      stored.push_back(StoreValue(key, value));
      --left;
      if (stored.size() < shape_.leaf_records && left > 0) continue;
      leaves.push_back(MakeLeaf(stored));
      // The shortest that is above the leaf before.
      const std::string& first = stored.front().key;
      leaves.back().separator = first.substr(0, SharedBytes({first, last}) + 1);
      last = stored.back().key;
      stored.clear();
    }
    return leaves;
  }

  Stored StoreValue(const std::string& key, const std::string& value) {
    if (value.size() <= shape_.inline_bytes_max) return {key, value, false};
    std::string bytes(sizeof(BlockHeader), '\0');
    Append<uint64_t>(bytes, value.size());
    Append<uint64_t>(bytes, key.size());
    bytes += value;
    bytes += key;
    const BlockHeader header =
        MakeBlockHeader(BlockType::kTreeValue, 0, 0, bytes.size(), id_);
    std::string word;
    Append(word, builder_.AddBlock(builder_.leaf_segment, header, bytes));
    return {key, word, true};
  }

  Child MakeLeaf(const std::vector<Stored>& records) {
    std::vector<std::string> keys;
    size_t key_area = 0;
    std::string values;
    std::vector<size_t> value_ends;
    bool same_keys = true;
    bool same_values = true;
    for (const Stored& record : records) {
      keys.push_back(record.key);
      if (shape_.aligned) Pad(values, kTreeValueAlign);
      values += record.value;
      value_ends.push_back(values.size());
      const Stored& first = records.front();
      same_keys &= record.key.size() == first.key.size();
      same_values &= record.value.size() == first.value.size() &&
                     record.external == first.external;
    }
    const size_t prefix = SharedBytes(keys);
    for (const std::string& key : keys) key_area += key.size() - prefix;
    const bool wide = std::max(key_area, values.size()) > kTreeNarrowAreaMax;
    const size_t key_bytes = keys[0].size() - prefix;
    uint16_t flags = 0;
    if (wide) flags |= kTreeLeafWide;
    if (same_values && records[0].external) flags |= kTreeLeafExternal;
    if (shape_.aligned) flags |= kTreeLeafAligned;
    std::string bytes(sizeof(BlockHeader), '\0');
    Append<uint16_t>(bytes, static_cast<uint16_t>(prefix));
    Append<uint16_t>(
        bytes, same_keys ? static_cast<uint16_t>(key_bytes) : kTreeVaries);
    Append<uint16_t>(bytes, same_values
                                ? static_cast<uint16_t>(records[0].value.size())
                                : kTreeVaries);
    Append<uint16_t>(bytes, flags);
    bytes += keys[0].substr(0, prefix);
    size_t end = 0;
    for (size_t i = 0; i < records.size() && !same_keys; ++i) {
      AppendEnd(bytes, wide, end += keys[i].size() - prefix, false);
    }
    for (size_t i = 0; i < records.size() && !same_values; ++i) {
      AppendEnd(bytes, wide, value_ends[i], records[i].external);
    }
    for (const std::string& key : keys) bytes += key.substr(prefix);
    if (shape_.aligned) Pad(bytes, kTreeValueAlign);
    bytes += values;
    const auto n = static_cast<uint16_t>(records.size());
    const Offset offset = builder_.AddBlock(
        builder_.leaf_segment,
        MakeBlockHeader(BlockType::kTreeLeaf, 0, n, bytes.size(), id_), bytes);
    return Child{"", TreeSlot::Make(offset, n), n};
  }

  static void AppendEnd(std::string& bytes, bool wide, size_t end,
                        bool external) {
    const uint32_t bit = external ? 1u << (wide ? 31 : 15) : 0;
    const auto word = static_cast<uint32_t>(end) | bit;
    if (wide) return Append<uint32_t>(bytes, word);
    Append<uint16_t>(bytes, static_cast<uint16_t>(word));
  }

  Child MakeNode(const Child* children, size_t n, uint8_t level) {
    std::vector<std::string> separators;
    for (size_t i = 1; i < n; ++i) separators.push_back(children[i].separator);
    const size_t prefix = SharedBytes(separators);
    bool is_long = false;
    for (const std::string& each : separators) {
      is_long |= each.size() - prefix > 8;
    }
    std::string bytes(sizeof(BlockHeader), '\0');
    Append<uint16_t>(bytes, static_cast<uint16_t>(prefix));
    Append<uint16_t>(bytes, is_long ? kTreeNodeLong : uint16_t{0});
    Append<uint32_t>(bytes, 0);
    for (const std::string& each : separators) {
      std::string head = each.substr(prefix, 8);
      head.resize(8, '\0');
      bytes += head;
    }
    uint64_t records = 0;
    for (size_t i = 0; i < n; ++i) {
      Append(bytes, children[i].slot);
      records += children[i].records;
    }
    for (size_t i = 0; i < n && level > 1; ++i) {
      Append<uint64_t>(bytes,
                       children[i].records + (shape_.half_retired ? 5 : 0));
    }
    std::string tails;
    for (const std::string& each : separators) {
      tails += each.substr(prefix);
      if (is_long) {
        Append<uint32_t>(bytes, static_cast<uint32_t>(tails.size()));
      } else {
        bytes += static_cast<char>(each.size() - prefix);
      }
    }
    if (!separators.empty()) bytes += separators[0].substr(0, prefix);
    if (is_long) bytes += tails;
    const Offset offset = builder_.AddBlock(
        builder_.node_segment,
        MakeBlockHeader(BlockType::kTreeNode, level, static_cast<uint16_t>(n),
                        bytes.size(), id_),
        bytes);
    return Child{children[0].separator, TreeSlot::Make(offset, 0), records};
  }

  ImageBuilder& builder_;
  const uint32_t id_;
  const TreeShape& shape_;
};

}  // namespace

void SetTree(ImageBuilder& builder, const std::string& name,
             const Records& records, const TreeShape& shape) {
  CatalogEntry& entry = builder.ResetCollection(name, shape.kind);
  TreeBuilder tree(builder, entry.id, shape);
  entry.root = NodeSlot{tree.Build(records).word};
  entry.count = records.size();
}

}  // namespace eve::testing
