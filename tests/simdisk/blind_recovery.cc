#include "tests/simdisk/blind_recovery.h"

#include <fcntl.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "engine/checkpoint/boot_id.h"
#include "engine/file/file.h"
#include "engine/format/block.h"
#include "engine/format/checksum.h"
#include "engine/format/commit_record.h"
#include "engine/format/commit_slot.h"
#include "engine/format/shared_layout.h"
#include "engine/format/superblock.h"
#include "util/check.h"

namespace eve::simdisk {
namespace {

// Whether the blocks of an extent add up, whatever their headers say.
bool AddsUp(const File& file, uint64_t salt, const CommitExtent& extent) {
  const Offset begin{SegmentOffset(extent.segment).units + extent.from_units};
  const uint64_t units = uint64_t{extent.to_units} - extent.from_units;
  std::vector<char> bytes(units * kUnitBytes);
  if (!file.ReadAt(begin.bytes(), bytes.data(), bytes.size()).ok()) {
    return false;
  }
  uint64_t sum = 0;
  for (uint64_t at = 0; at < units;) {
    BlockHeader header;
    std::memcpy(&header, bytes.data() + at * kUnitBytes, sizeof(header));
    if (header.size_units == 0 || header.size_units > units - at) return false;
    sum += BlockHash(bytes.data() + at * kUnitBytes, Offset{begin.units + at},
                     salt);
    at += header.size_units;
  }
  return sum == extent.sum;
}

size_t ExtentsLookedAt(const File& file, const CommitSlot& slot, uint64_t salt,
                       Blindness blindness) {
  switch (blindness) {
    case Blindness::kToLists:
      return 0;
    case Blindness::kToLastExtents:
      return slot.extent_count - 1;
    case Blindness::kToStoredChecksums:
      break;
  }
  for (uint32_t i = 0; i < slot.extent_count; ++i) {
    if (!AddsUp(file, salt, slot.extents[i])) return slot.extent_count;
  }
  return 0;
}

struct RegionHead {
  RegionHeader header;
  RegionWords words;
};

// Of a lock file that is of this boot and not poisoned; else null.
std::unique_ptr<RegionHead> ReadLiveRegion(const std::string& path) {
  const absl::StatusOr<File> file = File::Open(path + "-lock", O_RDONLY);
  if (!file.ok()) return nullptr;
  auto head = std::make_unique<RegionHead>();
  EVE_CHECK(
      file->ReadAt(0, &head->header, sizeof(RegionHeader)).ok() &&
          file->ReadAt(kRegionWordsOffset, &head->words, sizeof(RegionWords))
              .ok(),
      "the words of a lock file");
  uint8_t boot_id[16];
  const bool is_of_boot =
      ReadBootId(boot_id).value_or(false) &&
      std::memcmp(head->header.boot_id, boot_id, sizeof(boot_id)) == 0;
  if (!is_of_boot || head->header.ready != 1 || head->header.poison != 0) {
    return nullptr;
  }
  return head;
}

// The record at an offset, and the hash of its block, if there is one.
struct LiveRecord {
  CommitRecord record;
  uint64_t hash = 0;
};

std::optional<LiveRecord> ReadLiveRecord(const File& file, Offset at,
                                         uint64_t salt) {
  LiveRecord live;
  const uint64_t end = file.Size().value();
  if (at.bytes() + sizeof(CommitRecord) > end ||
      !file.ReadAt(at.bytes(), &live.record, sizeof(CommitRecord)).ok()) {
    return std::nullopt;
  }
  const uint64_t size = live.record.header.bytes();
  if (live.record.header.type !=
          static_cast<uint8_t>(BlockType::kCommitRecord) ||
      size < sizeof(CommitRecord) || at.bytes() + size > end) {
    return std::nullopt;
  }
  std::vector<char> block(size);
  if (!file.ReadAt(at.bytes(), block.data(), size).ok()) return std::nullopt;
  live.hash = BlockHash(block.data(), at, salt);
  return live;
}

Superblock ReadSuperblock(const File& file) {
  Superblock superblock;
  EVE_CHECK(file.ReadAt(0, &superblock, sizeof(superblock)).ok(),
            "its first page, too");
  return superblock;
}

}  // namespace

void MakeBlind(const std::string& path, Blindness blindness) {
  const absl::StatusOr<File> file = File::Open(path, O_RDWR);
  EVE_CHECK(file.ok(), "the file is there");
  const Superblock superblock = ReadSuperblock(*file);
  const uint64_t salt = ChecksumSalt(superblock.uuid);
  auto slot = std::make_unique<CommitSlot>();
  for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
    if (!file->ReadAt(CommitSlotPosition(i), slot.get(), sizeof(*slot)).ok() ||
        !IsValidCommitSlot(*slot, i, superblock.uuid) ||
        slot->extent_count == 0) {
      continue;
    }
    const size_t seen = ExtentsLookedAt(*file, *slot, salt, blindness);
    CommitSlotFields fields{slot->incarnation,
                            slot->version,
                            slot->record,
                            slot->record_hash,
                            slot->segment_count,
                            slot->file_bytes,
                            absl::MakeConstSpan(slot->extents, seen)};
    const CommitSlot less = MakeCommitSlot(i, fields, superblock.uuid);
    EVE_CHECK(file->WriteAt(CommitSlotPosition(i), &less, sizeof(less)).ok(),
              "room for a page that is there");
  }
}

