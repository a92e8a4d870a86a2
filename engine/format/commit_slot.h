// CommitSlot: one of sixteen pages that name a durable commit record.
//
// Threads:    pure functions.
// Processes:  written by pwrite of one whole page, never through a mapping, by
//             whoever holds the slot's lock byte.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     a slot that does not validate is not a candidate; that is normal
//             (never written, or torn by a power cut).
// Cost:       none.
#ifndef EVE_ENGINE_FORMAT_COMMIT_SLOT_H_
#define EVE_ENGINE_FORMAT_COMMIT_SLOT_H_

#include <cstdint>

#include "absl/types/span.h"
#include "engine/format/constants.h"
#include "engine/format/layout.h"
#include "engine/format/offset.h"

namespace eve {

// PERSISTED. Blocks without gaps in one segment, or one run: what a slot that
// was flushed together with its data needs to find there.
struct CommitExtent {
  uint32_t segment;     //  0..3
  uint32_t from_units;  //  4..7   from the start of the segment
  uint32_t to_units;    //  8..11  of a run: may exceed a segment
  uint32_t reserved;    // 12..15  zero
  uint64_t sum;         // 16..23  of the hashes of all blocks in it
};
EVE_LAYOUT(CommitExtent, /*size=*/24, /*align=*/8);

// PERSISTED. One page. Recovery takes the valid slot with the highest
// (incarnation, version), of equal ones that without a list of extents.
struct CommitSlot {
  uint64_t magic;          //  0..7   kCommitSlotMagic
  uint64_t incarnation;    //  8..15  of the opener that wrote it
  uint64_t version;        // 16..23  of the commit record
  Offset record;           // 24..31  the commit record
  uint64_t record_hash;    // 32..39  BlockHash of the record
  uint64_t segment_count;  // 40..47  the record's
  uint8_t uuid[16];        // 48..63  of the domain
  uint32_t slot_index;     // 64..67  a page written to the wrong place shows
  uint32_t extent_count;   // 68..71  0: the data were flushed before
  uint64_t file_bytes;     // 72..79  of the file then, or after a cut
  CommitExtent extents[kCommitExtentsMax];  // 80..3919
  uint8_t reserved[168];                    // 3920..4087 zero
  uint64_t checksum;  // 4088..4095 HashBytes of the bytes before
};
EVE_LAYOUT(CommitSlot, /*size=*/4096, /*align=*/8);

constexpr uint64_t CommitSlotPosition(uint32_t index) {
  return kCommitSlotsOffset + index * kCommitSlotBytes;
}

// PRIVATE. Magic, zeroes and checksum are filled in around these.
struct CommitSlotFields {
  uint64_t incarnation = 0;
  uint64_t version = 0;
  Offset record;
  uint64_t record_hash = 0;
  uint64_t segment_count = 0;
  uint64_t file_bytes = 0;
  absl::Span<const CommitExtent> extents;  // at most kCommitExtentsMax
};

// How long the file was when the slot was written, at least: the size that one
// with a list names may be older than what it lists.
uint64_t FileBytesAt(const CommitSlot& slot);

CommitSlot MakeCommitSlot(uint32_t index, const CommitSlotFields& fields,
                          const uint8_t uuid[16]);

// True if the page is a whole slot of this domain written for `index`.
bool IsValidCommitSlot(const CommitSlot& slot, uint32_t index,
                       const uint8_t uuid[16]);
// True if nothing was ever written to the page.
bool IsEmptyCommitSlot(const CommitSlot& slot);

}  // namespace eve

#endif  // EVE_ENGINE_FORMAT_COMMIT_SLOT_H_
