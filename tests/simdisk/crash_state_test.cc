// Crash states: which pages some families have, and which states count as one,
// and so are opened once: those of the same pages and, where the lock file is
// there, of the same words in it that recovery reads.

#include "tests/simdisk/crash_state.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "engine/format/constants.h"
#include "engine/format/shared_layout.h"
#include "gtest/gtest.h"
#include "tests/simdisk/disk_history.h"
#include "tests/simdisk/list_states.h"

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

// The cache shows all that was written, whatever of it the device has.
TEST_F(CrashStateTest, AFlushThatNobodyLivedToJudgeLeavesAnotherDevice) {
  auto written = std::make_shared<Page>();
  written->fill('w');
  const CrashPoint none = history_.At(history_.NewEvent());
  history_.Put(1, written);
  point_ = history_.At(history_.last_event());
  const auto make = [&](const CrashPoint& point, uint32_t index) {
    return MakeState(history_, point,
                     StateId{point.event, Family::kDiedFlushing, index},
                     /*seed=*/1, region_);
  };
  const CrashState state = make(point_, 0);
  EXPECT_EQ(state.pages[1], written);
  EXPECT_TRUE(state.has_region);
  ASSERT_EQ(state.unflushed.size(), 1u);
  EXPECT_TRUE(state.unflushed[0].is_lost);
  EXPECT_EQ(state.unflushed[0].on_device, state.pages[0]);
  EXPECT_NE(state.hash, HashOf(Family::kRegionNew));
  // Where nothing was to be flushed nothing is lost.
  CrashPoint nothing = none;
  nothing.in_flight.clear();
  EXPECT_TRUE(make(nothing, 0).unflushed.empty());

  // A history that begins there: a flush that succeeds brings nothing.
  DiskHistory after;
  after.BeginUnflushed(state.pages, state.size, state.unflushed,
                       state.size_on_device);
  EXPECT_EQ(after.newest(1).bytes, written);
  EXPECT_EQ(after.OnDevice(1).bytes, state.unflushed[0].on_device);
  const uint32_t begin = after.NewEvent();
  after.NewEvent();
  after.AddFlush(Flush{begin, after.last_event()});
  EXPECT_EQ(after.OnDevice(1).bytes, state.unflushed[0].on_device);
  EXPECT_EQ(after.At(after.last_event()).in_flight.size(), 1u);
  // What is written again is.
  auto again = std::make_shared<Page>();
  again->fill('a');
  const uint32_t rewritten = after.NewEvent();
  after.Put(1, again);
  EXPECT_EQ(after.OnDevice(1).bytes, again);
  after.NewEvent();
  after.AddFlush(Flush{rewritten, after.last_event()});
  EXPECT_TRUE(after.At(after.last_event()).in_flight.empty());
}

// Two pages, of which one has been in between, behind the end of the old file.
class SizeBetweenTest : public CrashStateTest {
 protected:
  SizeBetweenTest() {
    for (int i = 0; i < 3; ++i) {
      auto page = std::make_shared<Page>();
      page->fill(static_cast<char>('0' + i));
      versions_[i] = page;
      history_.NewEvent();
      history_.Put(1, page);
    }
    history_.NewEvent();
    history_.PutSize(3 * kPageBytes);
    history_.Put(0, versions_[0]);
    history_.Put(2, versions_[0]);
    point_ = history_.At(history_.last_event());
  }
  CrashState Make(Family family, uint32_t index) const {
    return MakeState(history_, point_, StateId{point_.event, family, index},
                     /*seed=*/1, region_);
  }
  uint64_t Count(Family family, bool has_region = true) const {
    const std::vector<StateId> ids = ListStates(point_, 0, has_region);
    return static_cast<uint64_t>(std::count_if(
        ids.begin(), ids.end(),
        [family](const StateId& id) { return id.family == family; }));
  }

  PageRef versions_[3];
};

TEST_F(SizeBetweenTest, AnOlderSizeHasPagesAsTheyWereInBetween) {
  ASSERT_EQ(Count(Family::kSizeBetween), 4u);
  for (uint32_t index = 0; index < 4; ++index) {
    const CrashState state = Make(Family::kSizeBetween, index);
    EXPECT_EQ(state.size, 2 * kPageBytes) << index;
    ASSERT_EQ(state.pages.size(), 2u) << index;
    EXPECT_TRUE(state.pages[1] == versions_[0] ||
                state.pages[1] == versions_[1])
        << index;
    EXPECT_EQ(state.pages[0] == versions_[0], index % 2 == 0) << index;
  }
}

TEST_F(SizeBetweenTest, StatesOfTheSameBootHaveTheirPagesAsThoseOfAnother) {
  const std::pair<Family, Family> pairs[] = {
      {Family::kRegionOneNew, Family::kOneNew},
      {Family::kRegionOneOld, Family::kOneOld},
      {Family::kRegionOneBetween, Family::kOneBetween}};
  for (const auto& [same_boot, other] : pairs) {
    EXPECT_GT(Count(same_boot), 0u);
    EXPECT_EQ(Count(same_boot, /*has_region=*/false), 0u);
    const CrashState state = Make(same_boot, 0);
    EXPECT_TRUE(state.has_region);
    EXPECT_FALSE(Make(other, 0).has_region);
    EXPECT_EQ(state.size, Make(other, 0).size);
  }
  EXPECT_EQ(Make(Family::kRegionOneNew, 1).pages,
            Make(Family::kOneNew, 1).pages);
  EXPECT_EQ(Make(Family::kRegionOneOld, 1).pages,
            Make(Family::kOneOld, 1).pages);
  // Slots and blocks apart are only where slots are in flight.
  EXPECT_EQ(Count(Family::kRegionSlotsNew), 0u);
  EXPECT_EQ(Count(Family::kRegionStale), 3u);
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
