// The reuse rule: the one place that decides whether a segment may be reused.
//
// An unowned segment without live bytes, born at `birth` and last retired from
// at `death`, may be reused iff
//   no exact pin p has birth <= p < death,
//   no range pin has lo < death, and
//   no durable candidate has a version in [birth, death), nor one that may have
//   been missed.
// So a pin at 100 does not keep what was born at 200 and died at 300.
//
// Threads:    pure function.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       O(log pins).
#ifndef EVE_ENGINE_RECLAIM_REUSE_RULE_H_
#define EVE_ENGINE_RECLAIM_REUSE_RULE_H_

#include <cstdint>
#include <vector>

#include "engine/epoch/reader_cells.h"
#include "engine/format/accounting_row.h"

namespace eve {

// What a collector gathered, in the order of P6.
struct Protectors {
  PinSet pins;
  // Of before and after the scan of the pins; sorted.
  std::vector<uint64_t> durable;
  // A version in between, both excluded, may have been one of the two newest
  // durable ones between the two reads, and pinned behind the scan.
  uint64_t missed_above = 0;
  uint64_t missed_below = 0;
};

// What a power failure may bring back.
struct DurableSet {
  std::vector<uint64_t> versions;  // newest, second and all pending; sorted
  uint64_t second = 0;             // newest durable version but one
};

// `before` and `after` the scan of `pins`.
Protectors Combine(const DurableSet& before, PinSet pins,
                   const DurableSet& after);

bool MayReuse(const AccountingRow& row, const Protectors& protectors);

// Whether a durable candidate alone would keep it.
bool IsDurablyHeld(const AccountingRow& row, const Protectors& protectors);

}  // namespace eve

#endif  // EVE_ENGINE_RECLAIM_REUSE_RULE_H_
