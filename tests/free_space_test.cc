// Which free segments are claimed, and that runs and single segments do not
// tear the file to pieces between them.

#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/domain/registry.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/clock.h"
#include "util/random.h"

namespace eve {
namespace {

using testing::TempDir;
using Strings = Map<std::string, std::string>;

using testing::Quiet;

class FreeSpaceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(impl_, internal::OpenInstance(path_, Quiet()));
  }
  SegmentSource& source() { return *impl_->core().source; }
  SegmentTable& table() { return *impl_->core().table; }

  // All of `capacity` segments are claimed but those that are named.
  void LeaveFree(uint32_t capacity, const std::vector<uint32_t>& segments) {
    ASSERT_OK(source().ClaimRun(capacity - table().capacity()));
    while (table().TryClaimFree().has_value()) {
    }
    ASSERT_EQ(table().capacity(), capacity);
    for (const uint32_t segment : segments) table().ReleaseFree(segment);
  }

  // Opens another one, which may have so many segments, in place of the first.
  void OpenWithQuota(uint64_t segments) {
    DomainOptions options = Quiet();
    options.max_bytes = segments * kSegmentBytes;
    const std::string path = dir_.File("quota.eve");
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path, options));
    ASSERT_OK_AND_ASSIGN(impl_, internal::OpenInstance(path, options));
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::shared_ptr<internal::DomainImpl> impl_;
};

TEST_F(FreeSpaceTest, SinglesLeaveLongStretchesAlone) {
  LeaveFree(64, {5, 6, 7, 8, 9, 12, 13, 20, 30, 31, 50});
  std::vector<uint32_t> claimed;
  while (auto segment = table().TryClaimFree()) claimed.push_back(*segment);
  // Alone in its stretch first, then the short ones, then the long one. What
  // lies in the last quarter comes last, so that it can be cut off.
  EXPECT_EQ(claimed,
            (std::vector<uint32_t>{20, 12, 13, 30, 31, 5, 6, 7, 8, 9, 50}));
}

TEST_F(FreeSpaceTest, BackedSegmentsComeBeforeOthers) {
  LeaveFree(64, {5, 6, 7, 8, 20});
  ASSERT_TRUE(table().TryClaimFree(7));
  table().MarkBacked(7);
  table().ReleaseFree(7);
  EXPECT_EQ(table().TryClaimFree(), 7u);
  EXPECT_EQ(table().TryClaimFree(), 8u) << "alone now";
}

TEST_F(FreeSpaceTest, RunsTakeTheLowestStretchThatFits) {
  LeaveFree(64, {5, 6, 12, 13, 14, 20, 21, 22, 23});
  EXPECT_EQ(table().TryClaimRun(3), 12u);
  EXPECT_EQ(table().TryClaimRun(3), 20u);
  EXPECT_EQ(table().TryClaimRun(3), std::nullopt);
  EXPECT_EQ(table().TryClaimRun(2), 5u);
}

TEST_F(FreeSpaceTest, GrowingForARunCountsWhatIsFreeAtTheEnd) {
  LeaveFree(64, {5, 6, 61, 62, 63});
  EXPECT_EQ(source().ClaimRun(5).value(), 61u);
  // Two were missing.
  EXPECT_EQ(table().capacity(), 64u + 2);
  EXPECT_EQ(source().ClaimRun(12).value(), 66u);
  EXPECT_EQ(table().capacity(), 66u + 12);
}

// The only thing between a run and max_bytes may be what is free at the end. By
// one that makes room, since all others leave the reserve alone.
TEST_F(FreeSpaceTest, RunFitsUnderTheQuotaWithTheFreeEnd) {
  ASSERT_NO_FATAL_FAILURE(OpenWithQuota(40));
  ASSERT_OK_AND_ASSIGN(const uint32_t first,
                       source().ClaimRun(36, ClaimPurpose::kMakeRoom));
  for (uint32_t i = 30; i < 36; ++i) {
    table().ReleaseFree(first + i);
  }
  EXPECT_CODE(source().ClaimRun(9), absl::StatusCode::kResourceExhausted);
  EXPECT_OK(source().ClaimRun(9, ClaimPurpose::kMakeRoom));
  EXPECT_CODE(source().ClaimRun(9, ClaimPurpose::kMakeRoom),
              absl::StatusCode::kResourceExhausted);
}

// I22: what adds leaves the reserve, what erases leaves what a round needs, and
// only what makes room takes the rest. Nothing is set aside before.
TEST_F(FreeSpaceTest, EachPurposeLeavesItsPartOfTheReserve) {
  ASSERT_NO_FATAL_FAILURE(OpenWithQuota(40));
  const auto claim_all = [&](ClaimPurpose purpose) {
    uint32_t claimed = 0;
    while (source().Claim(purpose).ok()) ++claimed;
    return claimed;
  };
  const auto is = [&](bool is_tight, bool is_broken) {
    return source().is_tight() == is_tight && source().is_broken() == is_broken;
  };
  const uint32_t reserve = ReserveOf(40);
  EXPECT_EQ(reserve, 6u);
  ASSERT_OK(source().Claim());
  EXPECT_TRUE(is(false, false));
  EXPECT_LE(table().capacity(), 4u) << "nothing is set aside yet";
  claim_all(ClaimPurpose::kAdd);
  EXPECT_EQ(source().MeasureRoom(1).all(), reserve);
  EXPECT_TRUE(is(true, false));
  EXPECT_EQ(claim_all(ClaimPurpose::kErase), reserve - RoundNeeds(reserve));
  EXPECT_TRUE(is(true, true));
  EXPECT_EQ(claim_all(ClaimPurpose::kMakeRoom), RoundNeeds(reserve));
  EXPECT_EQ(source().MeasureRoom(1).all(), 0u);
  // As it was.
  for (uint32_t i = 30; i < 40; ++i) table().ReleaseFree(i);
  source().Look();
  EXPECT_TRUE(is(false, false));
  EXPECT_EQ(claim_all(ClaimPurpose::kAdd), 10 - reserve);
}

