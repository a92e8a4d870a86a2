// Recoveries that look less closely than the engine's at what a commit slot
// lists, or at what the lock file calls the newest root. The engine has no code
// for them: the file is changed so that there is nothing that they would see.
//
// Threads:    pure functions of a file.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     aborts when the file cannot be read or written.
// Cost:       reads what slots list.
#ifndef EVE_TESTS_SIMDISK_BLIND_RECOVERY_H_
#define EVE_TESTS_SIMDISK_BLIND_RECOVERY_H_

#include <string>

namespace eve::simdisk {

enum class Blindness {
  kToLists,            // takes any slot, whatever it lists
  kToLastExtents,      // or but the last extent of a list
  kToStoredChecksums,  // compares sums, not what stands in the blocks' headers
};

void MakeBlind(const std::string& path, Blindness blindness);

// Adopts the live root of a lock file of this boot, without comparing sums of
// what differs from the durable one (P23): it gets a slot of its own, which
// lists nothing, so that the engine looks at no more than its record and rows.
// Without a lock file, or with a poisoned one, there is nothing to adopt.
void TrustRegion(const std::string& path);

// Takes what a lock file of this boot calls durable for all that is: slots of
// its opening that it does not name are lost.
void DropUnnamedSlots(const std::string& path);

// Leaves nothing in the lock file of a flush that somebody has died in.
void WipeAnnouncements(const std::string& path);

}  // namespace eve::simdisk

#endif  // EVE_TESTS_SIMDISK_BLIND_RECOVERY_H_
