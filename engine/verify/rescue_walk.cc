#include "engine/verify/rescue_walk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/format/checksum.h"
#include "engine/format/constants.h"
#include "engine/verify/tree_shape.h"
#include "util/status_macros.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace eve::verify {
namespace {

template <class T>
T ReadAs(const std::string& bytes, uint64_t at) {
  T value;
  std::memcpy(static_cast<void*>(&value), bytes.data() + at, sizeof(T));
  return value;
}

// As the shapes of the verifier take it.
LoadedBlock AsLoaded(const WholeBlock& block) {
  LoadedBlock loaded;
  loaded.offset = block.offset;
  loaded.header = block.header;
  loaded.bytes.assign(block.bytes.begin(), block.bytes.end());
  return loaded;
}

}  // namespace

bool LooksLikeABlock(const BlockHeader& header) {
  switch (static_cast<BlockType>(header.type)) {
    case BlockType::kTrieNode:
      return header.bytes() == sizeof(TrieNode);
    case BlockType::kRecord:
    case BlockType::kTreeValue:
      return header.bytes() >= sizeof(TreeValue);
    case BlockType::kInvalid:
      return false;
    default:
      return header.type <= kBlockTypeMax &&
             header.bytes() > sizeof(BlockHeader) &&
             header.bytes() <= kRunThresholdBytes + kPageBytes;
  }
}

std::optional<uint64_t> RescueContext::HashOf(std::string_view key) const {
  if (!hash_seed.has_value()) return std::nullopt;
  return XXH3_64bits_withSeed(key.data(), key.size(), *hash_seed) & hash_mask;
}

bool RescueContext::LoadAny(Offset offset, WholeBlock& block,
                            std::string* why) const {
  const uint64_t limit = file_bytes / kUnitBytes;
  if (offset.units >= limit ||
      (offset.segment() == 0 &&
       offset.units_in_segment() < SegmentStartUnits(0))) {
    *why = "no place for a block";
    return false;
  }
  block.offset = offset;
  absl::Status read =
      file->ReadAt(offset.bytes(), &block.header, sizeof(block.header));
  if (!read.ok()) {
    *why = std::string(read.message());
    return false;
  }
  const BlockHeader& header = block.header;
  const uint64_t end = offset.units_in_segment() + uint64_t{header.size_units};
  if (!LooksLikeABlock(header) || header.size_units > limit - offset.units ||
      (end > kSegmentUnits && offset.units_in_segment() != 0)) {
    *why = "its header is none";
    return false;
  }
  block.bytes.resize(header.bytes());
  read = file->ReadAt(offset.bytes(), block.bytes.data(), block.bytes.size());
  if (!read.ok()) {
    *why = std::string(read.message());
    return false;
  }
  const uint64_t hash = BlockHash(block.bytes.data(), offset, salt);
  if (ChecksumOf(hash) == header.checksum) return true;
  *why = "checksum failed";
  return false;
}

void RescueWalk::Lose(Offset offset, BlockType type, const std::string& why,
                      const Gap& gap) {
  ++lost_blocks_;
  gaps_.push_back(gap);
  disowned_.insert(offset.units);
  if (losses_.size() >= RescueReport::kLossesKept) return;
  losses_.push_back(RescueLoss{
      offset.bytes(),
      absl::StrCat(NameOf(type), " of collection ", id_, ": ", why)});
}

bool RescueWalk::Load(Offset offset, BlockType type, uint32_t depth,
                      const Gap& gap, WholeBlock& block) {
  std::string why;
  bool is_good = context_.LoadAny(offset, block, &why);
  if (is_good &&
      (block.header.type != static_cast<uint8_t>(type) ||
       block.header.collection != id_ || block.header.depth != depth)) {
    why = "another block is there";
    is_good = false;
  }
  if (is_good && !reached_.Mark(offset, block.header.size_units)) {
    why = "it is here twice";
    is_good = false;
  }
  if (!is_good) Lose(offset, type, why, gap);
  return is_good;
}

Gap RescueWalk::GapOf(const TriePlace& place) {
  Gap gap;
  const uint32_t bits = place.depth * kTrieBits;
  if (place.slot.kind() == SlotKind::kNode) {
    gap.hash_low = place.prefix;
    gap.hash_high =
        bits == 0 ? UINT64_MAX : place.prefix | (~uint64_t{0} >> bits);
    return gap;
  }
  // So many slots of the node above, 64 - bits wide each.
  const auto at = [&](uint64_t slot) {
    return bits + kTrieBits >= 64 ? slot >> 1
                                  : slot << (64 - kTrieBits) >> bits;
  };
  gap.hash_low = place.prefix | at(place.first);
  gap.hash_high =
      place.first + place.length >= kTrieFanout
          ? place.prefix | (bits == 0 ? ~uint64_t{0} : ~uint64_t{0} >> bits)
          : (place.prefix | at(place.first + place.length)) - 1;
  return gap;
}

