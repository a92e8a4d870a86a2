// What a domain's space is kept by, and which victims are walked.

#include "engine/reclaim/victims.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/domain/registry.h"
#include "engine/reclaim/compactor.h"
#include "engine/reclaim/evacuation.h"
#include "engine/root/accounting.h"
#include "engine/root/pinned_root.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::Quiet;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

// Segment 5, sealed, without live bytes, born at 10 and dead since 20.
class DeadSegment {
 public:
  DeadSegment() {
    survey_.words.resize(6);
    survey_.rows.resize(6);
    survey_.words[5] =
        SegmentWord::Make(SegmentState::kSealed, Backing::kUnknown, /*owner=*/0,
                          /*generation=*/0, /*tag=*/0);
    AccountingRow& row = survey_.rows[5];
    row.birth = 10;
    row.death = 20;
    row.fill_units = 100;
    row.run_length = 1;
  }
  SegmentSurvey& survey() { return survey_; }
  SpaceUse Measure() const { return MeasureSpace(survey_); }

 private:
  SegmentSurvey survey_;
};

bool All(const Victim&) { return true; }

TEST(MeasureSpaceTest, WhatADurableRootKeepsIsHeldDurably) {
  DeadSegment dead;
  dead.survey().protectors.durable = {15};
  EXPECT_EQ(dead.Measure().held_bytes, kSegmentBytes);
  EXPECT_EQ(dead.Measure().durable_held_bytes, kSegmentBytes);
  dead.survey().protectors.durable = {9, 20};
  EXPECT_EQ(dead.Measure().held_bytes, 0u);
  EXPECT_EQ(dead.Measure().durable_held_bytes, 0u);
}

// A checkpoint for a reader's sake would free nothing. A range pin protects all
// that is dead, if only for a moment.
TEST(MeasureSpaceTest, WhatOnlyPinsKeepIsNotHeldDurably) {
  DeadSegment dead;
  dead.survey().protectors.pins.exact = {15};
  EXPECT_EQ(dead.Measure().held_bytes, kSegmentBytes);
  EXPECT_EQ(dead.Measure().durable_held_bytes, 0u);
  dead.survey().protectors.pins.exact.clear();
  dead.survey().protectors.pins.range_low = 1;
  EXPECT_EQ(dead.Measure().held_bytes, kSegmentBytes);
  EXPECT_EQ(dead.Measure().durable_held_bytes, 0u);
  dead.survey().protectors.durable = {15};
  EXPECT_EQ(dead.Measure().durable_held_bytes, kSegmentBytes);
}

// Alive as well, so that it could be emptied.
TEST(ChooseVictimsTest, WhatDurableRootsKeepIsLeftAloneWhileTheyStay) {
  DeadSegment sparse;
  sparse.survey().rows[5].live_units = 50;
  sparse.survey().protectors.durable = {15};
  sparse.survey().SetLongDurable(15);
  VictimGoal goal;
  goal.live_bytes_max = kSegmentBytes;
  goal.count_max = 1;
  EXPECT_EQ(ChooseVictims(sparse.survey(), goal, All).size(), 1u);
  EXPECT_EQ(sparse.Measure().pinned_bytes, 0u);
  goal.keepers = Keepers::kLongDurableToo;
  EXPECT_EQ(ChooseVictims(sparse.survey(), goal, All).size(), 0u);
  const SpaceUse use = MeasureSpace(sparse.survey(), Keepers::kLongDurableToo);
  EXPECT_EQ(use.pinned_bytes, kSegmentBytes);
  EXPECT_EQ(use.pinned_live_bytes, 50 * kUnitBytes);
  // One that has only just come may be followed by the next.
  sparse.survey().SetLongDurable(14);
  EXPECT_EQ(ChooseVictims(sparse.survey(), goal, All).size(), 1u);
  // Born after it.
  sparse.survey().protectors.durable = {9};
  sparse.survey().SetLongDurable(15);
  EXPECT_EQ(ChooseVictims(sparse.survey(), goal, All).size(), 1u);
}

