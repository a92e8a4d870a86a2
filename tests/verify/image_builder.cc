#include "tests/verify/image_builder.h"

#include <algorithm>
#include <cstring>

#include "engine/format/checksum.h"

#define XXH_INLINE_ALL
#include "xxhash.h"

namespace eve::testing {
namespace {

constexpr uint8_t kUuid[16] = {'i', 'm', 'a', 'g', 'e'};
constexpr uint64_t kSeed = 42;

template <class T>
std::string BytesOf(const T& value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), static_cast<const void*>(&value), sizeof(T));
  return bytes;
}

}  // namespace

ImageBuilder::ImageBuilder(uint64_t hash_mask)
    : superblock_(MakeSuperblock(kUuid, kSeed, hash_mask)),
      salt_(ChecksumSalt(kUuid)),
      image_(kInitialFileBytes, '\0') {
  std::memcpy(image_.data(), &superblock_, sizeof(superblock_));
  Grow(0);
}

void ImageBuilder::Grow(uint32_t segment) {
  while (fill_.size() <= segment) {
    fill_.push_back(SegmentStartUnits(static_cast<uint32_t>(fill_.size())));
    committed_fill_.push_back(fill_.back());
    rows_.emplace_back();
  }
}

uint64_t ImageBuilder::HashOf(const std::string& key) const {
  return XXH3_64bits_withSeed(key.data(), key.size(), kSeed) &
         superblock_.hash_mask;
}

Offset ImageBuilder::Place(uint32_t segment, BlockHeader header,
                           std::string bytes) {
  header.size_units = static_cast<uint32_t>(UnitsForBytes(bytes.size()));
  bytes.resize(header.bytes());
  if (header.bytes() > kRunThresholdBytes) {
    return PlaceRun(header, std::move(bytes));
  }
  if (edit) edit(header, bytes);
  std::memcpy(bytes.data(), &header, sizeof(header));
  Grow(segment);
  const Offset offset{SegmentOffset(segment).units + fill_[segment]};
  fill_[segment] += header.size_units;
  const uint64_t end =
      (SegmentOffset(segment).units + fill_[segment]) * kUnitBytes;
  if (image_.size() < end) image_.resize(end);
  std::memcpy(image_.data() + offset.bytes(), bytes.data(), bytes.size());
  FixChecksum(offset);
  blocks_.emplace_back(offset, header);
  if (header.type != static_cast<uint8_t>(BlockType::kCommitRecord) &&
      header.type != static_cast<uint8_t>(BlockType::kDeltaList)) {
    sums_[segment] += BlockHash(image_.data() + offset.bytes(), offset, salt_);
  }
  return offset;
}

Offset ImageBuilder::PlaceRun(BlockHeader header, std::string bytes) {
  if (edit) edit(header, bytes);
  const auto head = static_cast<uint32_t>(fill_.size());
  const auto length = static_cast<uint32_t>(SegmentsForBytes(bytes.size()));
  Grow(head + length - 1);
  const Offset offset = SegmentOffset(head);
  std::memcpy(bytes.data(), &header, sizeof(header));
  image_.resize(offset.bytes());
  image_ += bytes;
  FixChecksum(offset);
  runs_[head] = header.size_units;
  sums_[head] = BlockHash(image_.data() + offset.bytes(), offset, salt_);
  // Nothing else goes there.
  for (uint32_t k = 0; k < length; ++k) {
    fill_[head + k] = committed_fill_[head + k] = kSegmentUnits;
  }
  blocks_.emplace_back(offset, header);
  return offset;
}

void ImageBuilder::FixChecksum(Offset block) {
  char* bytes = image_.data() + block.bytes();
  const uint32_t checksum = ChecksumOf(BlockHash(bytes, block, salt_));
  std::memcpy(bytes + offsetof(BlockHeader, checksum), &checksum,
              sizeof(checksum));
}

std::vector<Offset> ImageBuilder::BlocksOf(BlockType type) const {
  std::vector<Offset> found;
  for (const auto& [offset, header] : blocks_) {
    if (header.type == static_cast<uint8_t>(type)) found.push_back(offset);
  }
  return found;
}

