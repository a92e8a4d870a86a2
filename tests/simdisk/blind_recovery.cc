#include "tests/simdisk/blind_recovery.h"

#include <fcntl.h>

#include <cstring>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "engine/file/file.h"
#include "engine/format/block.h"
#include "engine/format/checksum.h"
#include "engine/format/commit_slot.h"
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

}  // namespace

void MakeBlind(const std::string& path, Blindness blindness) {
  const absl::StatusOr<File> file = File::Open(path, O_RDWR);
  EVE_CHECK(file.ok(), "the file is there");
  Superblock superblock;
  EVE_CHECK(file->ReadAt(0, &superblock, sizeof(superblock)).ok(),
            "its first page, too");
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

}  // namespace eve::simdisk
