// Recoveries that look less closely than the engine's at what a commit slot
// lists. The engine has no code for them: the file is changed so that the list
// does not say what they do not look at.
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

}  // namespace eve::simdisk

#endif  // EVE_TESTS_SIMDISK_BLIND_RECOVERY_H_
