// DirtyExtents: what was written since the newest durable version, as a commit
// slot lists it that goes to disk under the same flush as its data (P19).
//
// Only segments with something live at the root count: a dead one may be
// reused at any time, and its bytes would no longer add up. Which those are is
// kept up to date record by record, so that a commit costs what it wrote.
//
// Threads:    any; one at a time works.
// Processes:  reads published records only.
// Owns:       a copy of the accounting, as of the root it was last asked for.
// Lifetime:   shorter than the core's.
// Errors:     nothing instead of a list: take two flushes.
// Cost:       a checksum of each record since the durable version; after a fold
//             that covers the copy, a pass over the accounting.
#ifndef EVE_ENGINE_CHECKPOINT_DIRTY_EXTENTS_H_
#define EVE_ENGINE_CHECKPOINT_DIRTY_EXTENTS_H_

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "engine/format/accounting_row.h"
#include "engine/format/commit_slot.h"
#include "engine/root/accounting.h"
#include "engine/root/pinned_root.h"
#include "engine/txn/core.h"

namespace eve {

class DirtyExtents {
 public:
  // Recovery reads what a slot lists: a bound on that, and the size from which
  // one flush less is not worth it.
  static constexpr uint64_t kBytesMax = 16 << 20;
  // Records that are worth walking.
  static constexpr uint64_t kRecordsMax = 1024;

  explicit DirtyExtents(const Core* core) : core_(core) {}

  // What (durable, root] wrote. Nothing: too much, or a fold has covered what
  // lies between, or something could not be read.
  std::optional<std::vector<CommitExtent>> Collect(const PinnedRoot& root,
                                                   uint64_t durable);

 private:
  // The records (`after`, root's], oldest first.
  absl::Status ReadRecords(const PinnedRoot& root, uint64_t after);
  absl::Status UpdateRows(const PinnedRoot& root);
  absl::Status CollectFrom(uint64_t durable, std::vector<CommitExtent>& list);

  const Core* core_;
  std::mutex mutex_;
  uint64_t version_ = 0;  // that rows_ are exact for; 0: none
  std::vector<AccountingRow> rows_;
  std::vector<ChainRecord> records_;
};

}  // namespace eve

#endif  // EVE_ENGINE_CHECKPOINT_DIRTY_EXTENTS_H_
