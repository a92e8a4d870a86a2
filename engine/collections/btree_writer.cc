#include "engine/collections/btree_writer.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/collections/btree_leaf_plan.h"
#include "util/check.h"
#include "util/status_macros.h"

namespace eve {
namespace {

char* StoreEnd(uint64_t end, uint32_t end_bytes, char* to) {
  // Little-endian: the low bytes come first.
  std::memcpy(to, &end, end_bytes);
  return to + end_bytes;
}

// Everything behind the head.
void FillLeaf(absl::Span<const TreeRecord> records, const LeafPlan& plan,
              bool aligned, char* block) {
  const KeyPieces prefix = records.front().key.Truncated(plan.prefix());
  char* ends = prefix.CopyFrom(0, block + sizeof(TreeLeaf));
  const uint32_t end_bytes = plan.end_bytes();
  if (!plan.uniform_keys()) {
    uint64_t end = 0;
    for (const TreeRecord& record : records) {
      end += record.key.size() - plan.prefix();
      ends = StoreEnd(end, end_bytes, ends);
    }
  }
  char* const keys = block + plan.KeysAt();
  char* const values = block + plan.ValuesAt();
  std::memset(keys + plan.key_area(), 0, values - (keys + plan.key_area()));
  const uint64_t external_bit = uint64_t{1} << (8 * end_bytes - 1);
  char* key = keys;
  uint64_t at = 0;
  for (const TreeRecord& record : records) {
    key = record.key.CopyFrom(plan.prefix(), key);
    const uint64_t begin = aligned ? AlignUp(at, kTreeValueAlign) : at;
    std::memset(values + at, 0, begin - at);
    if (!record.value.empty()) {
      std::memcpy(values + begin, record.value.data(), record.value.size());
    }
    at = begin + record.value.size();
    if (plan.uniform_values()) continue;
    ends = StoreEnd(at | (record.external ? external_bit : 0), end_bytes, ends);
  }
}

// What a node of some children will look like.
class NodePlan {
 public:
  explicit NodePlan(uint32_t level) : level_(level) {}

  // The first child's separator does not count.
  void Add(const TreeChild& child) {
    if (count_ == 1) {
      first_ = &child.separator;
      prefix_ = std::min<size_t>(child.separator.size(), kTreePrefixBytesMax);
    } else if (count_ > 1) {
      prefix_ = std::min(prefix_, CommonPrefix(*first_, child.separator));
    }
    if (count_ > 0) {
      sum_ += child.separator.size();
      longest_ = std::max(longest_, child.separator.size());
    }
    records_ += child.records;
    ++count_;
  }

  bool is_long() const { return longest_ - prefix_ > 8; }
  uint64_t tail_bytes() const { return sum_ - (count_ - 1) * prefix_; }
  uint64_t SlotsAt() const { return sizeof(TreeNode) + 8 * (count_ - 1); }
  uint64_t SizesAt() const {
    return SlotsAt() + 8 * count_ * (level_ > 1 ? 2 : 1);
  }
  uint64_t PrefixAt() const {
    return SizesAt() + (count_ - 1) * (is_long() ? sizeof(uint32_t) : 1);
  }
  uint64_t bytes() const {
    return PrefixAt() + prefix_ + (is_long() ? tail_bytes() : 0);
  }
  uint64_t count() const { return count_; }
  size_t prefix() const { return prefix_; }
  uint64_t records() const { return records_; }

