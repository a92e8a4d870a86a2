#include "engine/verify/verify_trie.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "engine/format/constants.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace eve::verify {
namespace {

constexpr uint64_t kLeafBytesEnd = 64 << 10;  // positions have 16 bits
constexpr uint64_t kRecordBytesMax =
    sizeof(RecordBlock) + kKeyBytesMax + kValueBytesMax + kUnitBytes;
constexpr uint64_t kTagSeed = 0x9E37'79B9'7F4A'7C15;

// What a slot points at, and which hashes may be there.
struct Place {
  NodeSlot slot;
  Offset parent;       // for messages
  uint32_t depth = 0;  // of a node; for a leaf, of the node above it
  uint64_t prefix = 0;
  uint32_t first = 0;  // for a leaf: the slots that it covers
  uint32_t length = kTrieFanout;
};

// Where the bits of the slot index at `depth` stand. At the last depth only
// four of the five are left, and odd slots are never asked for.
uint64_t PrefixOfChild(uint64_t prefix, uint32_t depth, uint32_t slot) {
  return prefix | uint64_t{slot} << (64 - kTrieBits) >> depth * kTrieBits;
}

bool BelongsTo(uint64_t hash, const Place& place) {
  const uint32_t bits = place.depth * kTrieBits;
  const uint64_t above = bits == 0 ? 0 : ~uint64_t{0} << (64 - bits);
  if ((hash & above) != place.prefix) return false;
  const auto slot = static_cast<uint32_t>(hash << bits >> (64 - kTrieBits));
  return slot >= place.first && slot - place.first < place.length;
}

class TrieWalker {
 public:
  TrieWalker(const TrieWalk& walk, uint32_t id, TreeReport& report,
             RecordVisitor visit)
      : walk_(walk), log_(*walk.log), id_(id), report_(report), visit_(visit) {}

  void Walk(NodeSlot root) {
    if (root.is_empty()) return;
    stack_.push_back(Place{.slot = root});
    while (!stack_.empty()) {
      const Place place = stack_.back();
      stack_.pop_back();
      VisitPlace(place);
    }
  }

 private:
  void VisitPlace(const Place& place) {
    if (place.slot.word >> 56 != 0) {
      log_.Add(place.parent, "slot: reserved bits", "0",
               Hex(place.slot.word >> 56));
    }
    switch (place.slot.kind()) {
      case SlotKind::kNode:
        return VisitNode(place);
      case SlotKind::kLeaf:
        return VisitLeaf(place);
      case SlotKind::kCollisionLeaf:
        return VisitCollisionLeaf(place);
      case SlotKind::kEmpty:
        log_.Add(place.parent, "slot: kind", "1 to 3",
                 absl::StrCat("0, word ", Hex(place.slot.word)));
    }
  }

  // Loads and marks what a slot points at.
  bool Load(const Place& place, BlockType type, uint32_t depth,
            uint64_t bytes_min, uint64_t bytes_max) {
    const Expected expected{.type = type,
                            .collection = id_,
                            .depth = depth,
                            .bytes_min = bytes_min,
                            .bytes_max = bytes_max};
    const Offset offset = place.slot.offset();
    if (!walk_.reader->Load(offset, expected, block_)) return false;
    if (!Mark(block_)) return false;
    const bool is_node = type == BlockType::kTrieNode;
    const NodeSlot right = NodeSlot::Make(place.slot.kind(), offset,
                                          is_node ? 0 : block_.header.bytes());
    log_.Equal(offset, "slot: lines of the leaf", right.lines(),
               place.slot.lines());
    return true;
  }

  bool Mark(const LoadedBlock& block) {
    if (!walk_.reach->Mark(block.offset, block.header.size_units)) {
      log_.Add(block.offset, absl::StrCat(TypeOf(block), " is reached twice"),
               "one place", "two");
      return false;
    }
    report_.bytes += block.header.bytes();
    return true;
  }

  static const char* TypeOf(const LoadedBlock& block) {
    return NameOf(static_cast<BlockType>(block.header.type));
  }

