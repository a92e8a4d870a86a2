#include "engine/txn/swap.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve::internal {
namespace {

absl::Status CheckAttempts(const SwapOptions& options, int attempts) {
  if (options.max_attempts > 0 && attempts >= options.max_attempts) {
    return absl::AbortedError(
        absl::StrCat("other writers won all ", attempts,
                     " attempts; raise SwapOptions::max_attempts"));
  }
  return absl::OkStatus();
}

enum class Outcome { kPublished, kConflict, kNothing };

constexpr int kAttemptsWithRider = 2;
constexpr int kTimesOffMax = 2;

// A rider's part of one run.
class Boarding {
 public:
  Boarding(Rider* rider, TransactionImpl& transaction) : rider_(rider) {
    if (rider_ != nullptr) rider_->Begin(transaction);
  }
  ~Boarding() { Alight(/*published=*/false); }
  Boarding(const Boarding&) = delete;
  Boarding& operator=(const Boarding&) = delete;

  // Whether an error of the run may be the rider's.
  bool has_work() const {
    return rider_ != nullptr && (has_failed_ || rider_->has_work());
  }
  absl::Status Board(TransactionImpl& transaction) {
    if (rider_ == nullptr) return absl::OkStatus();
    absl::Status status = rider_->Board(transaction);
    has_failed_ = !status.ok();
    return status;
  }
  // The run has lost, and its puts are about to be carried over to another
  // root. So are the rider's moves, a few times: among many writers most
  // commits are carried over, and somebody must pay.
  void GetOff(TransactionImpl& transaction) {
    transaction.side_moves() = SideMoves{};
    if (rider_ == nullptr) return;
    rider_->Alight(/*published=*/false);
    if (++times_off_ > kTimesOffMax || transaction.core().source->is_tight()) {
      rider_ = nullptr;
    } else {
      rider_->Begin(transaction);
    }
  }
  void Abandon() { rider_ = nullptr; }
  void Alight(bool published) {
    if (rider_ != nullptr) rider_->Alight(published);
    rider_ = nullptr;
  }

 private:
  Rider* rider_;  // null: none, or its part is over
  bool has_failed_ = false;
  int times_off_ = 0;
};

// Runs the closure and completes its data. False: there is nothing to publish.
absl::StatusOr<bool> RunClosure(
    TransactionImpl& transaction,
    absl::FunctionRef<absl::Status(TransactionImpl&)> fn, Boarding& boarding) {
  const absl::Status status = fn(transaction);
  EVE_RETURN_IF_ERROR(transaction.core().CheckUsable());
  EVE_RETURN_IF_ERROR(transaction.status());
  if (!status.ok()) {
    // The closure's own, whatever the rider did: it must not run again for it.
    boarding.Alight(/*published=*/false);
    return status;
  }
  EVE_RETURN_IF_ERROR(transaction.Flush());
  EVE_RETURN_IF_ERROR(boarding.Board(transaction));
  return transaction.Prepare();
}

// Publishes a prepared run on `base`, restamping as long as the winners change
// nothing that it read.
absl::StatusOr<Outcome> Publish(TransactionImpl& transaction,
                                Contender& contender, SwapResult& result) {
  Core& core = transaction.core();
  PinnedRoot winner;  // a second cell: the base stays pinned as well (P3)
  while (true) {
    const PinnedRoot& newest = winner.is_pinned() ? winner : transaction.base();
    EVE_ASSIGN_OR_RETURN(const Offset record, transaction.Stamp(newest));
    const uint64_t version = newest.version() + 1;
    const uint64_t folded = newest.record().folded_version;
    EVE_RETURN_IF_ERROR(transaction.attempt().WriteOut());
    EVE_STEP("commit.before_cas");
    // After all that takes time: what is published was so before it.
    EVE_RETURN_IF_ERROR(contender.CheckDeadline());
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
    transaction.attempt().RewindToData();
    contender.LoseRestamp();
    winner = std::move(next);
  }
}

// For a run that has lost to a change of what it has only put to: carries its
// puts over to the newest root, as often as it takes. Its closure would do the
// same again. kConflict: that cannot be done.
absl::StatusOr<Outcome> CarryOver(TransactionImpl& transaction,
                                  Contender& contender, Boarding& boarding,
                                  SwapResult& result) {
  Core& core = transaction.core();
  absl::StatusOr<Outcome> outcome = Outcome::kConflict;
  while (outcome.ok() && *outcome == Outcome::kConflict) {
    bool is_carried = false;
    bool changed = true;
    if (transaction.MayRebase()) {
      contender.LoseRestamp();
      EVE_ASSIGN_OR_RETURN(
          PinnedRoot newest,
          PinnedRoot::PinNewest(*core.root, core.cells.get(), core.view));
      EVE_ASSIGN_OR_RETURN(is_carried, transaction.RebaseOn(newest));
      if (is_carried) EVE_STEP("commit.rebased");
    }
    if (!is_carried) {
      if (!transaction.MayReplay()) return Outcome::kConflict;
      contender.LoseRun();
      EVE_RETURN_IF_ERROR(contender.BeginRun());
      EVE_ASSIGN_OR_RETURN(
          PinnedRoot newest,
          PinnedRoot::PinNewest(*core.root, core.cells.get(), core.view));
      // What it has read may have changed by now.
      EVE_ASSIGN_OR_RETURN(const bool can_replay,
                           transaction.CanReplayOn(newest.record()));
      if (!can_replay) return Outcome::kConflict;
      boarding.GetOff(transaction);
      EVE_RETURN_IF_ERROR(transaction.ReplayOn(std::move(newest)));
      EVE_RETURN_IF_ERROR(boarding.Board(transaction));
      EVE_ASSIGN_OR_RETURN(changed, transaction.Prepare());
      EVE_STEP("commit.replayed");
    }
    CountInSlot(core.region.words().replays);
    result.commit.version = transaction.base().version();
    if (!changed) return Outcome::kNothing;
    outcome = Publish(transaction, contender, result);
  }
  return outcome;
}

}  // namespace