void ImageBuilder::RetireAt(Offset offset) {
  BlockHeader header;
  std::memcpy(&header, image_.data() + offset.bytes(), sizeof(header));
  retired_[offset.segment()] += header.size_units;
}

void ImageBuilder::RetireTree(uint32_t id) {
  std::erase_if(live_, [&](const auto& block) {
    if (block.second.collection != id) return false;
    RetireAt(block.first);
    return true;
  });
}

// Tries.

NodeSlot ImageBuilder::BuildTrie(uint32_t id, const Records& records) {
  Hashed hashed;
  for (const auto& [key, value] : records) {
    hashed.emplace_back(HashOf(key), key);
  }
  std::sort(hashed.begin(), hashed.end());
  const size_t before = blocks_.size();
  const NodeSlot root = BuildSlots(id, records, hashed, 0, hashed.size(), 0);
  live_.insert(live_.end(), blocks_.begin() + static_cast<ptrdiff_t>(before),
               blocks_.end());
  return root;
}

NodeSlot ImageBuilder::BuildSlots(uint32_t id, const Records& records,
                                  const Hashed& hashed, size_t from, size_t to,
                                  uint32_t depth) {
  if (from == to) return NodeSlot{};
  if (to - from <= 4) return MakeLeaf(id, records, hashed, from, to, depth);
  TrieNode node{};
  node.header = MakeBlockHeader(
      BlockType::kTrieNode, static_cast<uint8_t>(depth), 0, sizeof(node), id);
  node.prefix = TriePrefix(hashed[from].first, depth);
  FillNode(id, records, hashed, from, to, depth, 0, kTrieFanout, node.slots);
  const Offset offset = Place(node_segment, node.header, BytesOf(node));
  return NodeSlot::Make(SlotKind::kNode, offset, 0);
}

void ImageBuilder::FillNode(uint32_t id, const Records& records,
                            const Hashed& hashed, size_t from, size_t to,
                            uint32_t depth, uint32_t first, uint32_t length,
                            NodeSlot* slots) {
  if (from == to) return;
  const bool is_least = length == TrieRangeMin(depth);
  if ((to - from <= 4 && length < kTrieFanout) || is_least) {
    NodeSlot slot;
    if (to - from <= 4) {
      slot = MakeLeaf(id, records, hashed, from, to, depth);
    } else if (depth == kTrieDepthMax - 1) {
      slot = MakeCollisionLeaf(id, records, hashed, from, to);
    } else {
      slot = BuildSlots(id, records, hashed, from, to, depth + 1);
    }
    std::fill(slots + first, slots + first + length, slot);
    return;
  }
  const uint32_t half = length / 2;
  size_t middle = from;
  while (middle < to &&
         TrieSlotIndex(hashed[middle].first, depth) < first + half) {
    ++middle;
  }
  FillNode(id, records, hashed, from, middle, depth, first, half, slots);
  FillNode(id, records, hashed, middle, to, depth, first + half, half, slots);
}

NodeSlot ImageBuilder::MakeLeaf(uint32_t id, const Records& records,
                                const Hashed& hashed, size_t from, size_t to,
                                uint32_t depth) {
  const size_t count = to - from;
  std::string bytes(sizeof(BlockHeader) + kLeafBytesPerRecord * count, '\0');
  for (size_t i = 0; i < count; ++i) {
    const auto& [hash, key] = hashed[from + i];
    const std::string& value = records.at(key);
    bytes[sizeof(BlockHeader) + i] = static_cast<char>(LeafFingerprint(hash));
    const auto position = static_cast<uint16_t>(bytes.size());
    std::memcpy(bytes.data() + sizeof(BlockHeader) + count + 2 * i, &position,
                sizeof(position));
    if (key.size() + value.size() > kInlineRecordBytesMax ||
        key.size() > kInlineKeyBytesMax ||
        value.size() > kInlineValueBytesMax) {
      const Offset block = MakeRecordBlock(id, hash, key, value);
      bytes += BytesOf(ExternalRecord::Make(block, hash));
    } else {
      bytes += static_cast<char>(key.size());
      bytes += static_cast<char>(value.size());
      bytes += key + value;
    }
  }
  const BlockHeader header =
      MakeBlockHeader(BlockType::kTrieLeaf, static_cast<uint8_t>(depth),
                      static_cast<uint16_t>(count), bytes.size(), id);
  const Offset offset = Place(leaf_segment, header, std::move(bytes));
  return NodeSlot::Make(SlotKind::kLeaf, offset, header.bytes());
}

