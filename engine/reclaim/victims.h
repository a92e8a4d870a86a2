// Which segments are worth emptying, and how urgent that is.
//
// A victim's worth is that of log-structured file systems: the space it gives,
// times the age of what is left in it, over the cost of reading and moving
// that. (M. Rosenblum and J. Ousterhout, "The Design and Implementation of a
// Log-Structured File System", 1992, section 3.5.) Age keeps a compactor from
// moving what is about to die by itself: the nodes of the newest commits.
//
// Threads:    pure functions.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       O(segments).
#ifndef EVE_ENGINE_RECLAIM_VICTIMS_H_
#define EVE_ENGINE_RECLAIM_VICTIMS_H_

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "engine/alloc/segment_table.h"
#include "engine/format/accounting_row.h"
#include "engine/reclaim/reuse_rule.h"

namespace eve {

// Dead space that only durable roots keep, before they are made to move on.
inline constexpr uint64_t kHeldBytesMin = 16 << 20;

// What one collector pass found out; vectors are indexed by segment.
struct SegmentSurvey {
  std::vector<SegmentWord> words;
  std::vector<AccountingRow> rows;
  Protectors protectors;
  // Exact pins on versions that were passed seconds ago: emptying what they see
  // frees nothing until they go. Of others it is likely that they go soon.
  std::vector<uint64_t> long_pins;
  // Durable candidates that have stayed for as long. Others are likely to be
  // followed by newer ones soon.
  std::vector<uint64_t> long_durable;
  // Segments that cannot be emptied, as far as it is known: a large value keeps
  // them (large_values.h). Shorter than `rows` where the rest is not.
  std::vector<bool> fixed;
  uint64_t version = 0;  // of the root that the rows are of

  // Takes exact pins on versions below `version` for long ones.
  void SetLongPins(uint64_t version);
  // Takes durable candidates up to `version` for long ones: nothing need have
  // been committed since.
  void SetLongDurable(uint64_t version);
  const AccountingRow& row(uint64_t segment) const {
    static constexpr AccountingRow kNone{};
    return segment < rows.size() ? rows[segment] : kNone;
  }
  bool IsFixed(uint64_t segment) const {
    return segment < fixed.size() && fixed[segment];
  }
};

// For whose sake emptying a segment frees nothing.
enum class Keepers : uint8_t {
  kLongPins,
  // And durable roots that have stayed for long.
  kLongDurableToo,
};

struct SpaceUse {
  uint64_t live_bytes = 0;
  uint64_t used_bytes = 0;    // segments that are not free
  uint64_t pinned_bytes = 0;  // of them: a keeper keeps them from reuse
  uint64_t held_bytes = 0;    // dead, and not to be reused yet
  // Of them, what durable roots and pending checkpoints keep, whoever else
  // does: a newer checkpoint would free it, if nobody does.
  uint64_t durable_held_bytes = 0;
  uint64_t pinned_live_bytes = 0;  // alive, in segments that are pinned
  uint64_t free_bytes = 0;         // free segments that are no known holes
  uint64_t fixed_bytes = 0;        // segments that stay, and what lives there
  uint64_t fixed_live_bytes = 0;

  // Segments that moving blocks could free, and what lives there.
  uint64_t movable_bytes() const {
    return used_bytes - pinned_bytes - held_bytes - fixed_bytes;
  }
  uint64_t movable_live_bytes() const {
    return live_bytes - pinned_live_bytes - fixed_live_bytes;
  }
  double share() const {
    return movable_bytes() == 0 ? 1
                                : static_cast<double>(movable_live_bytes()) /
                                      static_cast<double>(movable_bytes());
  }
};

SpaceUse MeasureSpace(const SegmentSurvey& survey,
                      Keepers keepers = Keepers::kLongPins);

// Whether durable roots keep so much that is dead that a busy domain should
// move on to newer ones. While writers are busy those soon keep as much as
// lives, and so do the ones before: moving on gains space only above that.
bool HoldMoreThanLives(const SegmentSurvey& survey);

// One past the last segment that is not free.
uint64_t UsedEnd(const SegmentSurvey& survey);

struct Victim {
  uint32_t segment = 0;
  uint32_t live_units = 0;
  uint32_t fill_units = 0;
  uint64_t birth = 0;
};

struct VictimGoal {
  // Segments with a larger share than this of live bytes are left alone.
  double share_max = 0.8;
  // What may be moved in all.
  uint64_t live_bytes_max = 0;
  size_t count_max = 0;
  // Segments from here on are to be emptied whatever they hold, so that the
  // end of the file can be given back.
  uint64_t empty_from = UINT64_MAX;
  Keepers keepers = Keepers::kLongPins;
};

// What a domain at rest has to do.
struct RestPlan {
  SpaceUse use;
  bool is_loose = false;     // so that victims are worth it
  bool may_advance = false;  // durable roots, if they keep much
  VictimGoal goal;
};
// Who goes on soon would have to leave alone all that lives now, and grow the
// file, if durable roots moved on: while that may be (`may_go_on`), what they
// keep is left alone, and the survey says so too.
RestPlan PlanRest(SegmentSurvey* survey, bool may_go_on);

// Sealed segments that no keeper keeps from reuse, the best first, of those of
// which `take` says that they were to be had. Runs of more than one are never
// among them: they die whole.
std::vector<Victim> ChooseVictims(const SegmentSurvey& survey,
                                  const VictimGoal& goal,
                                  absl::FunctionRef<bool(const Victim&)> take);

// Sealed segments that no long pin keeps from reuse, with a live share of at
// most `share_max`, those in which least lives first: they cost least space to
// empty, and give most.
std::vector<Victim> ByLeastLive(const SegmentSurvey& survey, double share_max);

}  // namespace eve

#endif  // EVE_ENGINE_RECLAIM_VICTIMS_H_