void RescueWalk::PushChildren(const TriePlace& place, const WholeBlock& block,
                              std::vector<TriePlace>& stack) {
  const auto node = ReadAs<TrieNode>(block.bytes, 0);
  for (uint32_t first = 0; first < kTrieFanout;) {
    const NodeSlot slot = node.slots[first];
    uint32_t length = 1;
    while (first + length < kTrieFanout && node.slots[first + length] == slot) {
      ++length;
    }
    if (slot.kind() != SlotKind::kEmpty) {
      TriePlace child{slot, place.depth, place.prefix, first, length};
      if (slot.kind() == SlotKind::kNode) {
        child.depth = place.depth + 1;
        child.prefix |=
            uint64_t{first} << (64 - kTrieBits) >> place.depth * kTrieBits;
      }
      stack.push_back(child);
    }
    first += length;
  }
}

absl::Status RescueWalk::WalkTrie(uint32_t id, NodeSlot root,
                                  FoundRecord visit) {
  id_ = id;
  std::vector<TriePlace> stack;
  if (root.kind() != SlotKind::kEmpty) stack.push_back(TriePlace{root});
  while (!stack.empty()) {
    const TriePlace place = stack.back();
    stack.pop_back();
    if (place.slot.kind() == SlotKind::kLeaf) {
      EVE_RETURN_IF_ERROR(VisitTrieLeaf(place, visit));
    } else if (place.slot.kind() == SlotKind::kCollisionLeaf) {
      EVE_RETURN_IF_ERROR(VisitCollisions(place, visit));
    } else if (place.depth < kTrieDepthMax &&
               Load(place.slot.offset(), BlockType::kTrieNode, place.depth,
                    GapOf(place), block_)) {
      if (ReadAs<TrieNode>(block_.bytes, 0).prefix == place.prefix) {
        PushChildren(place, block_, stack);
      } else {
        Lose(place.slot.offset(), BlockType::kTrieNode, "it belongs elsewhere",
             GapOf(place));
      }
    }
  }
  return absl::OkStatus();
}

bool RescueWalk::SplitTrieLeaf(
    const WholeBlock& leaf,
    absl::FunctionRef<void(std::string_view, std::string_view)> inlined,
    absl::FunctionRef<void(ExternalRecord)> external) {
  const std::string& bytes = leaf.bytes;
  uint64_t at =
      sizeof(BlockHeader) + kLeafBytesPerRecord * uint64_t{leaf.header.count};
  if (leaf.header.count == 0) return false;
  for (uint32_t i = 0; i < leaf.header.count; ++i) {
    if (at + kRecordHeadBytes > bytes.size()) return false;
    const auto key_bytes = ReadAs<uint8_t>(bytes, at);
    if (key_bytes == kExternalMark) {
      if (at + sizeof(ExternalRecord) > bytes.size()) return false;
      external(ReadAs<ExternalRecord>(bytes, at));
      at += sizeof(ExternalRecord);
      continue;
    }
    const uint64_t value_bytes = ReadAs<uint8_t>(bytes, at + 1);
    const char* from = bytes.data() + at + kRecordHeadBytes;
    at += kRecordHeadBytes + key_bytes + value_bytes;
    if (at > bytes.size()) return false;
    inlined(std::string_view(from, key_bytes),
            std::string_view(from + key_bytes, value_bytes));
  }
  return true;
}

absl::Status RescueWalk::VisitTrieLeaf(const TriePlace& place,
                                       FoundRecord visit) {
  const Gap gap = GapOf(place);
  if (!Load(place.slot.offset(), BlockType::kTrieLeaf, place.depth, gap,
            block_)) {
    return absl::OkStatus();
  }
  // All of it, or nothing: one key that belongs elsewhere, and it is another
  // leaf.
  std::vector<std::pair<std::string_view, std::string_view>> records;
  std::vector<ExternalRecord> external;
  bool is_good = SplitTrieLeaf(
      block_,
      [&](std::string_view key, std::string_view value) {
        records.emplace_back(key, value);
      },
      [&](ExternalRecord record) { external.push_back(record); });
  const auto belongs = [&](uint64_t hash) {
    return hash >= gap.hash_low && hash <= gap.hash_high;
  };
  for (const auto& [key, value] : records) {
    const std::optional<uint64_t> hash = context_.HashOf(key);
    is_good &= !hash.has_value() || belongs(*hash);
  }
  for (const ExternalRecord& record : external) is_good &= belongs(record.hash);
  if (!is_good) {
    Lose(place.slot.offset(), BlockType::kTrieLeaf, "it belongs elsewhere",
         gap);
    return absl::OkStatus();
  }
  for (const auto& [key, value] : records) {
    EVE_RETURN_IF_ERROR(visit(key, value));
  }
  for (const ExternalRecord& record : external) {
    EVE_RETURN_IF_ERROR(VisitExternal(record.offset(), record.hash, visit));
  }
  return absl::OkStatus();
}