// I22: in the order of what it costs to empty them. Whatever a reader sees
// would not be freed, however short a time it has been reading.
TEST(ByLeastLiveTest, LeavesOutWhatIsNotFreedOrTooDense) {
  DeadSegment some;
  SegmentSurvey& survey = some.survey();
  survey.words.assign(6, survey.words[5]);
  survey.rows.assign(6, survey.rows[5]);
  const uint32_t live[] = {3000, 100, 0, 120'000, 2000, 50};
  for (int i = 0; i < 6; ++i) survey.rows[i].live_units = live[i];
  survey.rows[5].birth = 9;
  survey.rows[1].run_length = 2;
  survey.protectors.pins.exact = {9, 17};
  survey.SetLongPins(17);
  survey.protectors.durable = {15};
  std::vector<uint32_t> found;
  for (const Victim& victim : ByLeastLive(survey, 0.9)) {
    found.push_back(victim.segment);
  }
  EXPECT_EQ(found, (std::vector<uint32_t>{4, 0}));
  survey.words[4] =
      SegmentWord::Make(SegmentState::kClaimed, Backing::kBacked, 0, 0, 0);
  EXPECT_EQ(ByLeastLive(survey, 0.9).size(), 1u);
  survey.SetLongPins(9);
  EXPECT_EQ(ByLeastLive(survey, 0.9).front().segment, 5u);
  EXPECT_EQ(ByLeastLive(survey, 1).size(), 3u);
}

TEST(MeasureSpaceTest, HolesAreNotReadyToBeUsed) {
  SegmentSurvey survey;
  for (const Backing backing :
       {Backing::kBacked, Backing::kUnknown, Backing::kHole}) {
    survey.words.push_back(
        SegmentWord::Make(SegmentState::kFree, backing, 0, 0, 0));
  }
  survey.words.push_back(
      SegmentWord::Make(SegmentState::kClaimed, Backing::kBacked, 0, 0, 0));
  const SpaceUse use = MeasureSpace(survey);
  EXPECT_EQ(use.free_bytes, 2 * kSegmentBytes);
  EXPECT_EQ(use.used_bytes, kSegmentBytes);
}

// So many sealed segments, born at 10: `dead` of them without live bytes since
// 20, the others as full as `live_units` says.
SegmentSurvey SurveyOf(int segments, int dead, uint32_t live_units) {
  SegmentSurvey survey;
  for (int i = 0; i < segments; ++i) {
    survey.words.push_back(SegmentWord::Make(SegmentState::kSealed,
                                             Backing::kUnknown, /*owner=*/0,
                                             /*generation=*/0, /*tag=*/0));
    AccountingRow row{};
    row.birth = 10;
    row.death = i < dead ? 20 : 0;
    row.live_units = i < dead ? 0 : live_units;
    row.fill_units = kSegmentUnits;
    row.run_length = 1;
    survey.rows.push_back(row);
  }
  survey.version = 30;
  return survey;
}

// A busy domain's newer durable root soon keeps as much again.
// Emptying them is not possible, so nothing can be gained there.
TEST(FixedSegmentsTest, AreNoVictimsAndNoGarbage) {
  constexpr uint32_t kLive = kSegmentUnits / 4;
  SegmentSurvey survey = SurveyOf(/*segments=*/3, /*dead=*/0, kLive);
  survey.fixed = {true};
  SpaceUse use = MeasureSpace(survey);
  EXPECT_EQ(use.fixed_bytes, kSegmentBytes);
  EXPECT_EQ(use.fixed_live_bytes, kLive * kUnitBytes);
  EXPECT_EQ(use.movable_bytes(), 2 * kSegmentBytes);
  EXPECT_EQ(use.movable_live_bytes(), 2 * kLive * kUnitBytes);
  VictimGoal goal;
  goal.live_bytes_max = UINT64_MAX;
  goal.count_max = 10;
  const auto segments_of = [](const std::vector<Victim>& victims) {
    std::vector<uint32_t> segments;
    for (const Victim& victim : victims) segments.push_back(victim.segment);
    std::sort(segments.begin(), segments.end());
    return segments;
  };
  const std::vector<uint32_t> movable = {1, 2};
  EXPECT_EQ(segments_of(ChooseVictims(survey, goal, All)), movable);
  EXPECT_EQ(segments_of(ByLeastLive(survey, 0.9)), movable);
  goal.empty_from = 0;
  EXPECT_EQ(segments_of(ChooseVictims(survey, goal, All)), movable);
  // What a reader keeps counts as that.
  survey.long_pins = {10};
  use = MeasureSpace(survey);
  EXPECT_EQ(use.pinned_bytes, 3 * kSegmentBytes);
  EXPECT_EQ(use.fixed_bytes, 0u);
  EXPECT_EQ(use.movable_bytes(), 0u);
}

// However many there are: they would take the places of all others.
TEST(ChooseVictimsTest, ThoseThatAreNotToBeHadDoNotCount) {
  const SegmentSurvey survey = SurveyOf(/*segments=*/10, /*dead=*/0, 100);
  VictimGoal goal;
  goal.live_bytes_max = 200 * kUnitBytes;
  goal.count_max = 2;
  int asked = 0;
  const std::vector<Victim> chosen =
      ChooseVictims(survey, goal, [&](const Victim& victim) {
        ++asked;
        return victim.segment == 3;
      });
  ASSERT_EQ(chosen.size(), 1u);
  EXPECT_EQ(chosen[0].segment, 3u);
  EXPECT_EQ(chosen[0].birth, 10u);
  EXPECT_EQ(asked, 10);
  // No more are asked than may be taken.
  asked = 0;
  const auto take = [&](const Victim&) { return ++asked > 0; };
  EXPECT_EQ(ChooseVictims(survey, goal, take).size(), 2u);
  EXPECT_EQ(asked, 2);
}

TEST(HoldMoreThanLivesTest, AHalfMoreThanLivesMayBeDead) {
  const auto holds = [](int dead, int live, uint64_t durable) {
    SegmentSurvey survey = SurveyOf(dead + live, dead, kSegmentUnits);
    survey.protectors.durable = {durable};
    return HoldMoreThanLives(survey);
  };
  EXPECT_FALSE(holds(150, 100, 15));
  EXPECT_TRUE(holds(151, 100, 15));
  EXPECT_FALSE(holds(151, 100, 20)) << "it does not see them";
  // Of a small domain that is not much.
  EXPECT_FALSE(holds(kHeldBytesMin / kSegmentBytes, 1, 15));
  EXPECT_TRUE(holds(kHeldBytesMin / kSegmentBytes + 1, 1, 15));
}

// What is dead beside what lives stays as well, as long as its segments are
// left alone for the sake of roots that have stayed for long.
TEST(HoldMoreThanLivesTest, WhatIsDeadBesideWhatLivesCountsToo) {
  const auto holds = [](uint32_t live_units, bool is_long) {
    SegmentSurvey survey = SurveyOf(100, 0, live_units);
    survey.protectors.durable = {15};
    if (is_long) survey.SetLongDurable(15);
    return HoldMoreThanLives(survey);
  };
  EXPECT_TRUE(holds(kSegmentUnits * 3 / 10, true));
  EXPECT_FALSE(holds(kSegmentUnits * 3 / 10, false));
  EXPECT_FALSE(holds(kSegmentUnits / 2, true));
}

// Emptying them would free nothing, but grow the file by what lives there.
TEST(PlanRestTest, WhatDurableRootsKeepIsLeftAloneUntilItIsRest) {
  for (const uint64_t durable : {15, 9}) {
    SegmentSurvey survey = SurveyOf(100, 0, kSegmentUnits / 2);
    survey.protectors.durable = {durable};
    const bool is_kept = durable == 15;
    RestPlan plan = PlanRest(&survey, /*may_go_on=*/true);
    plan.goal.count_max = 100;
    EXPECT_EQ(plan.is_loose, !is_kept);
    EXPECT_EQ(ChooseVictims(survey, plan.goal, All).empty(), is_kept);
    // It rests.
    survey.long_durable.clear();
    plan = PlanRest(&survey, /*may_go_on=*/false);
    plan.goal.count_max = 100;
    EXPECT_TRUE(plan.is_loose);
    EXPECT_FALSE(ChooseVictims(survey, plan.goal, All).empty());
  }
}

constexpr uint64_t kManyBytes = 1000 * kSegmentBytes;

TEST(PressureTest, WritersPayNothingWhileEnoughIsFree) {
  EXPECT_EQ(PressureOf(kManyBytes / 2, kManyBytes, kManyBytes / 10), 0);
  const double some = PressureOf(kManyBytes / 2, kManyBytes, kManyBytes / 30);
  const double none = PressureOf(kManyBytes / 2, kManyBytes, 0);
  EXPECT_GT(some, 0);
  EXPECT_GT(none, some);
}

// Or the file would grow with each burst, for ever.
TEST(PressureTest, ThereIsAnEndToIt) {
  EXPECT_GE(PressureOf(kManyBytes / 3, kManyBytes, kManyBytes), 1);
  EXPECT_EQ(PressureOf(kManyBytes / 5, kManyBytes, kManyBytes), 2);
}

// What is open and free besides is a larger part of a domain of 100 MB.
TEST(PressureTest, MiddlingDomainsAreKeptAsTightAsLargeOnes) {
  constexpr uint64_t kLive = 50 * kSegmentBytes;
  EXPECT_GE(PressureOf(kLive, kLive * 9 / 4, kManyBytes), 0.5);
  EXPECT_EQ(PressureOf(20 * kLive, 20 * kLive * 9 / 4, kManyBytes), 0);
}

TEST(PressureTest, DenseAndTinyDomainsAreLeftAlone) {
  EXPECT_EQ(PressureOf(kManyBytes * 2 / 3, kManyBytes, 0), 0);
  EXPECT_EQ(PressureOf(0, 8 * kSegmentBytes, 0), 0);
}

TEST(VictimsForTest, AllProcessesShareOneLimit) {
  SpaceUse use;
  use.used_bytes = 400 * kSegmentBytes;
  EXPECT_EQ(VictimsFor(use, 0), 100u);
  EXPECT_EQ(VictimsFor(use, 20), 80u);
  EXPECT_EQ(VictimsFor(use, 200), 0u);
}

class EvacuationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("m"));
    ASSERT_OK(domain_.Swap([&map](Transaction& transaction) -> absl::Status {
      auto writer = map.In(transaction);
      for (int i = 0; i < 20'000; ++i) {
        const absl::Status put =
            writer.Put(std::to_string(i), std::string(300, 'v'));
        if (!put.ok()) return put;
      }
      return absl::OkStatus();
    }));
    ASSERT_OK_AND_ASSIGN(impl_, internal::OpenInstance(path_, Quiet()));
    ASSERT_OK(domain_.Reclaim());
  }
  Core& core() { return impl_->core(); }

  // A segment that holds leaves of the map, claimed as a victim's.
  uint32_t ClaimFull(uint32_t* fill_units) {
    absl::StatusOr<PinnedRoot> root =
        PinnedRoot::PinNewest(*core().root, core().cells.get(), core().view);
    EXPECT_OK(root.status());
    absl::StatusOr<std::vector<AccountingRow>> rows =
        ReadExactRows(core().view, root->offset(), core().salt);
    EXPECT_OK(rows.status());
    for (uint32_t i = 0; i < rows->size(); ++i) {
      if ((*rows)[i].live_units < kSegmentUnits / 2) continue;
      if (!core().table->TryClaimSealed(i)) continue;
      *fill_units = (*rows)[i].fill_units;
      return i;
    }
    ADD_FAILURE() << "no sealed segment is full";
    return 0;
  }

  // Whether a victim of which so much lives as it is claimed, and as much
  // later, is walked for slices.
  bool IsWalkedAsARest(uint32_t when_claimed, uint32_t later) {
    Evacuation evacuation(&core());
    uint32_t fill_units = 0;
    const uint32_t segment = ClaimFull(&fill_units);
    evacuation.Add(segment, fill_units, when_claimed);
    std::vector<AccountingRow> rows(segment + 1);
    rows[segment].live_units = later;
    evacuation.Refresh(rows);
    const absl::StatusOr<bool> walked = evacuation.Gather(
        100, /*may_wait=*/true, Evacuation::Which::kNearlyEmpty);
    EXPECT_OK(walked.status());
    evacuation.ReleaseAll();
    return walked.ok() && *walked;
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::shared_ptr<internal::DomainImpl> impl_;
};

