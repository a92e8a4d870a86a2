#include "engine/collections/hamt_writer.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "util/check.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// Copies `bytes`; an empty view may have no address.
char* Append(char* at, Bytes bytes) {
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  return at + bytes.size();
}

char* AppendRecord(char* at, const PendingRecord& record) {
  if (!record.external.is_null()) {
    const ExternalRecord external =
        ExternalRecord::Make(record.external, record.hash);
    std::memcpy(at, &external, sizeof(external));
    return at + sizeof(external);
  }
  at[0] = static_cast<char>(record.key.size());
  at[1] = static_cast<char>(record.value.size());
  return Append(Append(at + kRecordHeadBytes, record.key), record.value);
}

uint64_t LeafBytesOf(absl::Span<const PendingRecord> records) {
  uint64_t bytes = sizeof(BlockHeader);
  for (const PendingRecord& record : records) bytes += record.LeafBytes();
  return bytes;
}

}  // namespace

int Region::prefix_bits() const {
  return depth < 0 ? 0 : (depth + 1) * kTrieBits - std::countr_zero(range.size);
}

SlotRange RangeOf(const NodeSlot* slots, uint32_t index) {
  const NodeSlot word = slots[index];
  SlotRange range{index, 1};
  while (range.size < kTrieFanout) {
    const NodeSlot* buddy = slots + (range.first ^ range.size);
    if (!std::all_of(buddy, buddy + range.size,
                     [&](NodeSlot slot) { return slot == word; })) {
      break;
    }
    range.first &= ~range.size;
    range.size *= 2;
  }
  return range;
}

char* StoreRecord(const PendingRecord& record, uint32_t index, uint32_t count,
                  char* block, char* at) {
  char* const tags = block + sizeof(BlockHeader);
  const uint16_t position = static_cast<uint16_t>(at - block);
  tags[index] = static_cast<char>(LeafFingerprint(record.hash));
  std::memcpy(tags + count + 2 * index, &position, sizeof(position));
  return AppendRecord(at, record);
}

absl::Status DamagedBlock(Offset offset, const char* what) {
  return absl::DataLossError(
      absl::StrCat("damaged ", what, " at byte ", offset.bytes()));
}

absl::Status TrieWriter::RetireRecord(Offset offset) {
  LargeRecord record;
  if (!OpenLargeRecord(view(), offset, &record)) {
    return DamagedBlock(offset, "record");
  }
  Retire(offset, record.block_bytes);
  return absl::OkStatus();
}

// There are up to 32^depth nodes of a depth, and random commits rewrite each as
// seldom: the upper ones are dead before their segment is full.
static Stream NodeStream(int depth) {
  constexpr int kDeep = 3;
  return depth < kDeep ? Stream::kNodes : Stream::kDeepNodes;
}

absl::Status TrieWriter::NewBlockOf(BlockType type, int depth, uint32_t count,
                                    uint64_t bytes, NewBlock* block) {
  const Stream stream =
      type == BlockType::kTrieNode ? NodeStream(depth) : context_.leaf_stream;
  EVE_ASSIGN_OR_RETURN(*block, context_.store->Allocate(stream, bytes));
  const BlockHeader header =
      MakeBlockHeader(type, static_cast<uint8_t>(depth),
                      static_cast<uint16_t>(count), bytes, context_.collection);
  std::memcpy(block->data, &header, sizeof(header));
  ZeroPadding(block->data, bytes);
  return absl::OkStatus();
}

absl::Status TrieWriter::WriteRecord(uint64_t hash, Bytes key, Bytes value,
                                     Offset* offset) {
  const uint64_t bytes = sizeof(RecordBlock) + key.size() + value.size();
  NewBlock block;
  EVE_RETURN_IF_ERROR(NewBlockOf(BlockType::kRecord, 0, 0, bytes, &block));
  const uint64_t fields[3] = {hash, key.size(), value.size()};
  static_assert(sizeof(BlockHeader) + sizeof(fields) == sizeof(RecordBlock));
  std::memcpy(block.data + sizeof(BlockHeader), fields, sizeof(fields));
  Append(Append(block.data + sizeof(RecordBlock), key), value);
  *offset = block.offset;
  return absl::OkStatus();
}

// Cases:
//   no records                  the range becomes empty
//   they fit a leaf             one leaf over the whole range
//   the range can be halved     each half by itself
//   one slot, hash bits left    a new node below it
//   no hash bits left           a collision leaf: all the hashes are equal
absl::Status TrieWriter::BuildRange(absl::Span<PendingRecord> records,
                                    const Region& region, NodeSlot* slots) {
  const SlotRange range = region.range;
  if (records.empty()) {
    FillRange(slots, range, NodeSlot{});
    return absl::OkStatus();
  }
  NodeSlot slot;
  if (LeafBytesOf(records) <= kLeafBytesMax) {
    EVE_RETURN_IF_ERROR(WriteLeaf(records, region.leaf_depth(), &slot));
  } else if (region.can_halve()) {
    const uint32_t depth = static_cast<uint32_t>(region.depth);
    const uint32_t half = range.size / 2;
    const uint32_t middle = range.first + half;
    const auto split = std::partition_point(
        records.begin(), records.end(), [&](const PendingRecord& record) {
          return TrieSlotIndex(record.hash, depth) < middle;
        });
    const size_t low = static_cast<size_t>(split - records.begin());
    EVE_RETURN_IF_ERROR(BuildRange(records.first(low),
                                   {region.depth, {range.first, half}}, slots));
    return BuildRange(records.subspan(low), {region.depth, {middle, half}},
                      slots);
  } else if (region.depth + 1 < static_cast<int>(kTrieDepthMax)) {
    EVE_RETURN_IF_ERROR(
        BuildNode(records, static_cast<uint32_t>(region.depth + 1), &slot));
  } else {
    EVE_RETURN_IF_ERROR(BuildCollisionLeaf(records, &slot));
  }
  FillRange(slots, range, slot);
  return absl::OkStatus();
}