TEST_F(FreeSpaceTest, TheReserveGrowsWithWhatADomainCanHave) {
  EXPECT_EQ(ReserveOf(kReserveFrom - 1), 0u);
  EXPECT_EQ(ReserveOf(kReserveFrom), 4u);
  EXPECT_EQ(ReserveOf(40), 6u);
  EXPECT_EQ(ReserveOf(UINT64_MAX), 8u);
  // A domain that can have no more than that sets nothing aside.
  ASSERT_NO_FATAL_FAILURE(OpenWithQuota(11));
  uint32_t claimed = 0;
  while (source().Claim().ok()) ++claimed;
  EXPECT_EQ(table().capacity(), 11u);
  EXPECT_EQ(source().MeasureRoom(1).all(), 0u);
}

// Allocating runs of up to n segments first-fit, with at most M segments in
// use, needs at most M (1 + log2 n) (Robson, 1977, for sizes that are powers of
// two; others round up, which at most doubles M of the runs). Growth adds an
// eighth. Segments that singles and runs fight for stay below that.
TEST_F(FreeSpaceTest, RunsAndSinglesDoNotFragmentForEver) {
  const uint64_t seed = MonotonicNanos() % 1'000'000'007;
  std::cout << "seed " << seed << std::endl;
  Random random(seed);
  constexpr uint32_t kOwners = 60;
  constexpr uint32_t kRunMax = 5;  // 9 MiB
  struct Owned {
    uint32_t first = 0;
    uint32_t length = 0;
  };
  std::vector<Owned> owned(kOwners);
  const auto release = [&](Owned& one) {
    for (uint32_t i = 0; i < one.length; ++i) {
      table().ReleaseFree(one.first + i);
    }
    one.length = 0;
  };
  uint64_t in_use = 4;  // the domain's own
  uint64_t most_in_use = 0;
  for (int round = 0; round < 10'000; ++round) {
    Owned& one = owned[random.Uniform(kOwners)];
    // As a replaced value: the new one is there before the old one goes.
    Owned next;
    next.length = round % 2 == 0
                      ? 1
                      : 2 + static_cast<uint32_t>(random.Uniform(kRunMax - 1));
    if (next.length == 1) {
      ASSERT_OK_AND_ASSIGN(const ClaimedSegment claimed, source().Claim());
      next.first = claimed.segment;
    } else {
      ASSERT_OK_AND_ASSIGN(next.first, source().ClaimRun(next.length));
    }
    in_use += next.length;
    most_in_use = std::max(most_in_use, in_use);
    in_use -= one.length;
    release(one);
    one = next;
  }
  std::cout << "at most " << most_in_use << " segments in use, the file has "
            << table().capacity() << std::endl;
  EXPECT_LE(table().capacity(), most_in_use * 2);
  for (Owned& one : owned) release(one);
  EXPECT_TRUE(table().TryClaimRun(table().capacity() / 2).has_value())
      << "what was given back is whole again";
}

// The same with values, through commits and reclamation.
TEST_F(FreeSpaceTest, LargeAndSmallValuesShareTheFile) {
  const uint64_t seed = MonotonicNanos() % 1'000'000'007;
  std::cout << "seed " << seed << std::endl;
  Random random(seed);
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  std::map<std::string, std::pair<char, size_t>> model;
  uint64_t segments_max = 0;
  for (int round = 0; round < 400; ++round) {
    const bool is_large = round % 2 == 0;
    const std::string key =
        (is_large ? "large" : "small") + std::to_string(random.Uniform(8));
    const size_t bytes = is_large ? (3 << 20) + random.Uniform(6 << 20)
                                  : random.Uniform(200'000);
    const char fill = static_cast<char>('a' + round % 26);
    ASSERT_OK(map.Put(key, std::string(bytes, fill)));
    model[key] = {fill, bytes};
    if (round % 16 == 0) ASSERT_OK(domain_.Sync());
    segments_max = std::max<uint64_t>(segments_max, table().capacity());
  }
  for (const auto& [key, value] : model) {
    EXPECT_TRUE(map.Get(key).value() == std::string(value.second, value.first));
  }
  // Eight runs of five segments are live. Those that died since the second
  // newest checkpoint, 16 to 32 rounds ago, are kept for it: as many as there
  // were large values in those rounds. Half as much again for pieces.
  std::cout << "the file has " << segments_max << " segments" << std::endl;
  EXPECT_LE(segments_max, (8 * 5 + 16 * 5 + 8) * 3 / 2);
  testing::ExpectCleanCheck(path_, domain_);
}

}  // namespace
}  // namespace eve