bool SplitRecordBlock(const WholeBlock& block, std::string_view* key,
                      std::string_view* value) {
  if (block.bytes.size() < sizeof(RecordBlock)) return false;
  const auto record = ReadAs<RecordBlock>(block.bytes, 0);
  const uint64_t room = block.bytes.size() - sizeof(RecordBlock);
  if (record.key_bytes > room || record.value_bytes > room - record.key_bytes) {
    return false;
  }
  const std::string_view bytes(block.bytes);
  *key = bytes.substr(sizeof(RecordBlock), record.key_bytes);
  *value =
      bytes.substr(sizeof(RecordBlock) + record.key_bytes, record.value_bytes);
  return true;
}

absl::Status RescueWalk::VisitExternal(Offset offset, uint64_t hash,
                                       FoundRecord visit) {
  Gap gap;
  gap.hash_low = gap.hash_high = hash;
  if (!Load(offset, BlockType::kRecord, 0, gap, external_)) {
    return absl::OkStatus();
  }
  std::string_view key;
  std::string_view value;
  if (!SplitRecordBlock(external_, &key, &value) ||
      ReadAs<RecordBlock>(external_.bytes, 0).hash != hash) {
    Lose(offset, BlockType::kRecord, "it belongs elsewhere", gap);
    return absl::OkStatus();
  }
  return visit(key, value);
}

absl::Status RescueWalk::VisitCollisions(const TriePlace& place,
                                         FoundRecord visit) {
  const Gap gap = GapOf(place);
  if (!Load(place.slot.offset(), BlockType::kCollisionLeaf, kTrieDepthMax - 1,
            gap, block_)) {
    return absl::OkStatus();
  }
  const auto leaf = ReadAs<CollisionLeaf>(block_.bytes, 0);
  const uint64_t room = block_.bytes.size() - sizeof(CollisionLeaf);
  if (leaf.entries > room / sizeof(CollisionEntry)) {
    Lose(place.slot.offset(), BlockType::kCollisionLeaf, "it holds less", gap);
    return absl::OkStatus();
  }
  for (uint32_t i = 0; i < leaf.entries; ++i) {
    const auto entry = ReadAs<CollisionEntry>(
        block_.bytes, sizeof(CollisionLeaf) + i * sizeof(CollisionEntry));
    EVE_RETURN_IF_ERROR(VisitExternal(entry.offset(), leaf.hash, visit));
  }
  return absl::OkStatus();
}

absl::Status RescueWalk::WalkTree(uint32_t id, TreeSlot root,
                                  FoundRecord visit) {
  id_ = id;
  if (root.is_empty()) return absl::OkStatus();
  WholeBlock peek;
  std::string why;
  if (!context_.LoadAny(root.offset(), peek, &why)) {
    Lose(root.offset(), BlockType::kTreeNode, why, Gap{});
    return absl::OkStatus();
  }
  std::vector<TreePlace> stack;
  stack.push_back(TreePlace{root, peek.header.depth, Gap{}});
  while (!stack.empty()) {
    const TreePlace place = std::move(stack.back());
    stack.pop_back();
    const Offset offset = place.slot.offset();
    const BlockType type =
        place.level == 0 ? BlockType::kTreeLeaf : BlockType::kTreeNode;
    if (place.level > kTreeLevelsMax ||
        !Load(offset, type, place.level, place.bounds, block_)) {
      continue;
    }
    if (place.level == 0) {
      EVE_RETURN_IF_ERROR(VisitTreeLeaf(block_, place.bounds, visit));
    } else if (!PushTreeChildren(place, block_, stack)) {
      Lose(offset, type, "it makes no sense", place.bounds);
    }
  }
  return absl::OkStatus();
}

bool RescueWalk::PushTreeChildren(const TreePlace& place,
                                  const WholeBlock& block,
                                  std::vector<TreePlace>& stack) {
  const LoadedBlock loaded = AsLoaded(block);
  VerifyReport aside;
  ErrorLog log(&aside, 1);
  TreeNodeShape shape;
  if (!shape.Make(loaded, /*children_min=*/1, log) || log.count() > 0 ||
      (!shape.has_separators() && shape.count() > 1)) {
    return false;
  }
  // The last first, so that keys come in order.
  for (uint32_t i = shape.count(); i-- > 0;) {
    TreePlace child{shape.slot(loaded, i), place.level - 1, place.bounds};
    if (i > 0) {
      child.bounds.key_low =
          std::string(shape.prefix()).append(shape.separator(i - 1));
    }
    if (i + 1 < shape.count()) {
      child.bounds.key_high =
          std::string(shape.prefix()).append(shape.separator(i));
      child.bounds.has_key_high = true;
    }
    stack.push_back(std::move(child));
  }
  return true;
}