  void VisitNode(const Place& place);
  void PushChildren(const Place& place, const TrieNode& node);
  void VisitLeaf(const Place& place);
  // Returns the end of record `i` in the leaf, 0 if it makes no sense.
  uint64_t VisitLeafRecord(const Place& place, uint32_t i, uint64_t at);
  void VisitCollisionLeaf(const Place& place);
  // Returns false if it could not be read.
  bool VisitExternal(Offset offset, uint64_t hash, std::string_view* key);
  void CheckKey(const Place& place, Offset offset, uint64_t hash,
                std::string_view key);
  uint64_t HashOf(std::string_view key) const {
    return XXH3_64bits_withSeed(key.data(), key.size(), walk_.hash.seed) &
           walk_.hash.mask;
  }

  const TrieWalk& walk_;
  ErrorLog& log_;
  const uint32_t id_;
  TreeReport& report_;
  RecordVisitor visit_;
  std::vector<Place> stack_;
  LoadedBlock block_;     // node or leaf
  LoadedBlock external_;  // record of its own
  // Of the leaf at hand: its last hash, and all keys that have it.
  uint64_t last_hash_ = 0;
  std::vector<std::string> keys_of_hash_;  // strings are used again
  size_t keys_used_ = 0;
};

void TrieWalker::VisitNode(const Place& place) {
  const Offset offset = place.slot.offset();
  if (place.depth >= kTrieDepthMax) {
    log_.Add(offset, "trie node below the last level",
             absl::StrCat("depth below ", kTrieDepthMax),
             absl::StrCat(place.depth));
    return;
  }
  if (place.length != 1 && place.depth != 0) {
    log_.Add(place.parent, "trie node in several slots", "1",
             absl::StrCat(place.length));
    return;
  }
  if (!Load(place, BlockType::kTrieNode, place.depth, sizeof(TrieNode),
            sizeof(TrieNode))) {
    return;
  }
  ++report_.nodes;
  report_.max_depth = std::max(report_.max_depth, place.depth + 1);
  const auto node = block_.Read<TrieNode>(0);
  log_.Equal(offset, "trie node: count", 0, node.header.count);
  log_.Equal(offset, "trie node: reserved", 0, node.reserved);
  if (node.prefix != place.prefix) {
    log_.Add(offset, "trie node: prefix", Hex(place.prefix), Hex(node.prefix));
  }
  PushChildren(place, node);
}

void TrieWalker::PushChildren(const Place& place, const TrieNode& node) {
  const uint32_t least = TrieRangeMin(place.depth);
  for (uint32_t first = 0; first < kTrieFanout;) {
    const NodeSlot slot = node.slots[first];
    uint32_t length = 1;
    while (first + length < kTrieFanout && node.slots[first + length] == slot) {
      ++length;
    }
    if (slot.is_empty()) {
      first += length;
      continue;
    }
    if (!std::has_single_bit(length) || first % length != 0 || length < least) {
      log_.Add(place.slot.offset(),
               absl::StrCat("slots of a leaf, from ", first),
               absl::StrCat("an aligned power of two, at least ", least),
               absl::StrCat(length));
    }
    Place child{.slot = slot, .parent = place.slot.offset()};
    if (slot.kind() == SlotKind::kNode) {
      child.depth = place.depth + 1;
      child.length = length;
      child.prefix = PrefixOfChild(place.prefix, place.depth, first);
    } else {
      child.depth = place.depth;
      child.prefix = place.prefix;
      child.first = first;
      child.length = length;
    }
    stack_.push_back(child);
    first += length;
  }
}

void TrieWalker::CheckKey(const Place& place, Offset offset, uint64_t hash,
                          std::string_view key) {
  if (!BelongsTo(hash, place)) {
    log_.Add(offset, "record: its hash belongs elsewhere",
             absl::StrCat("prefix ", Hex(place.prefix), ", depth ", place.depth,
                          ", slots ", place.first, " to ",
                          place.first + place.length - 1),
             Hex(hash));
  }
  if (hash != last_hash_) keys_used_ = 0;
  last_hash_ = hash;
  for (size_t i = 0; i < keys_used_; ++i) {
    if (keys_of_hash_[i] != key) continue;
    log_.Add(offset, "record: its key is here twice", "unique keys",
             absl::StrCat(key.size(), " bytes, hash ", Hex(hash)));
  }
  if (keys_of_hash_.size() == keys_used_) keys_of_hash_.emplace_back();
  keys_of_hash_[keys_used_++].assign(key);
}

uint64_t TrieWalker::VisitLeafRecord(const Place& place, uint32_t i,
                                     uint64_t at) {
  const Offset offset = block_.offset;
  const uint64_t size = block_.bytes.size();
  if (at + kRecordHeadBytes > size) return 0;
  const auto head = block_.Read<uint8_t>(at);
  uint64_t hash = 0;
  uint64_t end = 0;
  if (head == kExternalMark) {
    end = at + sizeof(ExternalRecord);
    if (end > size) return 0;
    const auto external = block_.Read<ExternalRecord>(at);
    hash = external.hash;
    log_.Equal(offset, "external record: reserved byte", 0,
               external.word >> 8 & 0xFF);
    const uint64_t before = last_hash_;
    std::string_view key;
    if (VisitExternal(external.offset(), hash, &key)) {
      if (i > 0 && hash < before) {
        log_.Add(offset, "leaf: order of hashes",
                 absl::StrCat("at least ", Hex(before)), Hex(hash));
      }
      CheckKey(place, offset, hash, key);
    }
  } else {
    const uint64_t value_bytes = block_.Read<uint8_t>(at + 1);
    end = at + kRecordHeadBytes + head + value_bytes;
    if (end > size) return 0;
    const char* from = block_.bytes.data() + at + kRecordHeadBytes;
    const std::string_view key(from, head);
    hash = HashOf(key);
    if (i > 0 && hash < last_hash_) {
      log_.Add(offset, "leaf: order of hashes",
               absl::StrCat("at least ", Hex(last_hash_)), Hex(hash));
    }
    CheckKey(place, offset, hash, key);
    visit_(offset, key, std::string_view(from + head, value_bytes));
  }
  const auto fingerprint = block_.Read<uint8_t>(sizeof(BlockHeader) + i);
  log_.Equal(offset, "leaf: fingerprint", LeafFingerprint(hash), fingerprint);
  return end;
}

void TrieWalker::VisitLeaf(const Place& place) {
  if (!Load(place, BlockType::kTrieLeaf, place.depth, 2 * sizeof(BlockHeader),
            kLeafBytesEnd)) {
    return;
  }
  ++report_.leaves;
  const Offset offset = block_.offset;
  const uint32_t count = block_.header.count;
  uint64_t at = sizeof(BlockHeader) + kLeafBytesPerRecord * count;
  if (count == 0 || at > block_.bytes.size()) {
    log_.Add(offset, "leaf: count",
             absl::StrCat("1 to what ", block_.bytes.size(), " bytes hold"),
             absl::StrCat(count));
    return;
  }
  report_.records += count;
  keys_used_ = 0;
  last_hash_ = 0;
  const uint64_t positions = sizeof(BlockHeader) + count;
  for (uint32_t i = 0; i < count; ++i) {
    const auto position = block_.Read<uint16_t>(positions + 2 * i);
    if (!log_.Equal(offset, "leaf: position of a record", at, position)) {
      return;
    }
    const uint64_t end = VisitLeafRecord(place, i, at);
    if (end == 0) {
      log_.Add(offset, absl::StrCat("leaf: record ", i, " ends past the leaf"),
               absl::StrCat("at most ", block_.bytes.size()), "more");
      return;
    }
    at = end;
  }
  log_.Equal(offset, "leaf: size in units", UnitsForBytes(at),
             block_.header.size_units);
  if (!block_.IsZeroFrom(at)) {
    log_.Add(offset, "leaf: padding", "zeroes", "other bytes");
  }
}

bool TrieWalker::VisitExternal(Offset offset, uint64_t hash,
                               std::string_view* key) {
  const Expected expected{.type = BlockType::kRecord,
                          .collection = id_,
                          .bytes_min = sizeof(RecordBlock),
                          .bytes_max = kRecordBytesMax};
  if (!walk_.reader->Load(offset, expected, external_)) return false;
  if (!Mark(external_)) return false;
  ++report_.external_records;
  const auto record = external_.Read<RecordBlock>(0);
  if (!log_.AtMost(offset, "record block: key bytes", kKeyBytesMax,
                   record.key_bytes) ||
      !log_.AtMost(offset, "record block: value bytes", kValueBytesMax,
                   record.value_bytes)) {
    return false;
  }
  const uint64_t end =
      sizeof(RecordBlock) + record.key_bytes + record.value_bytes;
  if (!log_.Equal(offset, "record block: size in units", UnitsForBytes(end),
                  record.header.size_units)) {
    return false;
  }
  const std::string_view bytes(external_.bytes.data(), external_.bytes.size());
  *key = bytes.substr(sizeof(RecordBlock), record.key_bytes);
  if (record.hash != hash || HashOf(*key) != hash) {
    log_.Add(offset, "record block: hash of its key",
             absl::StrCat(Hex(hash), " in the leaf"),
             absl::StrCat(Hex(record.hash), " in the block, ",
                          Hex(HashOf(*key)), " of the key"));
  }
  if (end <= bytes.size() && !external_.IsZeroFrom(end)) {
    log_.Add(offset, "record block: padding", "zeroes", "other bytes");
  }
  visit_(
      offset, *key,
      bytes.substr(sizeof(RecordBlock) + record.key_bytes, record.value_bytes));
  return true;
}

void TrieWalker::VisitCollisionLeaf(const Place& place) {
  if (!Load(place, BlockType::kCollisionLeaf, kTrieDepthMax - 1,
            sizeof(CollisionLeaf), BlockReader::kWholeBytesMax)) {
    return;
  }
  ++report_.collision_leaves;
  const Offset offset = block_.offset;
  const auto leaf = block_.Read<CollisionLeaf>(0);
  log_.Equal(offset, "collision leaf: depth", kTrieDepthMax - 1, place.depth);
  log_.Equal(offset, "collision leaf: count in the header", 0,
             leaf.header.count);
  log_.Equal(offset, "collision leaf: reserved", 0, leaf.reserved);
  const uint64_t end =
      sizeof(CollisionLeaf) + uint64_t{leaf.entries} * sizeof(CollisionEntry);
  if (!log_.Equal(offset, "collision leaf: size in units", UnitsForBytes(end),
                  block_.header.size_units)) {
    return;
  }
  if (!block_.IsZeroFrom(end)) {
    log_.Add(offset, "collision leaf: padding", "zeroes", "other bytes");
  }
  if (!BelongsTo(leaf.hash, place)) {
    log_.Add(offset, "collision leaf: its hash belongs elsewhere",
             absl::StrCat("prefix ", Hex(place.prefix)), Hex(leaf.hash));
  }
  report_.records += leaf.entries;
  // By 128 bits of another hash: keys may be 64 KiB each, entries thousands.
  absl::flat_hash_set<std::pair<uint64_t, uint64_t>> keys;
  for (uint32_t i = 0; i < leaf.entries; ++i) {
    const auto entry = block_.Read<CollisionEntry>(sizeof(CollisionLeaf) +
                                                   i * sizeof(CollisionEntry));
    std::string_view key;
    if (!VisitExternal(entry.offset(), leaf.hash, &key)) continue;
    const auto tag = static_cast<uint16_t>(XXH3_64bits_withSeed(
        key.data(), key.size(), walk_.hash.seed ^ kTagSeed));
    log_.Equal(offset, "collision leaf: tag", tag, entry.tag());
    const XXH128_hash_t id = XXH3_128bits(key.data(), key.size());
    if (!keys.emplace(id.low64, id.high64).second) {
      log_.Add(entry.offset(), "record: its key is here twice", "unique keys",
               absl::StrCat(key.size(), " bytes"));
    }
  }
}

}  // namespace

void WalkTrie(const TrieWalk& walk, NodeSlot root, uint32_t id,
              TreeReport& report, RecordVisitor visit) {
  TrieWalker(walk, id, report, visit).Walk(root);
}

}  // namespace eve::verify
