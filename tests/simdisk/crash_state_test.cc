// Which crash states count as one, and so are opened once: those of the same
// pages and, where the lock file is there, of the same words in it that
// recovery reads.

#include "tests/simdisk/crash_state.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>

#include "engine/format/constants.h"
#include "engine/format/shared_layout.h"
#include "gtest/gtest.h"
#include "tests/simdisk/disk_history.h"

namespace eve::simdisk {
namespace {

class CrashStateTest : public ::testing::Test {
 protected:
  CrashStateTest() {
    auto page = std::make_shared<Page>();
    page->fill('p');
    history_.Begin({page, page}, 2 * kPageBytes);
    point_ = history_.At(history_.NewEvent());
  }

  uint64_t HashOf(Family family) const {
    return MakeState(history_, point_, StateId{point_.event, family, 0},
                     /*seed=*/1, region_)
        .hash;
  }
  // The hash where the byte at `offset` of the lock file is another.
  uint64_t HashWith(uint64_t offset, Family family) {
    region_[offset] ^= 1;
    const uint64_t hash = HashOf(family);
    region_[offset] ^= 1;
    return hash;
  }

  DiskHistory history_;
  CrashPoint point_;
  RegionImage region_ = RegionImage(kProcessSlotsOffset, '\0');
};

TEST_F(CrashStateTest, WhatRecoveryReadsOfTheLockFileMakesAnotherState) {
  std::set<uint64_t> seen{HashOf(Family::kRegionNew)};
  const auto expect_another = [&](uint64_t offset) {
    EXPECT_TRUE(seen.insert(HashWith(offset, Family::kRegionNew)).second)
        << offset;
    EXPECT_EQ(HashWith(offset, Family::kAllNew), HashOf(Family::kAllNew))
        << offset << ": there is no lock file";
  };
  expect_another(offsetof(RegionHeader, incarnation));
  expect_another(offsetof(RegionHeader, ready));
  expect_another(offsetof(RegionHeader, poison));
  expect_another(kRegionWordsOffset + offsetof(RegionWords, root));
  for (uint64_t i = 0; i < kCommitSlotCount; ++i) {
    const uint64_t word = kRegionWordsOffset + i * sizeof(uint64_t);
    expect_another(word + offsetof(RegionWords, pending));
    expect_another(word + offsetof(RegionWords, durable));
  }
  // Nor is it the state without one.
  EXPECT_TRUE(seen.insert(HashOf(Family::kAllNew)).second);
}

TEST_F(CrashStateTest, WhatRecoveryPassesOverDoesNot) {
  for (const uint64_t offset :
       {offsetof(RegionHeader, nonce), offsetof(RegionHeader, data_inode),
        kRegionWordsOffset + offsetof(RegionWords, beat),
        kRegionWordsOffset + offsetof(RegionWords, flush_begun)}) {
    EXPECT_EQ(HashWith(offset, Family::kRegionNew), HashOf(Family::kRegionNew))
        << offset;
  }
}

}  // namespace
}  // namespace eve::simdisk
