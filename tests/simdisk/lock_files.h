// Lock files beside a file that is about to be opened: what memory had, where
// no power failed; else what of it may have reached the disk.
//
// Threads:    any.
// Processes:  nobody has the domain open.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     aborts when one cannot be written.
// Cost:       reads the commit slots.
#ifndef EVE_TESTS_SIMDISK_LOCK_FILES_H_
#define EVE_TESTS_SIMDISK_LOCK_FILES_H_

#include <cstdint>
#include <string>

#include "engine/file/file.h"
#include "tests/simdisk/crash_state.h"

namespace eve::simdisk {

// What a power failure may have left. Nobody flushes a lock file but the first
// opener, behind all else, and from then on it has any pages of any time.
enum class LockFileKind : uint8_t {
  kNewest,   // the newest opening's, and no more than who it is of
  kNone,     // the file is unknown, and so is read whole
  kOlder,    // an older opening's
  kAsItWas,  // all that memory had
  kShort,    // the same, cut: at a page or anywhere
  kZeroes,   // as long as one, without a byte
  kGarbage,  // as kAsItWas, with sectors that nobody has written
};
constexpr int kLockFileKinds = 7;

// Which one a state has. Most have the first, some none.
LockFileKind LockFileOf(const CrashState& state);

// `image`: what memory had, if anything; it may be empty. The same seed gives
// the same file. There is none before.
void WriteLockFile(LockFileKind kind, const RegionImage& image, uint64_t seed,
                   const std::string& path);

// In the same boot, as if it belonged to the file that was put there.
void WriteRegion(const RegionImage& image, const std::string& path);

// Has a process slot of the lock file, and so is attached, while it lives. Who
// had the others is dead.
class Survivor {
 public:
  explicit Survivor(const std::string& path);

 private:
  const File file_;
};

// The pages of a lock file of which some are of an earlier event; but no words
// of before a failed flush beside the note of it, which goes by them.
RegionImage MixRegions(const RegionImage& now, const RegionImage& earlier,
                       uint64_t seed);

}  // namespace eve::simdisk

#endif  // EVE_TESTS_SIMDISK_LOCK_FILES_H_
