// Holders: who keeps dead segments from being reused, and how many bytes.
//
// A segment without live bytes is held by the exact pins p and the durable
// candidates with birth <= p < death, as in reuse_rule.h. Not counted are dead
// blocks in segments that still hold live ones: no pin is to blame for these
// alone. The bytes of a segment are those written to it.
//
// A range pin is a reader between two steps of pinning. It holds what dies
// after its lower end, but only until a collector has met it twice (P1): its
// bytes are told, and count neither for the sums nor against what others hold
// alone.
//
// These are figures, not decisions: what is read here is read in no particular
// order (P6 is for those who free), so a pin that came or went meanwhile may be
// wrong by what it holds.
//
// Threads:    any.
// Processes:  same rules everywhere.
// Owns:       nothing.
// Lifetime:   a Survey is a copy; it pins nothing.
// Errors:     as ReadExactRows.
// Cost:       O(segments + unfolded commits + pins log pins).
#ifndef EVE_ENGINE_RECLAIM_HOLDERS_H_
#define EVE_ENGINE_RECLAIM_HOLDERS_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/alloc/segment_table.h"
#include "engine/epoch/attached.h"
#include "engine/format/accounting_row.h"
#include "engine/format/commit_record.h"
#include "engine/txn/core.h"

namespace eve {

struct PinHolding {
  uint64_t held_bytes = 0;   // with others
  uint64_t alone_bytes = 0;  // what no other pin and no durable root holds
};

struct Holdings {
  // Parallel to the processes and their pins.
  std::vector<std::vector<PinHolding>> pins;
  // What the pins of one process hold, and nobody else.
  std::vector<uint64_t> alone_bytes;

  uint64_t pinned_bytes = 0;        // by at least one reader
  uint64_t durable_held_bytes = 0;  // by durable roots and no reader
  uint64_t loose_bytes = 0;         // by nobody: the next pass frees it
};

// `dead` are rows without live bytes, `durable` is sorted. An unpinned reader
// holds all of it (P25).
Holdings WhoHolds(const std::vector<AccountingRow>& dead,
                  const std::vector<AttachedProcess>& processes,
                  const std::vector<uint64_t>& durable,
                  bool has_unpinned_reader);

// All that figures about space are made of.
struct Survey {
  CommitRecord record{};  // the newest commit, without what follows it
  std::vector<AccountingRow> rows;
  bool is_frozen = false;  // nobody is attached
  // Empty then: nothing is free, claimed or sealed.
  std::vector<SegmentWord> words;
  std::vector<AttachedProcess> processes;
  SlotCounters counters;
  bool has_unpinned_reader = false;  // another one
  bool is_unpinned_reader = false;   // this process
  Holdings holdings;

  // Unowned, written, and nothing in it is live.
  bool IsDead(uint32_t segment) const;
};

// `read_durable` returns what a power failure may bring back, sorted.
absl::StatusOr<Survey> TakeSurvey(
    Core& core, const std::function<std::vector<uint64_t>()>& read_durable);

}  // namespace eve

#endif  // EVE_ENGINE_RECLAIM_HOLDERS_H_
