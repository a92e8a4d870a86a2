// Planted bugs: durability protocols that are wrong, each of which the rig must
// find. docs/testing.md says what each stands for.
//
// Threads:    one.
// Processes:  planted in the process of a history.
// Owns:       nothing.
// Lifetime:   as long as the recorder.
// Errors:     none.
// Cost:       none.
#ifndef EVE_TESTS_SIMDISK_PLANTED_BUG_H_
#define EVE_TESTS_SIMDISK_PLANTED_BUG_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/simdisk/recorder.h"

namespace eve::simdisk {

enum class PlantedBug {
  kNone,
  kSlotBeforeData,         // blocks are not flushed before their slot is
  kSlotNotFlushed,         // acknowledged before the slot is flushed
  kWriteBackIsNoFlush,     // sync_file_range instead of fdatasync
  kFlushForgetsSize,       // the new size of the file is not flushed
  kFlushForgetsFresh,      // nor blocks in space that is new
  kFailedFlushRetried,     // and its success believed
  kNewestSlotOverwritten,  // a checkpoint writes over the newest durable slot
  kReusedOneEarly,         // segments that the second durable root needs
  kReusedUnderDurable,     // segments that both need
  kPendingIgnored,         // and those that a slot which may yet land needs
  kPunchedUnderDurable,    // holes where durable roots have blocks
  kRecoveryWithoutFlush,   // the page cache is taken for the disk
  kCutBeforeSlots,         // the file is cut before its slots say so
  kListIgnored,            // a slot counts whatever has become of what it lists
  kExtentLeftOut,          // of what it lists the last is not looked at
  kStoredChecksumIgnored,  // sums are compared, not the checksums in the blocks
  kAdoptedUnsummed,        // the live root is adopted for its boot id alone
  kAcknowledgedEarly,      // a group is told before the flush
  kCreatedUnflushed,       // a new domain gets its name before it is flushed
  kCacheBelieved,          // after a death in a flush nobody asks the device
  kFlushUnannounced,       // nobody knows of a death in a flush
  kShortLockFileMapped,    // a lock file that is there is taken for long enough
  kUnnamedSlotsDropped,    // the lock file is believed of what is durable
};

std::string_view NameOf(PlantedBug bug);
const std::vector<PlantedBug>& AllPlantedBugs();
// kNone if there is none of that name.
PlantedBug PlantedBugOfName(std::string_view name);

// What the bug does to a file that is about to be opened; empty: nothing.
std::function<void(const std::string& path)> TamperOf(PlantedBug bug);

// `path`: of the domain, which may not be open yet.
void Plant(PlantedBug bug, const std::string& path, Recorder* recorder);

}  // namespace eve::simdisk

#endif  // EVE_TESTS_SIMDISK_PLANTED_BUG_H_
