// Transaction: what a swap closure reads and writes through.
//
// The closure sees one version of the domain and its own writes on top. It may
// run several times: keep it free of effects outside the transaction.
//
// Threads:    the closure's thread only.
// Processes:  nothing is seen by others until Swap has published it.
// Owns:       nothing that outlives the closure.
// Lifetime:   views read through it die when the closure returns, and before
//             that with the next write to the same collection, or RollBackTo():
//             other bytes may be written there. That write itself may be given
//             them: it means what they show when it is called.
// Errors:     a failed write makes the whole Swap fail.
// Cost:       a write copies the path it changes.
#ifndef EVE_TRANSACTION_H_
#define EVE_TRANSACTION_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"

namespace eve {

namespace internal {
class TransactionImpl;
}  // namespace internal

// A point in a transaction, for RollBackTo.
class Savepoint {
 public:
  explicit Savepoint(size_t index, uint64_t serial)
      : index_(index), serial_(serial) {}

 private:
  friend class internal::TransactionImpl;
  size_t index_;
  uint64_t serial_;
};

class Transaction {
 public:
  explicit Transaction(internal::TransactionImpl* impl) : impl_(impl) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // The version that the closure reads.
  uint64_t base_version() const;
  // 1 in the first run of the closure.
  int attempt() const;

  // Marks the present state of all collections. Nearly free: a private root.
  absl::StatusOr<eve::Savepoint> Savepoint();
  // Undoes all writes since `savepoint`, which stays usable; later savepoints
  // do not. kInvalidArgument: of another run, or undone itself.
  absl::Status RollBackTo(const eve::Savepoint& savepoint);

  internal::TransactionImpl& impl() { return *impl_; }

 private:
  internal::TransactionImpl* impl_;
};

}  // namespace eve

#endif  // EVE_TRANSACTION_H_
