// Every number that the file format and the shared region agree on.
//
// Threads:    none (constants).
// Processes:  all attached processes must be built with the same values; the
//             superblock and the shared region carry what is needed to refuse
//             others.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       none.
#ifndef EVE_ENGINE_FORMAT_CONSTANTS_H_
#define EVE_ENGINE_FORMAT_CONSTANTS_H_

#include <bit>
#include <cstddef>
#include <cstdint>

namespace eve {

static_assert(std::endian::native == std::endian::little,
              "Eve's files are little-endian; big-endian hosts are refused");
static_assert(sizeof(void*) == 8, "Eve maps the whole domain: 64-bit only");

// "EVEDOMN1" read as a little-endian word.
inline constexpr uint64_t kDomainMagic = 0x314E'4D4F'4445'5645;
// "EVESLOT1"
inline constexpr uint64_t kCommitSlotMagic = 0x3154'4F4C'5345'5645;
// "EVELIVE1"
inline constexpr uint64_t kRegionMagic = 0x3145'5649'4C45'5645;

inline constexpr uint32_t kFormatVersion = 3;

// Blocks are placed and sized in units, so that 48 bits address 4 PiB.
inline constexpr uint64_t kUnitBytes = 16;
inline constexpr int kOffsetBits = 48;

inline constexpr uint64_t kPageBytes = 4096;
inline constexpr uint64_t kSegmentBytes = uint64_t{2} << 20;
inline constexpr uint64_t kSegmentUnits = kSegmentBytes / kUnitBytes;
// Small domains are backed in steps of this size.
inline constexpr uint64_t kBackingStepBytes = 64 << 10;

// Page 0 is the superblock; pages 16 to 31 are the commit slots.
inline constexpr uint32_t kCommitSlotCount = 16;
inline constexpr uint64_t kCommitSlotsOffset = 16 * kPageBytes;
inline constexpr uint64_t kCommitSlotBytes = kPageBytes;
// What a slot can list that was flushed together with it.
inline constexpr uint32_t kCommitExtentsMax = 160;
// The first block of segment 0; other segments start at their first byte.
inline constexpr uint64_t kFirstBlockOffset =
    kCommitSlotsOffset + kCommitSlotCount * kCommitSlotBytes;
static_assert(kFirstBlockOffset == 32 * kPageBytes);
// What is backed below this when a domain is created.
inline constexpr uint64_t kInitialFileBytes =
    kFirstBlockOffset + kBackingStepBytes;
static_assert(kInitialFileBytes == 192 << 10);

// Limits that users meet.
inline constexpr uint64_t kKeyBytesMax = 64 << 10;
inline constexpr uint64_t kValueBytesMax = uint64_t{4} << 30;
inline constexpr uint64_t kNameBytesMax = 255;
inline constexpr uint64_t kTypeNameBytesMax = 255;

// A block above this size takes whole segments of its own (a run).
inline constexpr uint64_t kRunThresholdBytes = kSegmentBytes / 4;

// Limits of the shared region. Segments: 2^21 * 2 MiB = 4 TiB mapped at once.
inline constexpr uint64_t kSegmentsMax = uint64_t{1} << 21;
inline constexpr uint32_t kProcessesMax = 1024;
inline constexpr uint32_t kCellsPerProcessMax = 4096;

// PERSISTED: what a block is. Never renumber. 0 is invalid, so a hole in the
// file reads as damage and not as data.
enum class BlockType : uint8_t {
  kInvalid = 0,
  kTrieNode = 1,
  kTrieLeaf = 2,
  kCollisionLeaf = 3,
  kRecord = 4,  // a key and a value too large for their leaf
  kCommitRecord = 5,
  kDeltaList = 6,  // deltas that did not fit their commit record
  kAccountingLeaf = 7,
  kAccountingNode = 8,
  kTreeLeaf = 9,
  kTreeNode = 10,
  kTreeValue = 11,  // a value too large for its tree leaf
};
inline constexpr uint8_t kBlockTypeMax = 11;

// PERSISTED: what a collection is. Never renumber.
enum class CollectionKind : uint8_t {
  kInvalid = 0,
  kMap = 1,
  kOrderedMap = 2,
  kSortedSet = 3,  // a tree of keys with empty values
  kMultiMap = 4,   // a tree of keys and values joined, with empty values
  // A former root whose blocks are still being retired, in slices.
  kGraveyard = 255,
};

// Collection ids that are not users' collections.
inline constexpr uint32_t kCatalogId = 0;
inline constexpr uint32_t kSystemId = 0xFFFF'FFFF;  // records, accounting
inline constexpr uint32_t kFirstCollectionId = 1;

}  // namespace eve

#endif  // EVE_ENGINE_FORMAT_CONSTANTS_H_
