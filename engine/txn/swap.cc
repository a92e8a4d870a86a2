#include "engine/txn/swap.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "util/backoff.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve::internal {
namespace {

absl::Status CheckDeadline(const SwapOptions& options, int attempts) {
  if (options.deadline != absl::InfiniteFuture() &&
      absl::Now() >= options.deadline) {
    return absl::DeadlineExceededError(
        absl::StrCat("deadline passed after ", attempts, " attempts"));
  }
  return absl::OkStatus();
}

absl::Status CheckLimits(const SwapOptions& options, int attempts) {
  if (options.max_attempts > 0 && attempts >= options.max_attempts) {
    return absl::AbortedError(
        absl::StrCat("other writers won all ", attempts,
                     " attempts; raise SwapOptions::max_attempts"));
  }
  return CheckDeadline(options, attempts);
}

enum class Outcome { kPublished, kConflict };

// Publishes a prepared run on `base`, restamping as long as the winners change
// nothing that it read.
absl::StatusOr<Outcome> Publish(TransactionImpl& transaction,
                                const SwapOptions& options, Backoff& backoff,
                                SwapResult& result) {
  Core& core = transaction.core();
  PinnedRoot winner;  // a second cell: the base stays pinned as well (P3)
  while (true) {
    const PinnedRoot& newest = winner.is_pinned() ? winner : transaction.base();
    EVE_ASSIGN_OR_RETURN(const Offset record, transaction.Stamp(newest));
    const uint64_t version = newest.version() + 1;
    const uint64_t folded = newest.record().folded_version;
    EVE_STEP("commit.before_cas");
    if (core.root->TryPublish(newest.offset(), record)) {
      EVE_STEP("commit.after_cas");
      result.commit.version = version;
      result.unfolded = version - folded;
      return Outcome::kPublished;
    }
    EVE_STEP("commit.lost");
    EVE_ASSIGN_OR_RETURN(
        PinnedRoot next,
        PinnedRoot::PinNewest(*core.root, core.cells.get(), core.view));
    EVE_ASSIGN_OR_RETURN(const bool conflict,
                         transaction.ConflictsWith(next.record()));
    if (conflict) return Outcome::kConflict;
    CountInSlot(core.slots->own().restamps);
    EVE_RETURN_IF_ERROR(CheckDeadline(options, result.commit.attempts));
    transaction.attempt().RewindToData();
    backoff.Wait();
    winner = std::move(next);
  }
}

}  // namespace

absl::StatusOr<SwapResult> RunSwap(
    TransactionImpl& transaction,
    absl::FunctionRef<absl::Status(TransactionImpl&)> fn,
    const SwapOptions& options) {
  Core& core = transaction.core();
  Backoff backoff(MonotonicNanos() ^ core.slots->index());
  SwapResult result;
  for (int attempt = 1;; ++attempt) {
    EVE_ASSIGN_OR_RETURN(
        PinnedRoot base,
        PinnedRoot::PinNewest(*core.root, core.cells.get(), core.view));
    result.commit.attempts = attempt;
    result.commit.version = base.version();
    transaction.Begin(std::move(base), attempt);
    absl::Status status = fn(transaction);
    absl::StatusOr<bool> changed = false;
    if (!transaction.status().ok()) {
      status = transaction.status();
    } else if (status.ok()) {
      changed = transaction.Prepare();
      status = changed.status();
    }
    if (!status.ok() || !*changed) {
      transaction.Finish(/*committed=*/false);
      if (!status.ok()) return status;
      return result;
    }
    const bool left_graveyard = transaction.leaves_graveyard();
    absl::StatusOr<Outcome> outcome =
        Publish(transaction, options, backoff, result);
    if (outcome.ok() && *outcome == Outcome::kPublished) {
      CountInSlot(core.slots->own().commits);
      CountInSlot(core.slots->own().bytes_committed,
                  transaction.attempt().bytes_written());
      transaction.Finish(/*committed=*/true);
      result.published = true;
      result.left_graveyard = left_graveyard;
      return result;
    }
    transaction.Finish(/*committed=*/false);
    if (!outcome.ok()) return outcome.status();
    CountInSlot(core.slots->own().conflicts);
    EVE_RETURN_IF_ERROR(CheckLimits(options, attempt));
    backoff.Wait();
  }
}

}  // namespace eve::internal

namespace eve {

uint64_t Transaction::base_version() const { return impl_->base().version(); }

int Transaction::attempt() const { return impl_->attempt_number(); }

absl::StatusOr<eve::Savepoint> Transaction::Savepoint() {
  return impl_->Save();
}

absl::Status Transaction::RollBackTo(const eve::Savepoint& savepoint) {
  return impl_->RollBackTo(savepoint);
}

}  // namespace eve
