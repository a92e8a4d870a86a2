// The shared region: words that attached processes race on, in the lock file.
//
// Threads:    every word is a lock-free atomic.
// Processes:  the same bytes in all of them. Rebuilt by the first opener;
//             deleting the file while nobody is attached costs nothing but the
//             commits after the last checkpoint, and that the next opener reads
//             the whole domain.
// Owns:       nothing.
// Lifetime:   one region from the first opener to the next first opener.
// Errors:     none.
// Cost:       sparse: 156 KiB plus 8 KiB a process plus 8 bytes a segment.
#ifndef EVE_ENGINE_FORMAT_SHARED_LAYOUT_H_
#define EVE_ENGINE_FORMAT_SHARED_LAYOUT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "engine/format/constants.h"
#include "engine/format/layout.h"

namespace eve {

using SharedWord = std::atomic<uint64_t>;
using SharedHalf = std::atomic<uint32_t>;
static_assert(SharedWord::is_always_lock_free);
static_assert(SharedHalf::is_always_lock_free);

// SHARED. Identity of the region; plain words are written before `ready`.
struct RegionHeader {
  uint64_t magic;        //   0..7   kRegionMagic
  uint64_t abi_hash;     //   8..15  of every struct here and the protocol
  uint64_t nonce;        //  16..23  drawn when the region is rebuilt
  uint64_t data_device;  //  24..31
  uint64_t data_inode;   //  32..39
  uint8_t uuid[16];      //  40..55  of the domain
  uint8_t boot_id[16];   //  56..71
  uint64_t incarnation;  //  72..79
  SharedHalf ready;      //  80..83  1: may be joined. Written last
  SharedHalf poison;     //  84..87  errno of a failed flush; 0: none
  uint8_t reserved[4008];
};
EVE_LAYOUT(RegionHeader, /*size=*/4096, /*align=*/8);

// SHARED. Groups of words that different parties write are a line apart.
struct RegionWords {
  SharedWord root;  //    0..7    offset units of the newest commit record
  uint8_t pad0[56];
  SharedWord capacity;  //   64..71   segments that the file has room for
  uint8_t pad1[56];
  SharedWord pending[kCommitSlotCount];  // 128..255 version announced; 0: none
  SharedWord durable[kCommitSlotCount];  // 256..383 version synced; 0: none
  SharedHalf processes_used;  // 384..387 slots below this were ever claimed
  uint32_t pad2;              // 388..391
  SharedWord compactor;       // 392..399 who compacts while all rest
  uint8_t pad3[48];
  SharedWord turn;  // 448..455 who keeps losing, and is to be let through
  uint8_t pad4[56];
  SharedWord flusher;  // 512..519 who flushes for everybody
  SharedWord beat;     // 520..527 bumped when a flush has ended, well or not
  SharedWord settled;  // 528..535 newest version that a slot without a list has
  uint8_t pad5[40];
  SharedWord watch;  // 576..583 odd: somebody waits for the next commit
  uint8_t pad6[56];
  SharedWord replays;  // 640..647 lost swaps whose puts were carried over
  // For people: of a checkpoint under way, by slot.
  SharedWord flush_begun[kCommitSlotCount];  // 648..775 MonotonicNanos; 0: none
  SharedWord flush_bytes[kCommitSlotCount];  // 776..903 that it has to write
  SharedHalf io_engine;  // 904..907 IoEngine of the last checkpoint; 0: none
  uint8_t reserved[3188];
};
EVE_LAYOUT(RegionWords, /*size=*/4096, /*align=*/8);

// SHARED. One attached process. Its life is the OFD lock byte of the same
// index; nothing here says whether it is alive.
struct ProcessSlot {
  SharedWord generation;  //  0..7   bumped by every claim
  SharedHalf cells_used;  //  8..11  cells below this are allocated
  SharedHalf pid;         // 12..15  for people
  // Counters: written by the owner's threads, read by anybody.
  SharedWord commits;           // 16..23
  SharedWord conflicts;         // 24..31  closures run again
  SharedWord restamps;          // 32..39  lost swaps repaired without that
  SharedWord folds;             // 40..47
  SharedWord segments_claimed;  // 48..55
  SharedWord segments_freed;    // 56..63
  SharedWord checkpoints;       // 64..71
  SharedWord bytes_committed;   // 72..79
  SharedWord cells_revoked;     // 80..87
  SharedWord blocks_moved;      // 88..95  live ones, out of their segment
  SharedWord bytes_moved;       // 96..103
  SharedWord bytes_punched;     // 104..111
  SharedWord turns;             // 112..119 tickets of WritersTurn
  SharedWord waits;             // 120..127 swaps that gave way to one
};
EVE_LAYOUT(ProcessSlot, /*size=*/128, /*align=*/8);

// SHARED. One pin. The word is 0 (no pin), a range pin, an exact pin or the
// revoked mark; see engine/epoch/reader_cells.h.
struct ReaderCell {
  SharedWord word;
  uint8_t reserved[56];
};
EVE_LAYOUT(ReaderCell, /*size=*/64, /*align=*/8);

inline constexpr uint64_t kRegionWordsOffset = sizeof(RegionHeader);
inline constexpr uint64_t kProcessSlotsOffset =
    kRegionWordsOffset + sizeof(RegionWords);
inline constexpr uint64_t kSegmentStatesOffset =
    kProcessSlotsOffset + kProcessesMax * sizeof(ProcessSlot);
inline constexpr uint64_t kReaderCellsOffset =
    kSegmentStatesOffset + kSegmentsMax * sizeof(SharedWord);
inline constexpr uint64_t kRegionBytes =
    kReaderCellsOffset +
    uint64_t{kProcessesMax} * kCellsPerProcessMax * sizeof(ReaderCell);
static_assert(kSegmentStatesOffset % kPageBytes == 0);
static_assert(kReaderCellsOffset % kPageBytes == 0);
static_assert(kRegionWordsOffset % 64 == 0, "words a line apart stay so");

// Where each field above is; format_doc_test knows if one is missing.
inline constexpr size_t kSharedOffsets[] = {
    offsetof(RegionHeader, magic),
    offsetof(RegionHeader, abi_hash),
    offsetof(RegionHeader, nonce),
    offsetof(RegionHeader, data_device),
    offsetof(RegionHeader, data_inode),
    offsetof(RegionHeader, uuid),
    offsetof(RegionHeader, boot_id),
    offsetof(RegionHeader, incarnation),
    offsetof(RegionHeader, ready),
    offsetof(RegionHeader, poison),
    offsetof(RegionWords, root),
    offsetof(RegionWords, capacity),
    offsetof(RegionWords, pending),
    offsetof(RegionWords, durable),
    offsetof(RegionWords, processes_used),
    offsetof(RegionWords, compactor),
    offsetof(RegionWords, turn),
    offsetof(RegionWords, flusher),
    offsetof(RegionWords, beat),
    offsetof(RegionWords, settled),
    offsetof(RegionWords, watch),
    offsetof(RegionWords, replays),
    offsetof(RegionWords, flush_begun),
    offsetof(RegionWords, flush_bytes),
    offsetof(RegionWords, io_engine),
    offsetof(ProcessSlot, generation),
    offsetof(ProcessSlot, cells_used),
    offsetof(ProcessSlot, pid),
    offsetof(ProcessSlot, commits),
    offsetof(ProcessSlot, conflicts),
    offsetof(ProcessSlot, restamps),
    offsetof(ProcessSlot, folds),
    offsetof(ProcessSlot, segments_claimed),
    offsetof(ProcessSlot, segments_freed),
    offsetof(ProcessSlot, checkpoints),
    offsetof(ProcessSlot, bytes_committed),
    offsetof(ProcessSlot, cells_revoked),
    offsetof(ProcessSlot, blocks_moved),
    offsetof(ProcessSlot, bytes_moved),
    offsetof(ProcessSlot, bytes_punched),
    offsetof(ProcessSlot, turns),
    offsetof(ProcessSlot, waits),
    offsetof(ReaderCell, word),
};

// To be raised when the meaning of a field or the order of protocol steps
// changes; sizes and places of fields are hashed besides. Two builds that
// differ in any of it refuse each other.
inline constexpr uint64_t kSharedProtocolVersion = 8;
constexpr uint64_t SharedAbiHash() {
  uint64_t h = kSharedProtocolVersion;
  const auto add = [&h](uint64_t part) {
    h = (h ^ part) * 0x9E37'79B9'7F4A'7C15;
  };
  for (const uint64_t part :
       {sizeof(RegionHeader), sizeof(RegionWords), sizeof(ProcessSlot),
        sizeof(ReaderCell), size_t{kProcessesMax}, size_t{kCellsPerProcessMax},
        size_t{kSegmentsMax}, size_t{kFormatVersion}, size_t{kSegmentBytes},
        size_t{kCommitSlotCount}}) {
    add(part);
  }
  for (const size_t offset : kSharedOffsets) add(offset);
  return h;
}

// Lock bytes. In the lock file: who opens, who is alive, who writes a slot.
inline constexpr uint64_t kInitLockByte = uint64_t{1} << 40;
inline constexpr uint64_t kProcessLockBase = kInitLockByte + 16;
inline constexpr uint64_t kCommitSlotLockBase =
    kProcessLockBase + kProcessesMax;
// In the data file: readers without a process slot, and one shared byte per
// region (P21) somewhere in [base, base + 2^40). Far beyond any data.
inline constexpr uint64_t kUnpinnedReadersLockByte = (uint64_t{1} << 61) - 1;
inline constexpr uint64_t kRegionLockBase = uint64_t{1} << 61;
inline constexpr uint64_t kRegionLockRange = uint64_t{1} << 40;

}  // namespace eve

#endif  // EVE_ENGINE_FORMAT_SHARED_LAYOUT_H_