 private:
  const uint32_t level_;
  const KeyPieces* first_ = nullptr;
  uint64_t count_ = 0;
  size_t prefix_ = 0;
  uint64_t sum_ = 0;
  size_t longest_ = 0;
  uint64_t records_ = 0;
};

void FillNode(absl::Span<const TreeChild> children, uint32_t level,
              const NodePlan& plan, char* block) {
  char* head = block + sizeof(TreeNode);
  char* slot = block + plan.SlotsAt();
  char* count = slot + 8 * children.size();
  char* size = block + plan.SizesAt();
  char* tail = block + plan.PrefixAt();
  if (children.size() > 1) {
    tail = children[1].separator.Truncated(plan.prefix()).CopyFrom(0, tail);
  }
  uint64_t end = 0;
  for (size_t i = 0; i < children.size(); ++i) {
    const TreeChild& child = children[i];
    std::memcpy(slot + 8 * i, &child.slot, sizeof(child.slot));
    if (level > 1) std::memcpy(count + 8 * i, &child.records, 8);
    if (i == 0) continue;
    const size_t rest = child.separator.size() - plan.prefix();
    std::memset(head, 0, 8);
    child.separator.Truncated(plan.prefix() + std::min<size_t>(rest, 8))
        .CopyFrom(plan.prefix(), head);
    head += 8;
    if (!plan.is_long()) {
      *size++ = static_cast<char>(rest);
      continue;
    }
    end += rest;
    size = StoreEnd(end, sizeof(uint32_t), size);
    tail = child.separator.CopyFrom(plan.prefix(), tail);
  }
}

template <class Plan>
uint64_t Counted(const Plan& plan) {
  return CountedBytes(plan.bytes(), plan.prefix());
}

// Where to stop so that `parts` chunks of about the same size come out; at
// least one item stays on each side.
template <class Item, class Plan>
size_t EvenChunk(absl::Span<const Item> items, uint64_t parts, Plan plan) {
  Plan whole = plan;
  for (const Item& item : items) whole.Add(item);
  const uint64_t goal = Counted(whole) / parts;
  size_t n = 0;
  while (n + 1 < items.size() && Counted(plan) < goal) {
    plan.Add(items[n++]);
  }
  return std::max<size_t>(n, 1);
}

// How far CutAndWrite() looks ahead to fill its chunks evenly.
constexpr uint64_t kChunksAhead = 8;

// Cuts `items` into chunks that fit `bytes_max`, or are as short as can be.
template <class Item, class Plan, class Write>
absl::Status CutAndWrite(absl::Span<const Item> items, const Plan& empty,
                         uint64_t bytes_max, size_t least, size_t most,
                         TreeWriter::Packing packing, Write write) {
  while (!items.empty()) {
    Plan plan = empty;
    size_t fits = 0;
    while (fits < items.size() && fits < most) {
      plan.Add(items[fits]);
      if (Counted(plan) > bytes_max && fits >= least) break;
      ++fits;
    }
    size_t n = fits;
    if (fits < items.size() && packing == TreeWriter::Packing::kEven) {
      // Not all that is left, or many items would cost their square.
      Plan whole = empty;
      size_t seen = 0;
      while (seen < items.size() &&
             Counted(whole) <= kChunksAhead * bytes_max) {
        whole.Add(items[seen++]);
      }
      const uint64_t parts =
          std::max<uint64_t>(2, (Counted(whole) + bytes_max - 1) / bytes_max);
      n = std::min(fits, EvenChunk(items.subspan(0, seen), parts, empty));
    }
    // Neither this chunk nor the rest may be shorter than `least`.
    n = std::max(n, std::min(least, items.size()));
    if (n < items.size() && items.size() - n < least) {
      n = items.size() >= 2 * least ? items.size() - least : items.size();
    }
    EVE_RETURN_IF_ERROR(write(items.subspan(0, n)));
    items = items.subspan(n);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status DamagedTree(Offset offset, const char* what) {
  return absl::DataLossError(absl::StrCat(
      "offset ", offset.bytes(), ": expected a ", what, ", found other bytes"));
}

absl::Status TreeWriter::RetireExternal(const TreeLeafView& leaf,
                                        Bytes stored) {
  if (stored.size() != kTreeExternalBytes) {
    const auto at = static_cast<uint64_t>(leaf.data() - view().base);
    return DamagedTree(Offset::FromBytes(at), "tree leaf");
  }
  const Offset offset = TreeLeafView::ExternalOffset(stored);
  const BlockHeader* header =
      view().Block(offset, BlockType::kTreeValue, sizeof(TreeValue));
  if (header == nullptr) return DamagedTree(offset, "tree value");
  Retire(offset, header->bytes());
  return absl::OkStatus();
}

absl::Status TreeWriter::NewBlockOf(BlockType type, uint32_t level,
                                    uint32_t count, uint64_t bytes,
                                    NewBlock* block) {
  const bool is_node = type == BlockType::kTreeNode;
  EVE_ASSIGN_OR_RETURN(
      *block, context_.store->Allocate(
                  is_node ? Stream::kNodes : context_.leaf_stream, bytes));
  const BlockHeader header =
      MakeBlockHeader(type, static_cast<uint8_t>(level),
                      static_cast<uint16_t>(count), bytes, context_.collection);
  std::memcpy(block->data, &header, sizeof(header));
  std::memset(block->data + bytes, 0, header.bytes() - bytes);
  return absl::OkStatus();
}

absl::Status TreeWriter::PlaceValue(Bytes key, Bytes value, uint64_t* word,
                                    TreeRecord* record) {
  record->value = value;
  record->external = value.size() > kTreeInlineValueBytesMax;
  if (!record->external) return absl::OkStatus();
  NewBlock block;
  EVE_RETURN_IF_ERROR(NewBlockOf(BlockType::kTreeValue, 0, 0,
                                 sizeof(TreeValue) + value.size() + key.size(),
                                 &block));
  const uint64_t sizes[2] = {value.size(), key.size()};
  static_assert(sizeof(BlockHeader) + sizeof(sizes) == sizeof(TreeValue));
  std::memcpy(block.data + sizeof(BlockHeader), sizes, sizeof(sizes));
  char* const at = block.data + sizeof(TreeValue);
  std::memcpy(at, value.data(), value.size());
  if (!key.empty()) std::memcpy(at + value.size(), key.data(), key.size());
  *word = block.offset.units;
  const void* bytes = word;
  record->value = Bytes(static_cast<const char*>(bytes), sizeof(*word));
  return absl::OkStatus();
}

absl::Status TreeWriter::WriteLeaf(absl::Span<const TreeRecord> records,
                                   const KeyPieces& separator,
                                   TreeChildren& out) {
  LeafPlan plan(context_.align_values);
  for (const TreeRecord& record : records) plan.Add(record);
  return WriteLeaf(records, plan, separator, out);
}

absl::Status TreeWriter::WriteLeaf(absl::Span<const TreeRecord> records,
                                   const LeafPlan& plan,
                                   const KeyPieces& separator,
                                   TreeChildren& out) {
  NewBlock block;
  EVE_RETURN_IF_ERROR(NewBlockOf(BlockType::kTreeLeaf, 0,
                                 static_cast<uint32_t>(records.size()),
                                 plan.bytes(), &block));
  BlockHeader header;
  std::memcpy(&header, block.data, sizeof(header));
  const TreeLeaf head = plan.Head(header);
  std::memcpy(block.data, &head, sizeof(head));
  FillLeaf(records, plan, context_.align_values, block.data);
  TreeChild child;
  child.slot = TreeSlot::Make(block.offset, records.size());
  child.records = records.size();
  child.separator = separator;
  child.is_small =
      (records.size() == 1 ? plan.bytes() : Counted(plan)) < kTreeLeafBytesMin;
  out.push_back(child);
  return absl::OkStatus();
}

absl::Status TreeWriter::WriteLeaves(absl::Span<const TreeRecord> records,
                                     const KeyPieces& separator,
                                     Packing packing, TreeChildren& out) {
  const TreeRecord* last = nullptr;  // of the leaf before
  return CutAndWrite(
      records, LeafPlan(context_.align_values), kTreeLeafBytesMax, /*least=*/1,
      kTreeLeafRecordsMax, packing,
      [&](absl::Span<const TreeRecord> chunk) -> absl::Status {
        KeyPieces low = separator;
        if (last != nullptr) {
          // The shortest that tells the two apart.
          const KeyPieces& first = chunk.front().key;
          low = first.Truncated(CommonPrefix(last->key, first) + 1);
        }
        last = &chunk.back();
        return WriteLeaf(chunk, low, out);
      });
}

absl::Status TreeWriter::WriteNode(absl::Span<const TreeChild> children,
                                   uint32_t level, TreeChildren& out) {
  NodePlan plan(level);
  for (const TreeChild& child : children) plan.Add(child);
  NewBlock block;
  EVE_RETURN_IF_ERROR(NewBlockOf(BlockType::kTreeNode, level,
                                 static_cast<uint32_t>(children.size()),
                                 plan.bytes(), &block));
  TreeNode head{};
  std::memcpy(&head.header, block.data, sizeof(head.header));
  head.prefix_bytes = static_cast<uint16_t>(plan.prefix());
  head.flags = plan.is_long() ? kTreeNodeLong : 0;
  std::memcpy(block.data, &head, sizeof(head));
  FillNode(children, level, plan, block.data);
  TreeChild node;
  node.slot = TreeSlot::Make(block.offset, 0);
  node.records = plan.records();
  node.separator = children.front().separator;
  node.is_small = children.size() < kTreeNodeChildrenMin;
  out.push_back(node);
  return absl::OkStatus();
}

uint64_t TreeWriter::NodeBytes(absl::Span<const TreeChild> children,
                               uint32_t level) {
  NodePlan plan(level);
  for (const TreeChild& child : children) plan.Add(child);
  return Counted(plan);
}

absl::Status TreeWriter::WriteNodes(absl::Span<const TreeChild> children,
                                    uint32_t level, Packing packing,
                                    TreeChildren& out) {
  if (level > kTreeLevelsMax) {
    return absl::ResourceExhaustedError("an ordered map of too many levels");
  }
  // Two children at least, or the keys would never be told apart.
  return CutAndWrite(children, NodePlan(level), kTreeNodeBytesMax, /*least=*/2,
                     kTreeNodeChildrenMax, packing,
                     [&](absl::Span<const TreeChild> chunk) {
                       return WriteNode(chunk, level, out);
                     });
}

absl::Status TreeWriter::WriteRoot(TreeChildren& children, uint32_t level,
                                   Packing packing, TreeSlot* root) {
  while (children.size() > 1) {
    TreeChildren above;
    EVE_RETURN_IF_ERROR(WriteNodes(children, ++level, packing, above));
    children = std::move(above);
  }
  *root = children.empty() ? TreeSlot{} : children.front().slot;
  return absl::OkStatus();
}

}  // namespace eve
