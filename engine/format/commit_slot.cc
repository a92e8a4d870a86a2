#include "engine/format/commit_slot.h"

#include <cstddef>
#include <cstring>

#include "engine/format/checksum.h"

namespace eve {
namespace {

uint64_t SlotChecksum(const CommitSlot& slot) {
  return HashBytes(&slot, offsetof(CommitSlot, checksum), kCommitSlotMagic);
}

}  // namespace

CommitSlot MakeCommitSlot(uint32_t index, uint64_t incarnation,
                          uint64_t version, Offset record, uint64_t record_hash,
                          uint64_t segment_count, const uint8_t uuid[16]) {
  CommitSlot slot;
  std::memset(static_cast<void*>(&slot), 0, sizeof(slot));
  slot.magic = kCommitSlotMagic;
  slot.incarnation = incarnation;
  slot.version = version;
  slot.record = record;
  slot.record_hash = record_hash;
  slot.segment_count = segment_count;
  std::memcpy(slot.uuid, uuid, sizeof(slot.uuid));
  slot.slot_index = index;
  slot.checksum = SlotChecksum(slot);
  return slot;
}

bool IsValidCommitSlot(const CommitSlot& slot, uint32_t index,
                       const uint8_t uuid[16]) {
  return slot.magic == kCommitSlotMagic && slot.slot_index == index &&
         slot.checksum == SlotChecksum(slot) &&
         std::memcmp(slot.uuid, uuid, sizeof(slot.uuid)) == 0;
}

}  // namespace eve
