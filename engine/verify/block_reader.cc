#include "engine/verify/block_reader.h"

#include <algorithm>
#include <memory>

#include "engine/format/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace eve::verify {
namespace {

// Most nodes and leaves come with their header in one read.
constexpr uint64_t kFirstReadBytes = 2048;

}  // namespace

const char* NameOf(BlockType type) {
  switch (type) {
    case BlockType::kInvalid:
      return "nothing";
    case BlockType::kTrieNode:
      return "trie node";
    case BlockType::kTrieLeaf:
      return "trie leaf";
    case BlockType::kCollisionLeaf:
      return "collision leaf";
    case BlockType::kRecord:
      return "record block";
    case BlockType::kCommitRecord:
      return "commit record";
    case BlockType::kDeltaList:
      return "delta list";
    case BlockType::kAccountingLeaf:
      return "accounting leaf";
    case BlockType::kAccountingNode:
      return "accounting node";
    case BlockType::kTreeLeaf:
      return "tree leaf";
    case BlockType::kTreeNode:
      return "tree node";
    case BlockType::kTreeValue:
      return "tree value";
  }
  return "unknown type";
}

bool LoadedBlock::IsZeroFrom(uint64_t at) const {
  return IsZero(at, bytes.size());
}

bool LoadedBlock::IsZero(uint64_t from, uint64_t end) const {
  return std::all_of(bytes.begin() + static_cast<ptrdiff_t>(from),
                     bytes.begin() + static_cast<ptrdiff_t>(end),
                     [](char c) { return c == 0; });
}

bool BlockReader::ReadAt(uint64_t byte, void* data, uint64_t size) {
  const absl::Status status = file_->ReadAt(byte, data, size);
  if (status.ok()) return true;
  log_->AddUnread(byte, "the file cannot be read here", size, status);
  return false;
}

bool BlockReader::ReadHeader(Offset offset, LoadedBlock& block) {
  if (offset.segment() == 0 &&
      offset.units_in_segment() < SegmentStartUnits(0)) {
    log_->Add(offset, "pointer to where no blocks are",
              absl::StrCat("at least ", kFirstBlockOffset),
              absl::StrCat(offset.bytes()));
    return false;
  }
  if (offset.units >= limit_units_) {
    log_->Add(offset, "pointer past the end of the file",
              absl::StrCat("less than ", limit_units_ * kUnitBytes),
              absl::StrCat(offset.bytes()));
    return false;
  }
  const uint64_t left = (limit_units_ - offset.units) * kUnitBytes;
  block.offset = offset;
  block.bytes.resize(std::min(left, kFirstReadBytes));
  if (!ReadAt(offset.bytes(), block.bytes.data(), block.bytes.size())) {
    return false;
  }
  block.header = block.Read<BlockHeader>(0);
  if (block.header.size_units == 0) {
    log_->Add(offset, "block size", "at least 16", "0");
    return false;
  }
  if (block.header.size_units > limit_units_ - offset.units) {
    log_->Add(offset, "block ends past the end of the file",
              absl::StrCat("at most ", left, " bytes"),
              absl::StrCat(block.header.bytes()));
    return false;
  }
  const uint64_t end = offset.units_in_segment() + block.header.size_units;
  if (end > kSegmentUnits &&
      (offset.units_in_segment() != 0 || offset.segment() == 0)) {
    log_->Add(offset, "block ends past its segment",
              absl::StrCat("at most ", kSegmentUnits * kUnitBytes),
              absl::StrCat(end * kUnitBytes));
    return false;
  }
  return true;
}

bool BlockReader::ReadBody(LoadedBlock& block) {
  const uint64_t size = block.header.bytes();
  const uint64_t kept = std::min(size, kWholeBytesMax);
  const uint64_t have = std::min<uint64_t>(block.bytes.size(), kept);
  block.bytes.resize(kept);
  const uint64_t at = block.offset.bytes();
  if (have < kept &&
      !ReadAt(at + have, block.bytes.data() + have, kept - have)) {
    return false;
  }
  if (kept == size) {
    block.hash = BlockHash(block.bytes.data(), block.offset, salt_);
    return true;
  }
  // On the heap: it wants 64-byte alignment, which sanitized stacks lack.
  const auto state = std::make_unique<XXH3_state_t>();
  XXH3_64bits_reset(state.get());
  XXH3_64bits_update(state.get(), block.bytes.data() + sizeof(BlockHeader),
                     kept - sizeof(BlockHeader));
  std::vector<char> piece(kWholeBytesMax);
  for (uint64_t done = kept; done < size;) {
    const uint64_t part = std::min<uint64_t>(size - done, piece.size());
    if (!ReadAt(at + done, piece.data(), part)) return false;
    XXH3_64bits_update(state.get(), piece.data(), part);
    done += part;
  }
  block.hash = BlockHashFromBody(block.header, XXH3_64bits_digest(state.get()),
                                 block.offset, salt_);
  return true;
}

bool BlockReader::LoadAny(Offset offset, uint64_t bytes_max,
                          LoadedBlock& block) {
  if (!ReadHeader(offset, block)) return false;
  if (block.header.bytes() > bytes_max) {
    log_->Add(offset, "block size", absl::StrCat("at most ", bytes_max),
              absl::StrCat(block.header.bytes()));
    return false;
  }
  return ReadBody(block);
}

bool BlockReader::Load(Offset offset, const Expected& expected,
                       LoadedBlock& block) {
  if (!ReadHeader(offset, block)) return false;
  const BlockHeader& header = block.header;
  if (header.type != static_cast<uint8_t>(expected.type)) {
    log_->Add(offset, "block type", NameOf(expected.type),
              absl::StrCat(NameOf(static_cast<BlockType>(header.type)), " (",
                           header.type, ")"));
    return false;
  }
  const char* name = NameOf(expected.type);
  if (header.bytes() < expected.bytes_min ||
      header.bytes() > expected.bytes_max) {
    log_->Add(offset, absl::StrCat(name, ": size"),
              absl::StrCat(expected.bytes_min, " to ", expected.bytes_max),
              absl::StrCat(header.bytes()));
    return false;
  }
  if (header.collection != expected.collection) {
    log_->Add(offset, absl::StrCat(name, ": owner"),
              absl::StrCat("collection ", expected.collection),
              absl::StrCat("collection ", header.collection));
    return false;
  }
  if (header.depth != expected.depth) {
    log_->Add(offset, absl::StrCat(name, ": depth"),
              absl::StrCat(expected.depth), absl::StrCat(header.depth));
    return false;
  }
  if (!ReadBody(block)) return false;
  if (ChecksumOf(block.hash) != header.checksum) {
    log_->Add(offset, absl::StrCat(name, ": checksum failed"),
              Hex(ChecksumOf(block.hash)), Hex(header.checksum));
  }
  return true;
}

}  // namespace eve::verify
