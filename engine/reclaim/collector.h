// Collector: gives segments back that nobody can see any more.
//
// One pass, in the order that P5 and P6 demand:
//   1 take over the claims of dead processes, so that they can be judged;
//   2 read the state words of all segments;
//   3 pin the root and compute the accounting, exactly;
//   4 release what was taken over, now that its committed fill is known;
//   5 read pending[], then durable[]; scan pins; read pending[] and durable[]
//     again;
//   6 free by the reuse rule, each by a compare-and-swap on the word of 2.
// Death at any point leaves claims of a dead owner, which the next pass of any
// process takes over.
//
// Threads:    one pass at a time per Collector.
// Processes:  any number at once.
// Owns:       the memory of range pins met (P1).
// Lifetime:   shorter than the core's.
// Errors:     kDataLoss from accounting that does not add up: nothing is freed.
// Cost:       O(segments + unfolded commits); one fcntl per suspect process.
#ifndef EVE_ENGINE_RECLAIM_COLLECTOR_H_
#define EVE_ENGINE_RECLAIM_COLLECTOR_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/epoch/reader_cells.h"
#include "engine/reclaim/victims.h"
#include "engine/txn/core.h"

namespace eve {

class Collector {
 public:
  // Called before the scan of the pins and after it.
  using ReadDurable = std::function<DurableSet()>;

  // Which segments cannot be emptied, as far as it is known (SegmentSurvey).
  using KnownFixed =
      std::function<std::vector<bool>(const std::vector<AccountingRow>& rows)>;

  Collector(Core* core, ReadDurable read_durable,
            KnownFixed known_fixed = nullptr)
      : core_(core),
        read_durable_(std::move(read_durable)),
        known_fixed_(std::move(known_fixed)) {}

  // Returns how many segments became free.
  absl::StatusOr<uint64_t> FreeSegments();
  // What the last pass without an error judged by, and made of it.
  const SegmentSurvey& survey() const { return survey_; }
  // Whether that met range pins for the first time. The next call revokes what
  // is left of them (P1).
  bool met_range_pins() const { return !range_pins_.seen.empty(); }

 private:
  void TakeOverDeadClaims();
  // The newest version of some seconds ago; 0: not known yet.
  uint64_t VersionOfLongAgo(uint64_t version);

  Core* core_;
  ReadDurable read_durable_;
  KnownFixed known_fixed_;
  RangePinMemory range_pins_;
  std::vector<uint32_t> taken_;  // taken over, not yet released
  SegmentSurvey survey_;
  struct Moment {
    uint64_t nanos;
    uint64_t version;
  };
  std::deque<Moment> history_;
};

// The committed fill of a segment that the caller has claimed from the sealed
// state, if it may be written behind (see SegmentSource::committed_fill).
std::optional<uint32_t> CommittedFill(Core& core, uint32_t segment);

// Unowned segments that are worth going on with, best first at the back.
absl::StatusOr<std::vector<uint32_t>> FindHalfFull(Core& core);

}  // namespace eve

#endif  // EVE_ENGINE_RECLAIM_COLLECTOR_H_
