// Power loss, imitated: a copy of the file with a lock file of another boot, so
// that the live root is not adopted and the copy opens at what its commit slots
// say.
//
// Threads:    others may go on writing while a copy is made.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     failed expectations.
// Cost:       copies the file.
#ifndef EVE_TESTS_TESTING_POWER_LOSS_H_
#define EVE_TESTS_TESTING_POWER_LOSS_H_

#include <fcntl.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "engine/file/file.h"
#include "engine/format/commit_slot.h"
#include "gtest/gtest.h"
#include "tests/testing/lock_file.h"
#include "tests/testing/status_matchers.h"

namespace eve::testing {

// Returns `to`.
inline std::string CopyAfterPowerLoss(const std::string& path,
                                      const std::string& to) {
  std::filesystem::copy_file(path, to);
  EXPECT_TRUE(WriteLockFileOfOtherBoot(to));
  return to;
}

// Makes the `count` slots with the highest versions fail their checksums.
inline void TearNewestSlots(const std::string& path, size_t count) {
  ASSERT_OK_AND_ASSIGN(const File file, File::Open(path, O_RDWR));
  std::map<uint64_t, uint32_t, std::greater<>> slots;  // by version
  for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
    CommitSlot slot;
    ASSERT_OK(file.ReadAt(CommitSlotPosition(i), &slot, sizeof(slot)));
    if (slot.magic == kCommitSlotMagic) slots[slot.version] = i;
  }
  for (const auto& [version, i] : slots) {
    if (count-- == 0) return;
    ASSERT_OK(file.WriteAt(CommitSlotPosition(i) + 100, "torn", 4));
  }
}

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_POWER_LOSS_H_
