// Which crash states are tried at a crash point.
//
// Threads:    pure functions.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       none.
#ifndef EVE_TESTS_SIMDISK_LIST_STATES_H_
#define EVE_TESTS_SIMDISK_LIST_STATES_H_

#include <cstdint>
#include <vector>

#include "tests/simdisk/crash_state.h"
#include "tests/simdisk/disk_history.h"

namespace eve::simdisk {

// Pages tried one by one; in states that have the lock file.
constexpr uint32_t kSingles = 24;
constexpr uint32_t kRegionSingles = 4;

bool IsSlotPage(uint64_t page);

// Has been written back early if it has a version that is neither the oldest
// nor the newest.
inline bool HasBetween(const InFlight& p) { return p.high - p.low >= 2; }

// Whether states of the family are of the same boot.
inline bool HasRegion(Family family) { return family >= Family::kRegionNew; }

// All choices that are tried at a crash point. `exhaustive_max`: products up to
// this size are tried whole.
std::vector<StateId> ListStates(const CrashPoint& point,
                                uint64_t exhaustive_max, bool has_region);

}  // namespace eve::simdisk

#endif  // EVE_TESTS_SIMDISK_LIST_STATES_H_