absl::Status RescueWalk::VisitTreeLeaf(const WholeBlock& leaf,
                                       const Gap& bounds, FoundRecord visit) {
  const LoadedBlock loaded = AsLoaded(leaf);
  VerifyReport aside;
  ErrorLog log(&aside, 1);
  TreeLeafShape shape;
  bool is_good = shape.Make(loaded, log) && log.count() == 0;
  std::string key;
  for (uint32_t i = 0; is_good && i < shape.count(); ++i) {
    key.assign(shape.prefix()).append(shape.key(i));
    is_good = key >= bounds.key_low &&
              (!bounds.has_key_high || key < bounds.key_high);
  }
  if (!is_good) {
    Lose(leaf.offset, BlockType::kTreeLeaf, "it belongs elsewhere", bounds);
    return absl::OkStatus();
  }
  for (uint32_t i = 0; i < shape.count(); ++i) {
    key.assign(shape.prefix()).append(shape.key(i));
    const TreeLeafShape::Value value = shape.value(i);
    if (!value.external) {
      EVE_RETURN_IF_ERROR(visit(key, value.bytes));
    } else if (value.bytes.size() == kTreeExternalBytes) {
      Offset offset;
      std::memcpy(&offset.units, value.bytes.data(), sizeof(offset.units));
      EVE_RETURN_IF_ERROR(VisitTreeValue(offset, key, visit));
    }
  }
  return absl::OkStatus();
}

bool SplitTreeValue(const WholeBlock& block, std::string_view* key,
                    std::string_view* value) {
  if (block.bytes.size() < sizeof(TreeValue)) return false;
  const auto head = ReadAs<TreeValue>(block.bytes, 0);
  const uint64_t room = block.bytes.size() - sizeof(TreeValue);
  if (head.value_bytes > room || head.key_bytes > room - head.value_bytes) {
    return false;
  }
  const std::string_view bytes(block.bytes);
  *value = bytes.substr(sizeof(TreeValue), head.value_bytes);
  *key = bytes.substr(sizeof(TreeValue) + head.value_bytes, head.key_bytes);
  return true;
}

absl::Status RescueWalk::VisitTreeValue(Offset offset, const std::string& key,
                                        FoundRecord visit) {
  Gap gap;
  gap.key_low = key;
  gap.key_high = key + '\0';
  gap.has_key_high = true;
  if (!Load(offset, BlockType::kTreeValue, 0, gap, external_)) {
    return absl::OkStatus();
  }
  std::string_view its_key;
  std::string_view value;
  if (!SplitTreeValue(external_, &its_key, &value) || its_key != key) {
    Lose(offset, BlockType::kTreeValue, "it belongs elsewhere", gap);
    return absl::OkStatus();
  }
  return visit(key, value);
}

bool RescueWalk::VisitBlock(const WholeBlock& block, FoundRecord visit,
                            absl::Status* status) {
  std::string_view key;
  std::string_view value;
  *status = absl::OkStatus();
  switch (static_cast<BlockType>(block.header.type)) {
    case BlockType::kTrieLeaf:
      return SplitTrieLeaf(
          block,
          [&](std::string_view k, std::string_view v) {
            if (status->ok()) *status = visit(k, v);
          },
          [](ExternalRecord) {});
    case BlockType::kTreeLeaf: {
      const LoadedBlock loaded = AsLoaded(block);
      VerifyReport aside;
      ErrorLog log(&aside, 1);
      TreeLeafShape shape;
      if (!shape.Make(loaded, log) || log.count() > 0) return false;
      std::string whole;
      for (uint32_t i = 0; i < shape.count() && status->ok(); ++i) {
        if (shape.value(i).external) continue;  // its block says the key, too
        whole.assign(shape.prefix()).append(shape.key(i));
        *status = visit(whole, shape.value(i).bytes);
      }
      return true;
    }
    case BlockType::kRecord:
      if (!SplitRecordBlock(block, &key, &value)) return false;
      *status = visit(key, value);
      return true;
    case BlockType::kTreeValue:
      if (!SplitTreeValue(block, &key, &value)) return false;
      *status = visit(key, value);
      return true;
    default:
      return true;
  }
}

}  // namespace eve::verify
