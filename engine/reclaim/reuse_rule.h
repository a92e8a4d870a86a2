// The reuse rule: the one place that decides whether a segment may be reused.
//
// An unowned segment without live bytes, born at `birth` and last retired from
// at `death`, may be reused iff
//   no exact pin p has birth <= p < death,
//   no range pin has lo < death, and
//   no durable candidate has a version in [birth, death).
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
  // Newest, second and all pending, of before and after the scan of the pins;
  // sorted.
  std::vector<uint64_t> durable;
};

bool MayReuse(const AccountingRow& row, const Protectors& protectors);

// Whether a durable candidate alone would keep it.
bool IsDurablyHeld(const AccountingRow& row, const Protectors& protectors);

}  // namespace eve

#endif  // EVE_ENGINE_RECLAIM_REUSE_RULE_H_
