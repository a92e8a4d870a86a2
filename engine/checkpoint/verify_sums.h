// Whether the bytes of the file are those that were committed, by the sums that
// slots and accounting carry (P15).
//
// Threads:    any.
// Processes:  any, if what is asked about is protected meanwhile.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     kDataLoss, with offsets; kUnavailable of what the device cannot
//             read (from Linux 5.14 on; before, that is SIGBUS).
// Cost:       reads what is asked about, and hashes it.
#ifndef EVE_ENGINE_CHECKPOINT_VERIFY_SUMS_H_
#define EVE_ENGINE_CHECKPOINT_VERIFY_SUMS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "engine/file/block_view.h"
#include "engine/format/accounting_row.h"
#include "engine/format/commit_slot.h"

namespace eve {

// All that the slot was flushed with.
absl::Status VerifyExtents(const BlockView& view, uint64_t salt,
                           const CommitSlot& slot);

// What `rows` say of each segment beyond `before`, the rows of version
// `before_version`.
absl::Status VerifyRowsSince(const BlockView& view, uint64_t salt,
                             const std::vector<AccountingRow>& before,
                             uint64_t before_version,
                             const std::vector<AccountingRow>& rows);

}  // namespace eve

#endif  // EVE_ENGINE_CHECKPOINT_VERIFY_SUMS_H_