void TrustRegion(const std::string& path) {
  const std::unique_ptr<RegionHead> region = ReadLiveRegion(path);
  const Offset root =
      region == nullptr ? kNullOffset : Offset{region->words.root};
  if (root.is_null()) return;
  const absl::StatusOr<File> file = File::Open(path, O_RDWR);
  EVE_CHECK(file.ok(), "the file is there");
  const Superblock superblock = ReadSuperblock(*file);
  const std::optional<LiveRecord> live =
      ReadLiveRecord(*file, root, ChecksumSalt(superblock.uuid));
  if (!live.has_value()) return;
  // A slot that is in nobody's way: the oldest.
  auto slot = std::make_unique<CommitSlot>();
  std::pair<uint64_t, uint64_t> oldest{~uint64_t{0}, 0};
  std::pair<uint64_t, uint64_t> newest{0, 0};
  uint32_t spare = 0;
  for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
    EVE_CHECK(
        file->ReadAt(CommitSlotPosition(i), slot.get(), sizeof(*slot)).ok(),
        "a page that is there");
    const bool is_valid = IsValidCommitSlot(*slot, i, superblock.uuid);
    const std::pair<uint64_t, uint64_t> age{is_valid ? slot->incarnation : 0,
                                            is_valid ? slot->version : 0};
    newest = std::max(newest, age);
    if (age >= oldest) continue;
    oldest = age;
    spare = i;
  }
  if (live->record.version < newest.second) return;
  const CommitSlotFields fields{newest.first,
                                live->record.version,
                                root,
                                live->hash,
                                live->record.segment_count,
                                file->Size().value(),
                                {}};
  const CommitSlot trusted = MakeCommitSlot(spare, fields, superblock.uuid);
  EVE_CHECK(
      file->WriteAt(CommitSlotPosition(spare), &trusted, sizeof(trusted)).ok(),
      "room for a page that is there");
}

void DropUnnamedSlots(const std::string& path) {
  const std::unique_ptr<RegionHead> region = ReadLiveRegion(path);
  if (region == nullptr) return;
  const absl::StatusOr<File> file = File::Open(path, O_RDWR);
  EVE_CHECK(file.ok(), "the file is there");
  const Superblock superblock = ReadSuperblock(*file);
  auto slot = std::make_unique<CommitSlot>();
  for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
    EVE_CHECK(
        file->ReadAt(CommitSlotPosition(i), slot.get(), sizeof(*slot)).ok(),
        "a page that is there");
    if (!IsValidCommitSlot(*slot, i, superblock.uuid) ||
        slot->incarnation != region->header.incarnation ||
        slot->version == region->words.durable[i]) {
      continue;
    }
    const std::vector<char> none(sizeof(*slot));
    EVE_CHECK(
        file->WriteAt(CommitSlotPosition(i), none.data(), none.size()).ok(),
        "room for a page that is there");
  }
}

void WipeAnnouncements(const std::string& path) {
  const absl::StatusOr<File> file = File::Open(path + "-lock", O_RDWR);
  if (!file.ok()) return;
  constexpr uint64_t kNone[kCommitSlotCount] = {};
  EVE_CHECK(file->WriteAt(kRegionWordsOffset + offsetof(RegionWords, pending),
                          kNone, sizeof(kNone))
                .ok(),
            "the words of a lock file");
}

}  // namespace eve::simdisk
