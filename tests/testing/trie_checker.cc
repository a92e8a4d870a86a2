#include "tests/testing/trie_checker.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"

#define CHECK_RULE(offset, condition)                              \
  do {                                                             \
    if (!(condition)) return Broken(offset, #condition, __LINE__); \
  } while (false)

#define CHECK_STEP(expression)                   \
  do {                                           \
    const absl::Status step_status = expression; \
    if (!step_status.ok()) return step_status;   \
  } while (false)

namespace eve {
namespace {

absl::Status Broken(Offset offset, const char* rule, int line) {
  return absl::DataLossError(
      absl::StrCat("byte ", offset.bytes(), ": rule ", rule, ", line ", line));
}

class Checker {
 public:
  Checker(const BlockView& view, const KeyHasher& hasher, uint32_t collection,
          TrieContent* content)
      : view_(view),
        hasher_(hasher),
        collection_(collection),
        content_(content) {}

  // `prefix_bits` of `prefix` are shared by all hashes below `slot`, which
  // hangs in a node of `depth` (0 for the root itself).
  absl::Status CheckSlot(NodeSlot slot, uint32_t depth, uint32_t node_depth,
                         uint64_t prefix, uint32_t prefix_bits) {
    if (slot.is_empty()) return absl::OkStatus();
    const Offset offset = slot.offset();
    CHECK_RULE(offset, slot.word >> 56 == 0);
    CHECK_RULE(offset, view_.Contains(offset));
    const auto* header = view_.As<BlockHeader>(offset);
    CHECK_STEP(TakeBlock(offset));
    switch (slot.kind()) {
      case SlotKind::kNode:
        CHECK_RULE(offset, slot.lines() == 0);
        return CheckNode(offset, node_depth, prefix);
      case SlotKind::kLeaf:
        CHECK_RULE(offset,
                   slot.lines() ==
                       std::min<uint64_t>((header->bytes() + 63) / 64, 63));
        CHECK_RULE(offset, header->depth == depth);
        return CheckLeaf(offset, prefix, prefix_bits);
      case SlotKind::kCollisionLeaf:
        CHECK_RULE(offset,
                   slot.lines() ==
                       std::min<uint64_t>((header->bytes() + 63) / 64, 63));
        CHECK_RULE(offset, depth == 12 && header->depth == 12);
        CHECK_RULE(offset, prefix_bits == 64);
        return CheckCollisions(offset, prefix);
      case SlotKind::kEmpty:
        break;
    }
    return Broken(offset, "an empty slot is zero", __LINE__);
  }

 private:
  absl::Status TakeBlock(Offset offset) {
    const auto* header = view_.As<BlockHeader>(offset);
    CHECK_RULE(offset, header->size_units >= 2);
    CHECK_RULE(offset, header->size_units <= view_.limit_units - offset.units);
    CHECK_RULE(offset, header->collection == collection_);
    CHECK_RULE(offset, header->checksum == 0);
    CHECK_RULE(offset, !content_->blocks.contains(offset.units));
    content_->blocks[offset.units] = header->bytes();
    content_->bytes += header->bytes();
    return absl::OkStatus();
  }

  absl::Status CheckPadding(Offset offset, uint64_t content_bytes) {
    const uint64_t bytes = view_.As<BlockHeader>(offset)->bytes();
    CHECK_RULE(offset, content_bytes <= bytes && bytes - content_bytes < 16);
    const char* block = view_.At(offset);
    CHECK_RULE(offset, std::all_of(block + content_bytes, block + bytes,
                                   [](char c) { return c == 0; }));
    return absl::OkStatus();
  }

  absl::Status CheckNode(Offset offset, uint32_t depth, uint64_t prefix) {
    const auto* node = view_.As<TrieNode>(offset);
    CHECK_RULE(offset, node->header.type == 1);
    CHECK_RULE(offset, node->header.depth == depth && depth < 13);
    CHECK_RULE(offset, node->header.count == 0);
    CHECK_RULE(offset, node->header.bytes() == 288);
    CHECK_RULE(offset, node->prefix == prefix && node->reserved == 0);
    ++content_->nodes;
    uint32_t last = 0;
    bool any = false;
    for (uint32_t first = 0; first < 32; first = last) {
      last = first + 1;
      const NodeSlot slot = node->slots[first];
      while (last < 32 && node->slots[last] == slot) ++last;
      if (slot.is_empty()) continue;
      any = true;
      const uint32_t size = last - first;
      CHECK_RULE(offset, (size & (size - 1)) == 0 && first % size == 0);
      CHECK_RULE(offset, slot.kind() != SlotKind::kNode || size == 1);
      CHECK_RULE(offset, depth < 12 || size >= 2);
      uint32_t bits = 5 * (depth + 1);
      for (uint32_t s = size; s > 1; s /= 2) --bits;
      // The 65 bits of the last level lack their lowest.
      const uint64_t below =
          depth == 12 ? prefix | first / 2
                      : prefix | uint64_t{first} << (64 - 5 * (depth + 1));
      CHECK_STEP(CheckSlot(slot, depth, depth + 1, below, bits));
    }
    CHECK_RULE(offset, any);
    return absl::OkStatus();
  }

  absl::Status CheckLeaf(Offset offset, uint64_t prefix, uint32_t bits) {
    const auto* header = view_.As<BlockHeader>(offset);
    const char* block = view_.At(offset);
    CHECK_RULE(offset, header->type == 2);
    const uint32_t count = header->count;
    CHECK_RULE(offset, count > 0);
    CHECK_RULE(offset, header->bytes() <= kLeafBytesMax);
    ++content_->leaves;
    uint64_t at = 16 + 3 * count;
    uint64_t last_hash = 0;
    for (uint32_t i = 0; i < count; ++i) {
      CHECK_RULE(offset, at + 2 <= header->bytes());
      uint16_t position;
      std::memcpy(&position, block + 16 + count + 2 * i, 2);
      CHECK_RULE(offset, position == at);
      uint64_t hash = 0;
      CHECK_STEP(CheckRecord(offset, &at, &hash));
      CHECK_RULE(offset, static_cast<uint8_t>(block[16 + i]) == (hash & 255));
      CHECK_RULE(offset, hash >= last_hash);
      CHECK_RULE(offset, bits == 0 || (hash ^ prefix) >> (64 - bits) == 0);
      last_hash = hash;
    }
    return CheckPadding(offset, at);
  }

  // The record of a leaf at `*at`, which moves to its end.
  absl::Status CheckRecord(Offset offset, uint64_t* at, uint64_t* hash) {
    const uint64_t bytes = view_.As<BlockHeader>(offset)->bytes();
    const char* record = view_.At(offset) + *at;
    const uint8_t key_bytes = static_cast<uint8_t>(record[0]);
    const uint8_t value_bytes = static_cast<uint8_t>(record[1]);
    if (key_bytes == 255) {
      CHECK_RULE(offset, *at + 16 <= bytes && value_bytes == 0);
      uint64_t words[2];
      std::memcpy(words, record, 16);
      *at += 16;
      *hash = words[1];
      return CheckLarge(Offset{words[0] >> 16}, words[1]);
    }
    CHECK_RULE(offset, *at + 2 + key_bytes + value_bytes <= bytes);
    CHECK_RULE(offset, key_bytes + value_bytes <= 256);
    *at += 2u + key_bytes + value_bytes;
    const std::string key(record + 2, key_bytes);
    *hash = hasher_(Bytes(key));
    return TakeRecord(offset, key,
                      std::string(record + 2 + key_bytes, value_bytes));
  }

  absl::Status CheckLarge(Offset offset, uint64_t hash) {
    CHECK_RULE(offset, view_.Contains(offset));
    CHECK_STEP(TakeBlock(offset));
    const auto* block = view_.As<RecordBlock>(offset);
    CHECK_RULE(offset, block->header.type == 4);
    CHECK_RULE(offset, block->header.depth == 0 && block->header.count == 0);
    CHECK_RULE(offset, block->key_bytes <= 64 << 10);
    CHECK_STEP(
        CheckPadding(offset, 40 + block->key_bytes + block->value_bytes));
    const char* bytes = view_.At(offset) + 40;
    const std::string key(bytes, block->key_bytes);
    CHECK_RULE(offset, block->hash == hash && hash == hasher_(Bytes(key)));
    ++content_->external_records;
    return TakeRecord(offset, key,
                      std::string(bytes + key.size(), block->value_bytes));
  }

  absl::Status CheckCollisions(Offset offset, uint64_t hash) {
    const auto* leaf = view_.As<CollisionLeaf>(offset);
    CHECK_RULE(offset, leaf->header.type == 3 && leaf->header.count == 0);
    CHECK_RULE(offset, leaf->hash == hash && leaf->reserved == 0);
    CHECK_STEP(CheckPadding(offset, 32 + uint64_t{8} * leaf->entries));
    ++content_->collision_leaves;
    for (uint64_t i = 0; i < leaf->entries; ++i) {
      uint64_t word;
      std::memcpy(&word, view_.At(offset) + 32 + 8 * i, 8);
      const Offset record{word & ((uint64_t{1} << 48) - 1)};
      CHECK_STEP(CheckLarge(record, hash));
      const auto* block = view_.As<RecordBlock>(record);
      const Bytes key(view_.At(record) + 40, block->key_bytes);
      CHECK_RULE(record, word >> 48 == hasher_.CollisionTag(key));
    }
    return absl::OkStatus();
  }

  absl::Status TakeRecord(Offset offset, std::string key, std::string value) {
    CHECK_RULE(offset, !content_->records.contains(key));
    content_->records[std::move(key)] = std::move(value);
    return absl::OkStatus();
  }

  const BlockView& view_;
  const KeyHasher& hasher_;
  const uint32_t collection_;
  TrieContent* const content_;
};

}  // namespace

absl::Status CheckTrie(const BlockView& view, const KeyHasher& hasher,
                       uint32_t collection, NodeSlot root,
                       TrieContent* content) {
  *content = TrieContent{};
  return Checker(view, hasher, collection, content).CheckSlot(root, 0, 0, 0, 0);
}

}  // namespace eve
