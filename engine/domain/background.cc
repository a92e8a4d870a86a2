// What a domain does between the calls of its users, on two threads: fold,
// free, retire, move and prepare segments on the reclaimer; checkpoints on the
// other.

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "engine/domain/domain_impl.h"
#include "engine/epoch/attached.h"
#include "engine/reclaim/fold.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve::internal {
namespace {

constexpr uint64_t kFoldInBackground = 512;
// Batches fill segments with few commits.
constexpr uint64_t kClaimsBetweenPasses = 4;
// What a fold has freed may free more, a few times over.
constexpr int kPassesOverTarget = 4;
constexpr uint64_t kRetireSlice = 4096;
constexpr uint64_t kTicksBetweenLooks = 50;
// While writers are refused because of readers.
constexpr uint64_t kRestsBetweenLooks = 8;
// However seldom there is a checkpoint. Whoever commits more often is not at
// rest.
constexpr absl::Duration kReclaimEveryMax = absl::Seconds(10);
constexpr absl::Duration kLookEvery = absl::Seconds(1);
// Looking for live blocks: in one go, and between two folds.
constexpr size_t kGatherStep = 512;
constexpr size_t kGatherBlocks = 16 << 10;

}  // namespace

absl::StatusOr<bool> DomainImpl::RetireGraveyards() {
  if (!may_have_graveyards_ || !may_have_graveyards_.exchange(false)) {
    return false;
  }
  const absl::StatusOr<bool> any = RetireSliceOfEach();
  // Until all is retired it may be there, whatever went wrong on the way.
  if (!any.ok() || *any) may_have_graveyards_ = true;
  return any;
}

void DomainImpl::RetireAllGraveyards() {
  // On an error they wait for who comes next.
  while (RetireGraveyards().value_or(false)) {
  }
}

absl::StatusOr<bool> DomainImpl::RetireSliceOfEach() {
  EVE_ASSIGN_OR_RETURN(
      const PinnedRoot root,
      PinnedRoot::PinNewest(*core_.root, core_.cells.get(), core_.view));
  EVE_ASSIGN_OR_RETURN(
      const std::vector<CatalogRecord> records,
      ListCatalog(core_.FileView(), root.record().catalog_root));
  bool any = false;
  for (const CatalogRecord& record : records) {
    if (!record.IsGraveyard()) continue;
    any = true;
    SwapOptions options;
    options.durability = Durability::kNone;
    absl::StatusOr<Commit> done = SwapUnderPressure(
        [&](TransactionImpl& transaction) -> absl::Status {
          // Another process may have taken the slice meanwhile.
          EVE_ASSIGN_OR_RETURN(
              const std::optional<Bytes> bytes,
              FindCatalogBytes(core_.FileView(), core_.hasher,
                               transaction.base().record().catalog_root,
                               record.name));
          if (!bytes.has_value()) return absl::OkStatus();
          EVE_ASSIGN_OR_RETURN(const CatalogRecord now,
                               DecodeCatalogRecord(record.name, *bytes));
          return transaction.RetireSlice(now, kRetireSlice);
        },
        options, Manners::kGoOn);
    if (!done.ok()) return done.status();
  }
  return any;
}

absl::StatusOr<bool> DomainImpl::ReclaimPass(uint64_t fold_at_least) {
  std::lock_guard lock(reclaim_mutex_);
  EVE_ASSIGN_OR_RETURN(const bool retired, RetireGraveyards());
  std::unique_ptr<WriterContext> writer = TakeWriter();
  absl::StatusOr<bool> folded =
      Fold(core_, writer->transaction.attempt(), fold_at_least);
  idle_writers_.Give(std::move(writer));
  if (!folded.ok()) return folded.status();
  {
    EVE_ASSIGN_OR_RETURN(
        const PinnedRoot root,
        PinnedRoot::PinNewest(*core_.root, core_.cells.get(), core_.view));
    folded_version_ = root.record().folded_version;
  }
  std::lock_guard collect_lock(collect_mutex_);
  EVE_ASSIGN_OR_RETURN(const uint64_t freed, collector_->FreeSegments());
  EVE_RETURN_IF_ERROR(compactor_->Plan(collector_->survey()));
  slow_readers_.LookNow();
  return retired || *folded || freed > 0;
}

