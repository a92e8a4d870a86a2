// RunSwap: pin, run the closure, publish by compare-and-swap, or start over.
//
// Threads:    one at a time per writer.
// Processes:  lock-free: of those that compete, one always publishes.
// Owns:       nothing after it returns.
// Lifetime:   none.
// Errors:     the closure's; kAborted, kDeadlineExceeded by SwapOptions;
//             kResourceExhausted.
// Cost:       without contention: one pin, one closure, one checksum pass, one
//             compare-and-swap.
#ifndef EVE_ENGINE_TXN_SWAP_H_
#define EVE_ENGINE_TXN_SWAP_H_

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "engine/txn/core.h"
#include "engine/txn/transaction_impl.h"
#include "eve/options.h"

namespace eve::internal {

struct SwapResult {
  Commit commit;
  bool published = false;
  bool left_graveyard = false;  // blocks to retire in slices
  uint64_t unfolded = 0;  // commits that the accounting does not cover yet
};

absl::StatusOr<SwapResult> RunSwap(
    TransactionImpl& transaction,
    absl::FunctionRef<absl::Status(TransactionImpl&)> fn,
    const SwapOptions& options);

}  // namespace eve::internal

#endif  // EVE_ENGINE_TXN_SWAP_H_
