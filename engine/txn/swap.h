// RunSwap: pin, run the closure, publish by compare-and-swap, or start over.
//
// Threads:    one at a time per writer.
// Processes:  of those that compete, one always publishes; nobody can hold up
//             the others for longer than the bound of WritersTurn.
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
#include "engine/txn/contender.h"
#include "engine/txn/core.h"
#include "engine/txn/transaction_impl.h"
#include "eve/options.h"

namespace eve::internal {

// Work that rides along with somebody's transaction (P11): moves of blocks of
// the collections that its closure has written, so that no conflict comes of it
// that the closure's own writes would not have met.
class Rider {
 public:
  virtual ~Rider() = default;
  // A run is about to begin: says what it may move beside its writes.
  virtual void Begin(TransactionImpl& transaction) = 0;
  // The closure has run and its writes are applied. After an error the run is
  // thrown away and the closure runs again, without the rider.
  virtual absl::Status Board(TransactionImpl& transaction) = 0;
  // Whether the present run carries anything of the rider's, so that its error
  // may come of that.
  virtual bool has_work() const = 0;
  // The run that was begun is over.
  virtual void Alight(bool published) = 0;
};

struct SwapResult {
  Commit commit;
  bool published = false;
  bool left_graveyard = false;  // blocks to retire in slices
  uint64_t unfolded = 0;  // commits that the accounting does not cover yet
};

absl::StatusOr<SwapResult> RunSwap(
    TransactionImpl& transaction,
    absl::FunctionRef<absl::Status(TransactionImpl&)> fn,
    const SwapOptions& options, Rider* rider = nullptr,
    Manners manners = Manners::kGiveWay);

}  // namespace eve::internal

#endif  // EVE_ENGINE_TXN_SWAP_H_
