// LargeValues: segments that a living value keeps from being emptied.
//
// A value above kRunThresholdBytes begins a segment, and would take one of its
// own again wherever it went: what is dead beside it stays until it dies. Of
// such a segment that is learnt when it is about to be chosen as a victim,
// since it takes a look into it, and known until something in it dies or it is
// filled anew.
//
// Threads:    any.
// Processes:  this one's memory.
// Owns:       nothing of the file.
// Lifetime:   that of its compactor.
// Errors:     where it cannot tell it says no.
// Cost:       Keeps(): a header and a walk down, the first time.
#ifndef EVE_ENGINE_RECLAIM_LARGE_VALUES_H_
#define EVE_ENGINE_RECLAIM_LARGE_VALUES_H_

#include <cstdint>
#include <mutex>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/format/accounting_row.h"
#include "engine/reclaim/victims.h"
#include "engine/txn/catalog.h"
#include "engine/txn/core.h"

namespace eve {

class LargeValues {
 public:
  explicit LargeValues(Core* core) : core_(core) {}

  // REQUIRES: the segment is claimed by this process.
  bool Keeps(const Victim& victim);
  // By segment, those of which it is known; looks into none.
  std::vector<bool> Known(const std::vector<AccountingRow>& rows);

 private:
  struct Found {
    uint64_t birth;
    uint32_t live_units;
  };
  bool Look(const Victim& victim);

  Core* core_;
  CollectionNames names_;
  std::mutex mutex_;
  absl::flat_hash_map<uint32_t, Found> kept_;  // by segment
};

}  // namespace eve

#endif  // EVE_ENGINE_RECLAIM_LARGE_VALUES_H_
