#include "engine/format/commit_slot.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "engine/format/checksum.h"

namespace eve {
namespace {

uint64_t SlotChecksum(const CommitSlot& slot) {
  return HashBytes(&slot, offsetof(CommitSlot, checksum), kCommitSlotMagic);
}

}  // namespace

CommitSlot MakeCommitSlot(uint32_t index, const CommitSlotFields& fields,
                          const uint8_t uuid[16]) {
  CommitSlot slot;
  std::memset(static_cast<void*>(&slot), 0, sizeof(slot));
  slot.magic = kCommitSlotMagic;
  slot.incarnation = fields.incarnation;
  slot.version = fields.version;
  slot.record = fields.record;
  slot.record_hash = fields.record_hash;
  slot.segment_count = fields.segment_count;
  slot.file_bytes = fields.file_bytes;
  slot.extent_count = static_cast<uint32_t>(fields.extents.size());
  if (!fields.extents.empty()) {
    std::memcpy(static_cast<void*>(slot.extents), fields.extents.data(),
                fields.extents.size() * sizeof(CommitExtent));
  }
  std::memcpy(slot.uuid, uuid, sizeof(slot.uuid));
  slot.slot_index = index;
  slot.checksum = SlotChecksum(slot);
  return slot;
}

uint64_t FileBytesAt(const CommitSlot& slot) {
  uint64_t bytes = slot.file_bytes;
  for (uint32_t i = 0; i < slot.extent_count; ++i) {
    const CommitExtent& extent = slot.extents[i];
    if (extent.segment >= kSegmentsMax) continue;
    bytes = std::max(bytes, SegmentOffset(extent.segment).bytes() +
                                extent.to_units * kUnitBytes);
  }
  return bytes;
}

bool IsValidCommitSlot(const CommitSlot& slot, uint32_t index,
                       const uint8_t uuid[16]) {
  return slot.magic == kCommitSlotMagic && slot.slot_index == index &&
         slot.extent_count <= kCommitExtentsMax &&
         slot.checksum == SlotChecksum(slot) &&
         std::memcmp(slot.uuid, uuid, sizeof(slot.uuid)) == 0;
}

bool IsEmptyCommitSlot(const CommitSlot& slot) {
  const char zero[sizeof(slot)] = {};
  return std::memcmp(&slot, zero, sizeof(slot)) == 0;
}

}  // namespace eve
