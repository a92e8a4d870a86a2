// Crash states: one choice each of what the disk may have had.
//
// Threads:    any.
// Processes:  none.
// Owns:       the pages that are mixed from sectors of others.
// Lifetime:   a state may outlive its history.
// Errors:     none.
// Cost:       a state costs the pages in flight; writing it, the whole file.
#ifndef EVE_TESTS_SIMDISK_CRASH_STATE_H_
#define EVE_TESTS_SIMDISK_CRASH_STATE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simdisk/disk_history.h"

namespace eve::simdisk {

enum class Family : uint8_t {
  kAllOld,
  kAllNew,
  kOneNew,        // index: which page in flight
  kOneOld,        // likewise
  kSlotsNew,      // commit slots new, blocks old
  kBlocksNew,     // and the other way round
  kTornSlot,      // index: slot in flight, sector, which half is new
  kOffsetPrefix,  // pages below a random one are new; odd index: old
  kTimePrefix,    // all as they were at an earlier event
  kSize,          // index: which size; pages new, old or random
  kRange,         // pages of one allocation or hole old, the rest new; odd:
                  // the other way round; 2 and 3 of four: with pages as they
                  // were in between instead of new
  kRandom,        // each page any version
  kRandomTorn,    // each sector of each page any version
  kGarbage,       // as kRandomTorn, and bytes in flight are garbage
  kExhaustive,    // index: the product of old and new
  kRotten,        // as kAllNew, and the newest valid slot is unreadable
  kOneBetween,    // as kOneOld, but as it was in between
  kSizeBetween,   // an older size; all pages that have been in between, or one,
                  // are as they were then, the others new or old
  // As those, in the same boot: the lock file is there (an image put back, a
  // file system rolled back).
  kRegionNew,
  kRegionOld,
  kRegionRandom,
  kRegionOneNew,
  kRegionOneOld,
  kRegionOneBetween,
  kRegionSlotsNew,
  kRegionBlocksNew,
  kRegionOffsetPrefix,
  kRegionTimePrefix,
  kRegionStale,   // pages new, old, or random; of the lock file some pages are
                  // those of an earlier event (a disk that was mounted anew)
  kDiedFlushing,  // no power has failed: the process died in a flush, of which
                  // the device has not got all (index 0), one of, or some of
                  // the pages; 4 and 5: all or some, beside a survivor
};
constexpr int kFamilies = 30;

struct StateId {
  uint32_t event = 0;
  Family family = Family::kAllOld;
  uint32_t index = 0;

  std::string ToString() const;
  static bool Parse(const std::string& text, StateId* id);
};

// The first bytes of a lock file: header, words, states of a few segments.
using RegionImage = std::vector<char>;

struct CrashState {
  StateId id;
  std::vector<PageRef> pages;  // all of the file
  uint64_t size = 0;
  // Of pages and size, and of what recovery reads of the lock file, if that is
  // there: two states of one hash are one.
  uint64_t hash = 0;
  bool has_region = false;
  RegionImage region;  // of the same boot if has_region, else as memory had it
  bool is_rotten = false;
  bool has_torn_slot = false;  // or may have
  // Of kDiedFlushing, where `pages` are what the cache shows.
  bool has_survivor = false;  // who is attached, and does nothing
  std::vector<Unflushed> unflushed;
  uint64_t size_on_device = 0;
};

// The same id and seed give the same state. `region`: what the lock file was
// then; it may be empty, but not for the families that have one.
CrashState MakeState(const DiskHistory& history, const CrashPoint& point,
                     StateId id, uint64_t seed, const RegionImage& region);

// Writes it to a new file, which is another inode than the domain was.
void WriteState(const CrashState& state, const std::string& path);

}  // namespace eve::simdisk

#endif  // EVE_TESTS_SIMDISK_CRASH_STATE_H_