absl::StatusOr<uint64_t> DomainImpl::NewestVersion() {
  EVE_ASSIGN_OR_RETURN(
      const PinnedRoot root,
      PinnedRoot::PinNewest(*core_.root, core_.cells.get(), core_.view));
  return root.version();
}

absl::Status DomainImpl::Reclaim() {
  EVE_RETURN_IF_ERROR(CheckWritable());
  may_have_graveyards_ = true;
  // Others may go on writing: what was there at the call is what is reclaimed.
  EVE_ASSIGN_OR_RETURN(const uint64_t target, NewestVersion());
  bool progress = true;
  for (int passes = 0; progress && passes < kPassesOverTarget;) {
    EVE_ASSIGN_OR_RETURN(progress, ReclaimPass(/*fold_at_least=*/1));
    const bool is_folded = folded_version_.load() >= target;
    if (is_folded && !may_have_graveyards_) ++passes;
  }
  if (!options_.background) slow_readers_.Deliver();
  return absl::OkStatus();
}

void DomainImpl::ReclaimBeforeGrowth() {
  slow_readers_.WantLook();
  // Freeing allocates nothing, so a fold that needs room may come here too. An
  // error is met again, and reported, by whoever reclaims next.
  std::lock_guard lock(collect_mutex_);
  const absl::StatusOr<uint64_t> freed = collector_->FreeSegments();
  // A reader between the steps of its first pin protects everything. Growing
  // for that would be for ever; the reader only has to begin its pin again.
  if (freed.ok() && *freed == 0 && collector_->met_range_pins()) {
    collector_->FreeSegments().IgnoreError();
  }
  compactor_->Plan(collector_->survey()).IgnoreError();
}

absl::Status DomainImpl::StartBackground() {
  const absl::Duration every =
      std::min(options_.checkpoint_every, kReclaimEveryMax);
  EVE_RETURN_IF_ERROR(reclaimer_.Start(every, [this, every](bool is_due) {
    ReclaimTick(is_due);
    slow_readers_.Deliver();
    return every;
  }));
  return checkpoints_.Start(options_.checkpoint_every, [this](bool is_due) {
    return CheckpointTick(is_due);
  });
}

// A reader that came before all writers, and reads nothing, would keep them
// from reusing space: nobody but itself can tell that it needs none.
absl::Status DomainImpl::StartLookout() {
  if (!core_.is_frozen() || !options_.background) return absl::OkStatus();
  return reclaimer_.Start(kLookEvery, [this](bool) {
    EVE_STEP("lookout.tick");
    core_.frozen.lookout->Look(/*also_idle=*/true);
    return core_.is_frozen() ? kLookEvery : absl::InfiniteDuration();
  });
}

void DomainImpl::StopBackground() {
  reclaimer_.Stop();
  checkpoints_.Stop();
}

void DomainImpl::ReclaimTick(bool is_due) {
  EVE_STEP("reclaimer.tick");
  while (core_.source->PrepareOne()) {
  }
  absl::StatusOr<PinnedRoot> root =
      PinnedRoot::PinNewest(*core_.root, core_.cells.get(), core_.view);
  if (!root.ok()) return;
  // Another process may have died before it retired what it dropped.
  if (is_due && ++ticks_ % kTicksBetweenLooks == 0) {
    may_have_graveyards_ = true;
    reclaimed_version_ = 0;
  }
  const uint64_t version = root->version();
  const uint64_t unfolded = version - root->record().folded_version;
  root->Reset();
  GatherVictims();
  // Errors stay in the domain: the next Sync or Reclaim meets and returns them.
  const uint64_t claims = core_.source->claims();
  std::unique_lock room(room_mutex_, std::defer_lock);
  if (core_.source->is_tight() && !room.try_lock()) {
    // Who makes room folds, and a second one might take what that counts on.
  } else if (unfolded >= kFoldInBackground ||
             claims - passed_claims_ >= kClaimsBetweenPasses) {
    passed_claims_ = claims;
    ReclaimPass(kFoldInBackground / 2).IgnoreError();
  } else if (is_due) {
    ReclaimUnlessDone(version);
  }
  if (room.owns_lock()) room.unlock();
  if (is_due) Rest(version);
  if (is_due) GiveBack(core_, HasRested()).IgnoreError();
}