TEST_F(EvacuationTest, EditsTakeAlongWhatIsLeftOfAFullerVictim) {
  EXPECT_FALSE(IsWalkedAsARest(kSegmentUnits / 2, kSegmentUnits / 2));
  EXPECT_FALSE(IsWalkedAsARest(kSegmentUnits / 2, kSegmentUnits / 10));
  EXPECT_TRUE(IsWalkedAsARest(kSegmentUnits / 2, kSegmentUnits / 13));
}

// What lies between few neighbours is hardly ever come by: a domain of which
// the victims were all of this kind grew without end.
TEST_F(EvacuationTest, AVictimThatWasNearlyEmptyWhenTakenIsWalkedAtOnce) {
  EXPECT_TRUE(IsWalkedAsARest(kSegmentUnits / 50, kSegmentUnits / 50));
  EXPECT_TRUE(IsWalkedAsARest(kSegmentUnits / 13, kSegmentUnits / 13));
}

// Plans come with claims, too: those within one long transaction must not take
// it for a process that has stopped writing, which gives its victims back.
TEST_F(EvacuationTest, AClaimIsWriting) {
  Compactor compactor(&core(), /*has_background=*/true);
  SegmentSurvey survey;
  ASSERT_OK(compactor.Plan(survey));
  ASSERT_OK(compactor.Plan(survey));
  EXPECT_FALSE(compactor.is_writing());
  ASSERT_OK_AND_ASSIGN(const ClaimedSegment claimed, core().source->Claim());
  ASSERT_OK(compactor.Plan(survey));
  EXPECT_TRUE(compactor.is_writing());
  core().table->ReleaseFree(claimed.segment);
}

