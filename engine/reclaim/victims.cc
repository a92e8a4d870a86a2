#include "engine/reclaim/victims.h"

#include <algorithm>
#include <utility>

namespace eve {
namespace {

// Whether a reader sees what the segment held at its version: emptying it would
// free nothing before that reader goes.
bool IsPinned(const AccountingRow& row, const std::vector<uint64_t>& pins) {
  const uint64_t end = row.live_units > 0 ? UINT64_MAX : row.death;
  const auto first = std::lower_bound(pins.begin(), pins.end(), row.birth);
  return first != pins.end() && *first < end;
}

bool IsKept(const SegmentSurvey& survey, const AccountingRow& row,
            Keepers keepers) {
  return IsPinned(row, survey.long_pins) ||
         (keepers == Keepers::kLongDurableToo &&
          IsPinned(row, survey.long_durable));
}

// Not full, but what was written lives: moving it gains nothing, unless there
// are several of them.
constexpr int kDenseLeftAlone = 4;
bool IsDense(const AccountingRow& row, double share) {
  return row.live_units >= row.fill_units * share;
}

// At rest: what is worth moving, and how much in one go.
constexpr double kRestShare = 0.92;
constexpr uint64_t kRestBytes = 16 << 20;
constexpr uint64_t kRestSlackBytes = 4 * kSegmentBytes;

uint64_t DeadPinned(const SpaceUse& use) {
  return use.pinned_bytes - use.pinned_live_bytes;
}

double WorthOf(const AccountingRow& row, uint64_t version) {
  const double share =
      static_cast<double>(row.live_units) / static_cast<double>(kSegmentUnits);
  const double age = static_cast<double>(version - row.birth + 1);
  return (1 - share) * age / (1 + share);
}

}  // namespace

void SegmentSurvey::SetLongPins(uint64_t version) {
  const std::vector<uint64_t>& exact = protectors.pins.exact;
  long_pins.assign(exact.begin(),
                   std::lower_bound(exact.begin(), exact.end(), version));
}

void SegmentSurvey::SetLongDurable(uint64_t version) {
  const std::vector<uint64_t>& durable = protectors.durable;
  long_durable.assign(
      durable.begin(),
      std::upper_bound(durable.begin(), durable.end(), version));
}

SpaceUse MeasureSpace(const SegmentSurvey& survey, Keepers keepers) {
  SpaceUse use;
  for (uint64_t i = 0; i < survey.words.size(); ++i) {
    const SegmentWord word = survey.words[i];
    if (word.is_free()) {
      if (word.backing() != Backing::kHole) use.free_bytes += kSegmentBytes;
      continue;
    }
    const AccountingRow& row = survey.row(i);
    const uint64_t live = row.live_units * kUnitBytes;
    use.used_bytes += kSegmentBytes;
    use.live_bytes += live;
    if (row.fill_units > 0 && IsKept(survey, row, keepers)) {
      use.pinned_bytes += kSegmentBytes;
      use.pinned_live_bytes += live;
    } else if (row.fill_units > 0 && live == 0 &&
               survey.words[i].state() == SegmentState::kSealed &&
               !MayReuse(row, survey.protectors)) {
      use.held_bytes += kSegmentBytes;
      if (IsDurablyHeld(row, survey.protectors)) {
        use.durable_held_bytes += kSegmentBytes;
      }
    } else if (survey.IsFixed(i)) {
      use.fixed_bytes += kSegmentBytes;
      use.fixed_live_bytes += live;
    }
  }
  return use;
}

bool HoldMoreThanLives(const SegmentSurvey& survey) {
  const SpaceUse use = MeasureSpace(survey);
  // With what is dead in segments that are left alone for their sake.
  const uint64_t kept =
      DeadPinned(MeasureSpace(survey, Keepers::kLongDurableToo)) -
      DeadPinned(use);
  return std::max(kept, use.durable_held_bytes) >
         std::max(kHeldBytesMin, use.live_bytes + use.live_bytes / 2);
}

RestPlan PlanRest(SegmentSurvey* survey, bool may_go_on) {
  if (may_go_on) survey->SetLongDurable(UINT64_MAX);
  RestPlan plan;
  plan.may_advance = !may_go_on;
  plan.goal.keepers = may_go_on ? Keepers::kLongDurableToo : Keepers::kLongPins;
  plan.goal.share_max = kRestShare;
  plan.goal.live_bytes_max = kRestBytes;
  plan.use = MeasureSpace(*survey, plan.goal.keepers);
  const SpaceUse& use = plan.use;
  plan.is_loose =
      use.movable_bytes() > use.movable_live_bytes() + kRestSlackBytes &&
      use.share() < kRestShare;
  return plan;
}

uint64_t UsedEnd(const SegmentSurvey& survey) {
  uint64_t end = survey.words.size();
  while (end > 0 && survey.words[end - 1].state() == SegmentState::kFree) --end;
  return end;
}

std::vector<Victim> ChooseVictims(const SegmentSurvey& survey,
                                  const VictimGoal& goal,
                                  absl::FunctionRef<bool(const Victim&)> take) {
  std::vector<std::pair<double, uint32_t>> ranked;
  int dense = 0;
  const uint64_t end = std::min(survey.words.size(), survey.rows.size());
  for (uint32_t i = 0; i < end; ++i) {
    const AccountingRow& row = survey.rows[i];
    if (survey.words[i].state() != SegmentState::kSealed ||
        row.live_units == 0 || row.run_length != 1 || survey.IsFixed(i) ||
        IsKept(survey, row, goal.keepers)) {
      continue;
    }
    const bool must_go = i >= goal.empty_from;
    const double share = static_cast<double>(row.live_units) / kSegmentUnits;
    if (!must_go && share > goal.share_max) continue;
    if (!must_go && IsDense(row, goal.share_max) &&
        ++dense <= kDenseLeftAlone) {
      continue;
    }
    ranked.emplace_back(WorthOf(row, survey.version) + (must_go ? 1e18 : 0), i);
  }
  std::sort(ranked.rbegin(), ranked.rend());
  std::vector<Victim> victims;
  uint64_t bytes = 0;
  for (const auto& [worth, segment] : ranked) {
    const AccountingRow& row = survey.rows[segment];
    bytes += row.live_units * kUnitBytes;
    if (victims.size() == goal.count_max ||
        (bytes > goal.live_bytes_max && !victims.empty())) {
      break;
    }
    const Victim victim{segment, row.live_units, row.fill_units, row.birth};
    if (take(victim)) {
      victims.push_back(victim);
    } else {
      // Not counted, or such would keep all others out for ever.
      bytes -= row.live_units * kUnitBytes;
    }
  }
  return victims;
}

std::vector<Victim> ByLeastLive(const SegmentSurvey& survey, double share_max) {
  std::vector<Victim> victims;
  const uint64_t end = std::min(survey.words.size(), survey.rows.size());
  for (uint32_t i = 0; i < end; ++i) {
    const AccountingRow& row = survey.rows[i];
    if (survey.words[i].state() != SegmentState::kSealed ||
        row.live_units == 0 || row.run_length != 1 ||
        row.live_units > kSegmentUnits * share_max || survey.IsFixed(i) ||
        IsPinned(row, survey.long_pins)) {
      continue;
    }
    victims.push_back(Victim{i, row.live_units, row.fill_units, row.birth});
  }
  std::sort(victims.begin(), victims.end(),
            [](const Victim& a, const Victim& b) {
              return a.live_units < b.live_units;
            });
  return victims;
}

}  // namespace eve
