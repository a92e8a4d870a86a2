// WriteLockFileOfOtherBoot: the lock file of a domain that was open in another
// boot. The file is known, and no more of what was in memory then.
//
// Threads:    any.
// Processes:  nobody has the domain open.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     false: it cannot be written.
// Cost:       reads the commit slots.
#ifndef EVE_TESTS_TESTING_LOCK_FILE_H_
#define EVE_TESTS_TESTING_LOCK_FILE_H_

#include <fcntl.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

#include "engine/file/file.h"
#include "engine/format/commit_slot.h"
#include "engine/format/shared_layout.h"
#include "engine/format/superblock.h"

namespace eve::testing {

// A file that is too short for commit slots has none.
inline bool WriteLockFileOfOtherBoot(const std::string& path) {
  const absl::StatusOr<File> file = File::Open(path, O_RDONLY);
  if (!file.ok()) return false;
  RegionHeader header{};
  header.magic = kRegionMagic;
  header.data_inode = file->Identity().value().inode;
  Superblock superblock;
  if (!file->ReadAt(0, &superblock, sizeof(superblock)).ok()) return true;
  std::memcpy(header.uuid, superblock.uuid, sizeof(header.uuid));
  for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
    CommitSlot slot;
    if (!file->ReadAt(CommitSlotPosition(i), &slot, sizeof(slot)).ok()) {
      return true;
    }
    if (IsValidCommitSlot(slot, i, superblock.uuid)) {
      header.incarnation = std::max(header.incarnation, slot.incarnation);
    }
  }
  const absl::StatusOr<File> lock =
      File::Open(path + "-lock", O_RDWR | O_CREAT | O_TRUNC);
  // As long as one is at least.
  return lock.ok() && lock->WriteAt(0, &header, sizeof(header)).ok() &&
         lock->WriteAt(kSegmentStatesOffset - 1, "", 1).ok();
}

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_LOCK_FILE_H_