absl::StatusOr<SwapResult> RunSwap(
    TransactionImpl& transaction,
    absl::FunctionRef<absl::Status(TransactionImpl&)> fn,
    const SwapOptions& options, Rider* rider, Manners manners) {
  Core& core = transaction.core();
  Contender contender(core.turn.get(), manners, options,
                      transaction.NextSeed());
  SwapResult result;
  for (int attempt = 1;; ++attempt) {
    // Who lost a race because its run was long must not be slowed down more.
    // Nor may a rider's failure cost the last attempt.
    const bool is_last =
        options.max_attempts > 0 && attempt >= options.max_attempts;
    // Nor is anything moved beside it while space is short (I22).
    if (attempt > kAttemptsWithRider || is_last || core.source->is_tight()) {
      rider = nullptr;
    }
    EVE_RETURN_IF_ERROR(contender.BeginRun());
    EVE_ASSIGN_OR_RETURN(
        PinnedRoot base,
        PinnedRoot::PinNewest(*core.root, core.cells.get(), core.view));
    result.commit.attempts = attempt;
    result.commit.version = base.version();
    transaction.Begin(std::move(base), attempt);
    Boarding boarding(rider, transaction);
    absl::StatusOr<bool> changed = RunClosure(transaction, fn, boarding);
    if (core.fork_guard.IsForkedChild()) {
      // The closure has forked. What it was about to do is the parent's.
      boarding.Abandon();
      contender.Abandon();
      return changed.status();
    }
    const bool left_graveyard = transaction.leaves_graveyard();
    absl::StatusOr<Outcome> outcome = Outcome::kNothing;
    if (!changed.ok()) {
      outcome = changed.status();
    } else if (*changed) {
      outcome = Publish(transaction, contender, result);
    }
    if (outcome.ok() && *outcome == Outcome::kConflict) {
      outcome = CarryOver(transaction, contender, boarding, result);
    }
    if (outcome.ok() && *outcome == Outcome::kPublished) {
      CountInSlot(core.slots->own().commits);
      CountInSlot(core.slots->own().bytes_committed,
                  transaction.attempt().bytes_written());
      transaction.Finish(/*committed=*/true);
      boarding.Alight(/*published=*/true);
      result.published = true;
      result.left_graveyard = left_graveyard;
      return result;
    }
    transaction.Finish(/*committed=*/false);
    if (!outcome.ok() && boarding.has_work() &&
        !absl::IsDeadlineExceeded(outcome.status())) {
      // It may be the rider's fault: a full disk, damage in what it moved.
      rider = nullptr;
      continue;
    }
    if (!outcome.ok()) return outcome.status();
    if (*outcome == Outcome::kNothing) return result;
    CountInSlot(core.slots->own().conflicts);
    EVE_RETURN_IF_ERROR(CheckAttempts(options, attempt));
    contender.LoseRun();
  }
}

}  // namespace eve::internal

namespace eve {

uint64_t Transaction::base_version() const {
  impl_->NoteVersionRead();
  return impl_->base().version();
}

int Transaction::attempt() const { return impl_->attempt_number(); }

absl::StatusOr<eve::Savepoint> Transaction::Savepoint() {
  return impl_->Save();
}

absl::Status Transaction::RollBackTo(const eve::Savepoint& savepoint) {
  return impl_->RollBackTo(savepoint);
}

}  // namespace eve
