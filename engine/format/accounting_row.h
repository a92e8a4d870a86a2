// The accounting vector: one row a segment, in a 32-way radix tree.
//
// Threads:    immutable once published.
// Processes:  rebuilt by path copying in each fold.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       40 bytes for each 2 MiB of data.
#ifndef EVE_ENGINE_FORMAT_ACCOUNTING_ROW_H_
#define EVE_ENGINE_FORMAT_ACCOUNTING_ROW_H_

#include <cstdint>

#include "engine/format/block.h"
#include "engine/format/layout.h"
#include "engine/format/offset.h"

namespace eve {

// PERSISTED. A row with fill_units 0 and run_index 0 belongs to a segment
// that no commit has written to.
struct AccountingRow {
  uint64_t birth;       //  0..7   lowest version that may have written here
  uint64_t death;       //  8..15  highest version that retired something here
  uint64_t sum;         // 16..23  wrapping sum of BlockHash over [start, fill)
  uint32_t fill_units;  // 24..27  end of the last block; a run's whole length
  uint32_t live_units;  // 28..31
  uint32_t run_index;   // 32..35  k > 0: k-th continuation of a run
  uint32_t run_length;  // 36..39  segments of the run; 1: an ordinary segment

  friend bool operator==(const AccountingRow&, const AccountingRow&) = default;
};
EVE_LAYOUT(AccountingRow, /*size=*/40, /*align=*/8);

inline constexpr uint32_t kAccountingFanout = 32;

// PERSISTED.
struct AccountingLeaf {
  BlockHeader header;      //  0..15  type kAccountingLeaf, depth 0
  uint64_t first_segment;  // 16..23
  uint64_t reserved;       // 24..31  zero
  AccountingRow rows[kAccountingFanout];
};
EVE_LAYOUT(AccountingLeaf, /*size=*/1312, /*align=*/8);

// PERSISTED. header.depth is the height above the leaves, so a root's height
// says how many rows its tree can hold.
struct AccountingNode {
  BlockHeader header;  //  0..15  type kAccountingNode
  uint64_t first_segment;
  uint64_t reserved;
  Offset children[kAccountingFanout];
};
EVE_LAYOUT(AccountingNode, /*size=*/288, /*align=*/8);

inline constexpr uint32_t kAccountingHeightMax = 6;

}  // namespace eve

#endif  // EVE_ENGINE_FORMAT_ACCOUNTING_ROW_H_