absl::Status TrieWriter::BuildNode(absl::Span<PendingRecord> records,
                                   uint32_t depth, NodeSlot* slot) {
  NodeSlot slots[kTrieFanout];
  EVE_RETURN_IF_ERROR(BuildRange(
      records, Region{static_cast<int>(depth), {0, kTrieFanout}}, slots));
  NewBlock block;
  EVE_RETURN_IF_ERROR(NewBlockOf(BlockType::kTrieNode, static_cast<int>(depth),
                                 0, sizeof(TrieNode), &block));
  const uint64_t fields[2] = {TriePrefix(records[0].hash, depth), 0};
  static_assert(sizeof(BlockHeader) + sizeof(fields) + sizeof(slots) ==
                sizeof(TrieNode));
  char* const body = block.data + sizeof(BlockHeader);
  std::memcpy(body, fields, sizeof(fields));
  std::memcpy(body + sizeof(fields), slots, sizeof(slots));
  *slot = NodeSlot::Make(SlotKind::kNode, block.offset, 0);
  return absl::OkStatus();
}

absl::Status TrieWriter::WriteLeaf(absl::Span<PendingRecord> records,
                                   uint8_t depth, NodeSlot* slot) {
  for (PendingRecord& record : records) {
    if (!record.external.is_null() || !record.is_large()) continue;
    EVE_RETURN_IF_ERROR(
        WriteRecord(record.hash, record.key, record.value, &record.external));
  }
  const uint64_t bytes = LeafBytesOf(records);
  EVE_DCHECK(bytes <= kLeafBytesMax, "a leaf within its limit");
  const uint32_t count = static_cast<uint32_t>(records.size());
  NewBlock block;
  EVE_RETURN_IF_ERROR(
      NewBlockOf(BlockType::kTrieLeaf, depth, count, bytes, &block));
  char* at = block.data + sizeof(BlockHeader) + kLeafBytesPerRecord * count;
  for (uint32_t i = 0; i < count; ++i) {
    at = StoreRecord(records[i], i, count, block.data, at);
  }
  *slot = NodeSlot::Make(SlotKind::kLeaf, block.offset, bytes);
  return absl::OkStatus();
}

absl::Status TrieWriter::BuildCollisionLeaf(absl::Span<PendingRecord> records,
                                            NodeSlot* slot) {
  std::vector<CollisionEntry> entries;
  entries.reserve(records.size());
  for (PendingRecord& record : records) {
    Bytes key = record.key;
    if (record.external.is_null()) {
      EVE_RETURN_IF_ERROR(
          WriteRecord(record.hash, record.key, record.value, &record.external));
    } else {
      LargeRecord large;
      if (!OpenLargeRecord(view(), record.external, &large)) {
        return DamagedBlock(record.external, "record");
      }
      key = large.key;
    }
    entries.push_back(
        CollisionEntry::Make(record.external, hasher().CollisionTag(key)));
  }
  return WriteCollisionLeaf(records[0].hash, entries, slot);
}

absl::Status TrieWriter::WriteCollisionLeaf(
    uint64_t hash, absl::Span<const CollisionEntry> entries, NodeSlot* slot) {
  const uint64_t bytes =
      sizeof(CollisionLeaf) + entries.size() * sizeof(CollisionEntry);
  if (bytes > kCollisionLeafBytesMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ",
                     (kCollisionLeafBytesMax - sizeof(CollisionLeaf)) /
                         sizeof(CollisionEntry),
                     " keys of one 64-bit hash"));
  }
  NewBlock block;
  EVE_RETURN_IF_ERROR(NewBlockOf(BlockType::kCollisionLeaf, kTrieDepthMax - 1,
                                 0, bytes, &block));
  const uint64_t fields[2] = {hash, entries.size()};
  static_assert(sizeof(BlockHeader) + sizeof(fields) == sizeof(CollisionLeaf));
  std::memcpy(block.data + sizeof(BlockHeader), fields, sizeof(fields));
  std::memcpy(block.data + sizeof(CollisionLeaf), entries.data(),
              entries.size() * sizeof(CollisionEntry));
  *slot = NodeSlot::Make(SlotKind::kCollisionLeaf, block.offset, bytes);
  return absl::OkStatus();
}

}  // namespace eve