// Figures are looked at whether or not writers have to pay: what has died in
// the victims of a domain that is dense again must not stay claimed.
TEST_F(EvacuationTest, EmptyVictimsAreGivenBackWithoutPressure) {
  Compactor compactor(&core(), /*has_background=*/true);
  uint32_t fill_units = 0;
  const uint32_t segment = ClaimFull(&fill_units);
  core().table->ReleaseSealed(segment);
  SegmentSurvey survey;
  survey.words.resize(segment + 1);
  survey.words[segment] = core().table->Load(segment);
  survey.rows.resize(segment + 1);
  survey.rows[segment].live_units = fill_units;
  survey.rows[segment].fill_units = fill_units;
  survey.rows[segment].run_length = 1;
  VictimGoal goal;
  goal.live_bytes_max = kSegmentBytes;
  goal.count_max = 1;
  goal.empty_from = segment;
  ASSERT_OK_AND_ASSIGN(const size_t taken, compactor.TakeVictims(survey, goal));
  ASSERT_EQ(taken, 1u);
  survey.words.clear();
  ASSERT_OK(compactor.Plan(survey));
  EXPECT_EQ(compactor.victims(), 1u);
  survey.rows[segment].live_units = 0;
  ASSERT_OK(compactor.Plan(survey));
  EXPECT_EQ(compactor.victims(), 0u);
  EXPECT_EQ(core().table->Load(segment).state(), SegmentState::kSealed);
}

}  // namespace
}  // namespace eve