// A pass that finds nothing to do is not repeated soon, unless there is a new
// version, or a power failure would bring other ones back: they keep less.
void DomainImpl::ReclaimUnlessDone(uint64_t version) {
  std::vector<uint64_t> durable = DurableVersions().versions;
  if (version == reclaimed_version_ && durable == reclaimed_durable_) return;
  const absl::StatusOr<bool> progress = ReclaimPass(/*fold_at_least=*/1);
  EVE_STEP("reclaimer.passed");
  if (!progress.ok() || *progress) return;
  reclaimed_version_ = version;
  reclaimed_durable_ = std::move(durable);
}

// On a thread of its own: while the device works, nobody else would prepare
// segments, and what a checkpoint makes free would not be freed.
absl::Duration DomainImpl::CheckpointTick(bool is_due) {
  EVE_STEP("checkpoints.tick");
  const uint64_t begin = MonotonicNanos();
  // Before the root is looked at: what is asked for later has a tick to come.
  const uint64_t asked = flush_requests_.asked();
  const absl::StatusOr<uint64_t> version = NewestVersion();
  // First: somebody waits for it.
  if (!flush_requests_.IsAnswered(asked)) {
    absl::Status answer =
        version.ok() ? checkpointer_->Commit(*version) : version.status();
    const bool has_failed = !answer.ok();
    flush_requests_.Answer(asked, std::move(answer));
    // Durable versions are seen by themselves, an answer is not.
    if (has_failed) NoteFlushEnded(core_);
  }
  if (!version.ok()) return options_.checkpoint_every;
  if (!is_due) return absl::ZeroDuration();
  // An error stays in the domain: the next Sync meets it.
  if (options_.durability == Durability::kCheckpoint || HoldsMoreThanLives()) {
    checkpointer_->Run().IgnoreError();
  }
  if (std::exchange(settled_at_, *version) == *version) {
    checkpointer_->Settle().IgnoreError();
  }
  const bool makes_haste =
      options_.durability == Durability::kCheckpoint && HoldsMuch(LastUse());
  return pacer_.RestAfter(absl::Nanoseconds(MonotonicNanos() - begin),
                          makes_haste);
}

bool DomainImpl::HasRested() const {
  const auto rested = static_cast<int64_t>(MonotonicNanos() - rest_since_);
  return rested >= absl::ToInt64Nanoseconds(options_.rest_after);
}

void DomainImpl::Rest(uint64_t version) {
  // Nobody has committed since the last tick but this thread.
  const bool is_at_rest = version == rest_version_;
  if (!is_at_rest) rest_since_ = MonotonicNanos();
  // Not beside a Compact() of this process: it does the same and more, and the
  // victims are its own.
  std::unique_lock one_at_a_time(compact_mutex_, std::try_to_lock);
  if (!one_at_a_time.owns_lock()) return;
  // A transaction that is running may still be about to commit, and must not be
  // starved by moves.
  if (!is_at_rest) held_when_advanced_ = UINT64_MAX;
  const bool may_move =
      !IsSwapRunning() &&
      rest_pacer_.MayMove(SumCounters(core_.region).conflicts, is_at_rest);
  if (is_at_rest && slow_readers_.is_over_limit()) {
    // What readers see is not freed by being moved, only doubled, and nobody
    // who is refused looks.
    if (++rests_over_limit_ % kRestsBetweenLooks == 0) slow_readers_.LookNow();
  } else if (is_at_rest) {
    if (may_move && rest_lease_->TryHold()) {
      // Nothing is moved while space is short, but to make room.
      if (!core_.source->is_tight() ||
          MakeRoom(ClaimPurpose::kAdd, 1, /*patience=*/0)) {
        // Who makes room waits for the end of it: in what this claims and pins
        // he would find none.
        const std::unique_lock room(room_mutex_, std::try_to_lock);
        if (room.owns_lock()) RestStep().IgnoreError();
      }
    }
  } else {
    rest_lease_->Release();
    // For the processes that do write.
    if (compactor_->has_victims() && !compactor_->is_writing()) {
      compactor_->GiveBackVictims();
    }
  }
  const absl::StatusOr<uint64_t> newest = NewestVersion();
  if (newest.ok()) rest_version_ = *newest;
}

void DomainImpl::GatherVictims() {
  for (size_t n = 0; n < kGatherBlocks; n += kGatherStep) {
    const absl::StatusOr<bool> more = compactor_->GatherRests(kGatherStep);
    if (!more.ok() || !*more) return;
  }
}

}  // namespace eve::internal