NodeSlot ImageBuilder::MakeCollisionLeaf(uint32_t id, const Records& records,
                                         const Hashed& hashed, size_t from,
                                         size_t to) {
  CollisionLeaf leaf{};
  leaf.hash = hashed[from].first;
  leaf.entries = static_cast<uint32_t>(to - from);
  std::string bytes = BytesOf(leaf);
  for (size_t i = from; i < to; ++i) {
    const std::string& key = hashed[i].second;
    const Offset block = MakeRecordBlock(id, leaf.hash, key, records.at(key));
    const auto tag = static_cast<uint16_t>(XXH3_64bits_withSeed(
        key.data(), key.size(), kSeed ^ 0x9E37'79B9'7F4A'7C15));
    bytes += BytesOf(CollisionEntry::Make(block, tag));
  }
  const BlockHeader header = MakeBlockHeader(
      BlockType::kCollisionLeaf, kTrieDepthMax - 1, 0, bytes.size(), id);
  const Offset offset = Place(leaf_segment, header, std::move(bytes));
  return NodeSlot::Make(SlotKind::kCollisionLeaf, offset, header.bytes());
}

Offset ImageBuilder::MakeRecordBlock(uint32_t id, uint64_t hash,
                                     const std::string& key,
                                     const std::string& value) {
  RecordBlock block{};
  block.hash = hash;
  block.key_bytes = key.size();
  block.value_bytes = value.size();
  block.header = MakeBlockHeader(BlockType::kRecord, 0, 0,
                                 sizeof(block) + key.size() + value.size(), id);
  return Place(leaf_segment, block.header, BytesOf(block) + key + value);
}

// The catalog and commits.

CatalogEntry& ImageBuilder::ResetCollection(const std::string& name,
                                            CollectionKind kind) {
  const bool is_new = catalog_.find(name) == catalog_.end();
  CatalogEntry& entry = catalog_[name];
  if (is_new) {
    entry = CatalogEntry{};
    entry.id = next_collection_++;
    entry.key_type_bytes = entry.value_type_bytes = 5;  // "bytes"
  }
  entry.kind = static_cast<uint8_t>(kind);
  entry.root = NodeSlot{};
  entry.count = 0;
  RetireTree(entry.id);
  return entry;
}

Offset ImageBuilder::AddBlock(uint32_t segment, const BlockHeader& header,
                              std::string bytes) {
  const Offset offset = Place(segment, header, std::move(bytes));
  live_.push_back(blocks_.back());
  return offset;
}

void ImageBuilder::AddDeadBlock(uint32_t segment, const BlockHeader& header,
                                std::string bytes) {
  RetireAt(Place(segment, header, std::move(bytes)));
}

void ImageBuilder::SetCollection(const std::string& name,
                                 const Records& records) {
  CatalogEntry& entry = ResetCollection(name, CollectionKind::kMap);
  entry.root = BuildTrie(entry.id, records);
  entry.count = records.size();
}

void ImageBuilder::Bury(const std::string& name) {
  CatalogEntry entry = catalog_[name];
  catalog_.erase(name);
  entry.kind = static_cast<uint8_t>(CollectionKind::kGraveyard);
  catalog_[std::string(1, '\0') + "1"] = entry;
}

void ImageBuilder::BuildCatalog() {
  RetireTree(kCatalogId);
  Records names;
  for (const auto& [name, entry] : catalog_) {
    names[name] = BytesOf(entry) + std::string(entry.key_type_bytes, 'k') +
                  std::string(entry.value_type_bytes, 'v');
  }
  catalog_root_ = BuildTrie(kCatalogId, names);
}

std::vector<Delta> ImageBuilder::TakeDeltas() {
  std::vector<Delta> deltas;
  for (uint32_t s = 0; s < fill_.size(); ++s) {
    if (fill_[s] == committed_fill_[s]) continue;
    deltas.push_back(Delta{s, static_cast<uint32_t>(DeltaKind::kFill),
                           committed_fill_[s], fill_[s], sums_[s]});
    committed_fill_[s] = fill_[s];
  }
  for (const auto& [head, units] : runs_) {
    deltas.push_back(Delta{head, static_cast<uint32_t>(DeltaKind::kRun), 0,
                           units, sums_[head]});
  }
  for (const auto& [segment, units] : retired_) {
    deltas.push_back(Delta{segment, static_cast<uint32_t>(DeltaKind::kRetire),
                           0, static_cast<uint32_t>(units), 0});
  }
  runs_.clear();
  retired_.clear();
  sums_.clear();
  return deltas;
}

void ImageBuilder::ApplyDeltas(const std::vector<Delta>& deltas,
                               uint64_t version) {
  for (const Delta& delta : deltas) {
    const auto kind = static_cast<DeltaKind>(delta.kind);
    AccountingRow& row = rows_[delta.segment];
    if (kind == DeltaKind::kFill) {
      if (delta.from_units == SegmentStartUnits(delta.segment)) {
        row = AccountingRow{.birth = version, .run_length = 1};
      }
      row.fill_units = delta.to_units;
      row.live_units += delta.to_units - delta.from_units;
      row.sum += delta.sum;
      continue;
    }
    const bool is_run = kind == DeltaKind::kRun;
    const auto length = is_run ? static_cast<uint32_t>(SegmentsForBytes(
                                     delta.to_units * kUnitBytes))
                               : std::max(1u, row.run_length);
    uint64_t left = delta.to_units;
    for (uint32_t k = 0; k < length; ++k) {
      AccountingRow& part = rows_[delta.segment + k];
      const auto units = static_cast<uint32_t>(
          length == 1 ? left : std::min(left, kSegmentUnits));
      left -= units;
      if (is_run) {
        part = AccountingRow{
            version, 0, k == 0 ? delta.sum : 0, units, units, k, length};
      } else {
        part.live_units -= units;
        part.death = version;
      }
    }
  }
}

Offset ImageBuilder::PlaceSpill(std::vector<Delta>& deltas) {
  // The list lies behind the data whose deltas it holds, itself included.
  const size_t room = deltas.size() + 2;
  DeltaList list{};
  list.header = MakeBlockHeader(BlockType::kDeltaList, 0, 0,
                                sizeof(list) + room * sizeof(Delta), kSystemId);
  const Offset offset =
      Place(node_segment, list.header, std::string(list.header.bytes(), '\0'));
  const std::vector<Delta> own = TakeDeltas();
  bool merged = false;
  for (Delta& delta : deltas) {
    if (delta.segment != own[0].segment || delta.kind != own[0].kind) continue;
    delta.to_units = own[0].to_units;
    merged = true;
  }
  if (!merged) deltas.insert(deltas.begin(), own[0]);
  list.count = deltas.size();
  char* at = image_.data() + offset.bytes();
  std::memcpy(at, &list, sizeof(list));
  std::memcpy(at + sizeof(list), deltas.data(), deltas.size() * sizeof(Delta));
  FixChecksum(offset);
  return offset;
}

void ImageBuilder::Seal(uint64_t folded_version) {
  ++version_;
  CommitRecord record{};
  std::vector<Delta> data = TakeDeltas();
  if (data.size() > inline_deltas_max) {
    record.spill = PlaceSpill(data);
    record.spilled_delta_count = static_cast<uint32_t>(data.size());
    ApplyDeltas(data, version_);
    chain_.push_back(record.spill);
    rows_[record.spill.segment()].sum +=
        BlockHash(image_.data() + record.spill.bytes(), record.spill, salt_);
    data.clear();
  }
  BuildCatalog();
  const uint64_t bytes = sizeof(record) + (data.size() + 8) * sizeof(Delta);
  record.header =
      MakeBlockHeader(BlockType::kCommitRecord, 0, 0, bytes, kSystemId);
  const Offset offset =
      Place(node_segment, record.header, std::string(bytes, '\0'));
  const std::vector<Delta> catalog = TakeDeltas();
  record.version = version_;
  record.incarnation = 1;
  record.previous = record_;
  record.catalog_root = catalog_root_;
  record.accounting_root = accounting_root_;
  record.folded_version = folded_version;
  record.catalog_version = version_;
  record.segment_count = static_cast<uint32_t>(fill_.size());
  record.accounting_rows = accounting_rows_;
  record.next_collection = next_collection_;
  for (const auto& [name, entry] : catalog_) {
    record.collection_count += name[0] == '\0' ? 0 : 1;
  }
  record.data_delta_count = static_cast<uint32_t>(data.size());
  record.catalog_delta_count = static_cast<uint32_t>(catalog.size());
  if (edit_record) edit_record(record);
  char* at = image_.data() + offset.bytes();
  std::memcpy(at, &record, sizeof(record));
  at += sizeof(record);
  std::vector<Delta> deltas = data;
  deltas.insert(deltas.end(), catalog.begin(), catalog.end());
  std::memcpy(at, deltas.data(), deltas.size() * sizeof(Delta));
  FixChecksum(offset);
  ApplyDeltas(data, version_);
  ApplyDeltas(catalog, version_);
  rows_[offset.segment()].sum +=
      BlockHash(image_.data() + offset.bytes(), offset, salt_);
  record_ = offset;
  folded_ = folded_version;
  chain_.push_back(offset);
}

void ImageBuilder::Commit() { Seal(folded_); }

void ImageBuilder::Fold() {
  const uint64_t base = version_;
  for (Offset block : accounting_) RetireAt(block);
  for (Offset block : chain_) RetireAt(block);
  accounting_.clear();
  chain_.clear();
  const std::vector<AccountingRow> rows = rows_;
  AccountingNode node{};
  const size_t leaves =
      (rows.size() + kAccountingFanout - 1) / kAccountingFanout;
  for (size_t i = 0; i < leaves; ++i) {
    AccountingLeaf leaf{};
    leaf.header = MakeBlockHeader(BlockType::kAccountingLeaf, 0, 0,
                                  sizeof(leaf), kSystemId);
    leaf.first_segment = i * kAccountingFanout;
    const size_t count =
        std::min<size_t>(kAccountingFanout, rows.size() - leaf.first_segment);
    std::copy_n(rows.begin() + static_cast<ptrdiff_t>(leaf.first_segment),
                count, leaf.rows);
    accounting_.push_back(Place(node_segment, leaf.header, BytesOf(leaf)));
    node.children[i] = accounting_.back();
  }
  accounting_root_ = accounting_.back();
  if (leaves > 1) {
    node.header = MakeBlockHeader(BlockType::kAccountingNode, 1, 0,
                                  sizeof(node), kSystemId);
    accounting_root_ = Place(node_segment, node.header, BytesOf(node));
    accounting_.push_back(accounting_root_);
  }
  accounting_rows_ = static_cast<uint32_t>(rows.size());
  Seal(base);
}

void ImageBuilder::WriteSlot(uint32_t index) {
  BlockHeader header;
  const char* record = image_.data() + record_.bytes();
  std::memcpy(&header, record, sizeof(header));
  const CommitSlot slot =
      MakeCommitSlot(index,
                     CommitSlotFields{/*incarnation=*/1, version_, record_,
                                      BlockHash(record, record_, salt_),
                                      fill_.size(), image_.size()},
                     superblock_.uuid);
  std::memcpy(image_.data() + CommitSlotPosition(index),
              static_cast<const void*>(&slot), sizeof(slot));
}

}  // namespace eve::testing
