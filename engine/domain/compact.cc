// Emptying segments that no writer pays for: at rest, and on request.

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/domain/domain_impl.h"
#include "engine/reclaim/fold.h"
#include "engine/reclaim/punch.h"
#include "util/status_macros.h"

namespace eve::internal {
namespace {

// For how long at a time, at rest.
constexpr auto kRestTime = std::chrono::milliseconds(20);
// Dead space that only durable roots keep, before they are made to move on.
constexpr uint64_t kHeldShareOfLive = 4;
// When there is nothing else left to do.
constexpr uint64_t kHeldBytesAtRest = 2 * kSegmentBytes;

constexpr size_t kGatherStep = 4096;
constexpr size_t kRestTargets = 64;
constexpr size_t kCompactTargets = 256;
// A packed file has room for what its writers have open.
constexpr uint64_t kCompactSlackSegments = 4;
// Emptied at a time where space is short; nobody else of this process makes
// room meanwhile.
constexpr uint32_t kShortRoundSegments = 16;
constexpr int kFruitlessRounds = 3;
// Of single blocks as well, one after the other.
constexpr int kLostMax = 64;

}  // namespace

SegmentSurvey DomainImpl::LastSurvey() {
  std::lock_guard lock(collect_mutex_);
  return collector_->survey();
}

SpaceUse DomainImpl::LastUse() {
  std::lock_guard lock(collect_mutex_);
  return MeasureSpace(collector_->survey());
}

absl::Status DomainImpl::MoveVictims(size_t targets_max, Manners manners,
                                     absl::FunctionRef<bool()> go_on,
                                     ClaimPurpose purpose) {
  bool more = true;
  while (more && go_on()) {
    EVE_ASSIGN_OR_RETURN(more,
                         compactor_->Gather(kGatherStep, /*may_wait=*/true));
  }
  // `go_on` may ask the caller, who may have forked.
  EVE_RETURN_IF_ERROR(core_.CheckUsable());
  std::unique_ptr<WriterContext> writer = TakeWriter();
  using Outcome = Compactor::Outcome;
  absl::StatusOr<Outcome> moved = Outcome::kMoved;
  size_t targets = targets_max;
  int lost = 0;
  while (moved.ok() && *moved != Outcome::kNothingLeft && lost < kLostMax &&
         go_on()) {
    moved =
        compactor_->MoveSlice(writer->transaction, targets, manners, purpose);
    // Shorter runs lose fewer races; longer ones share more of their paths.
    const bool has_lost = moved.ok() && *moved == Outcome::kLost;
    lost = has_lost ? lost + 1 : 0;
    targets = has_lost ? std::max<size_t>(targets / 2, 1)
                       : std::min(targets * 2, targets_max);
  }
  if (core_.fork_guard.IsForkedChild()) {
    static_cast<void>(writer.release());  // the parent's claims
    return core_.CheckUsable();
  }
  idle_writers_.Give(std::move(writer));
  return moved.status();
}

absl::StatusOr<bool> DomainImpl::FoldNow(uint64_t at_least) {
  std::lock_guard lock(reclaim_mutex_);
  std::unique_ptr<WriterContext> writer = TakeWriter();
  absl::StatusOr<bool> folded =
      Fold(core_, writer->transaction.attempt(), at_least);
  idle_writers_.Give(std::move(writer));
  return folded;
}

absl::Status DomainImpl::AdvanceDurableRoots(uint64_t* folds) {
  // Both candidates have to pass what was moved. Without a commit in between
  // the second checkpoint would find nothing to do.
  for (int i = 0; i < 2; ++i) {
    EVE_ASSIGN_OR_RETURN(const bool is_folded, FoldNow(/*at_least=*/0));
    if (folds != nullptr && is_folded) ++*folds;
    EVE_RETURN_IF_ERROR(checkpointer_->Run());
  }
  return absl::OkStatus();
}

bool DomainImpl::HoldsMuch(const SpaceUse& use) {
  return use.durable_held_bytes >
         std::max(kHeldBytesMin, use.live_bytes / kHeldShareOfLive);
}

bool DomainImpl::HoldsMoreThanLives() {
  std::lock_guard lock(collect_mutex_);
  return HoldMoreThanLives(collector_->survey());
}

absl::Status DomainImpl::RestStep() {
  SegmentSurvey survey = LastSurvey();
  RestPlan plan = PlanRest(
      &survey,
      /*may_go_on=*/options_.durability == Durability::kNone && !HasRested());
  if (plan.is_loose && !compactor_->has_victims()) {
    plan.goal.count_max = Evacuation::kVictimsMax;
    EVE_RETURN_IF_ERROR(compactor_->TakeVictims(survey, plan.goal).status());
  }
  if (compactor_->has_victims()) {
    const auto until = std::chrono::steady_clock::now() + kRestTime;
    EVE_RETURN_IF_ERROR(
        MoveVictims(kRestTargets, Manners::kGiveUp, [this, until] {
          return !IsSwapRunning() && !core_.turn->ShouldLeaveOff() &&
                 std::chrono::steady_clock::now() < until;
        }));
  }
  const bool is_done = !plan.is_loose && !compactor_->has_victims();
  const uint64_t held = plan.use.durable_held_bytes;
  const bool advance = is_done ? held > kHeldBytesAtRest : HoldsMuch(plan.use);
  if (!advance || !plan.may_advance || held >= held_when_advanced_) {
    return absl::OkStatus();
  }
  held_when_advanced_ = held;
  return AdvanceDurableRoots();
}

void DomainImpl::ReleaseIdleWriters(size_t keep) {
  for (const auto& writer : idle_writers_.TakeAllBut(keep)) {
    writer->transaction.attempt().SetStaging({});
    writer->writer.Release();
  }
  core_.source->ReleasePrepared();
}

absl::StatusOr<CompactProgress> DomainImpl::MeasureProgress() {
  CompactProgress now;
  const SpaceUse use = LastUse();
  now.live_bytes = use.live_bytes;
  now.used_bytes = use.used_bytes;
  now.pinned_bytes = use.pinned_bytes;
  EVE_ASSIGN_OR_RETURN(now.file_bytes, core_.file.Size());
  EVE_ASSIGN_OR_RETURN(now.disk_bytes, core_.file.DiskBytes());
  return now;
}

bool DomainImpl::IsRoomShort(double share_max, uint64_t begun) {
  SegmentSurvey survey = LastSurvey();
  survey.SetLongPins(begun);
  uint64_t live = 0;
  for (const Victim& victim : ByLeastLive(survey, share_max)) {
    live += victim.live_units * kUnitBytes;
  }
  // As much again for the paths to what is moved.
  const auto segments = static_cast<uint32_t>(2 * live / kSegmentBytes + 1);
  const SegmentSource::Room room = core_.source->MeasureRoom(segments);
  return room.all() < room.reserve + segments;
}

absl::Status DomainImpl::CompactRound(const CompactOptions& options,
                                      uint64_t begun, bool* stopped,
                                      bool* found) {
  SegmentSurvey survey = LastSurvey();
  // Who has been reading since before the call may go on for as long again.
  survey.SetLongPins(begun);
  const SpaceUse use = MeasureSpace(survey);
  if (IsRoomShort(options.share, begun)) {
    // Not all at once, then: what has been moved must be free for the rest.
    if (options.progress) {
      EVE_ASSIGN_OR_RETURN(const CompactProgress now, MeasureProgress());
      *stopped = !options.progress(now);
      EVE_RETURN_IF_ERROR(core_.CheckUsable());
    }
    if (*stopped) return absl::OkStatus();
    // Not while `progress` runs, which may write.
    std::lock_guard lock(room_mutex_);
    *found = EmptyBest(options.share, kShortRoundSegments, begun) > 0;
    room_lease_->Release();
    return absl::OkStatus();
  }
  VictimGoal goal;
  goal.share_max = options.share;
  goal.live_bytes_max = UINT64_MAX;
  // A plan of a writer's may have taken some meanwhile.
  goal.count_max = Evacuation::kVictimsMax -
                   std::min(Evacuation::kVictimsMax, compactor_->victims());
  // What is alive fits below this: the rest of the file can be given back.
  goal.empty_from =
      (use.live_bytes + use.pinned_bytes + use.held_bytes) / kSegmentBytes +
      kCompactSlackSegments;
  EVE_ASSIGN_OR_RETURN(const size_t taken,
                       compactor_->TakeVictims(survey, goal));
  *found = taken > 0 || compactor_->has_victims();
  uint64_t slices = 0;
  return MoveVictims(kCompactTargets, Manners::kGiveWay, [&] {
    // Asked between two slices: often enough for a progress bar.
    if (options.progress && slices++ % 16 == 0) {
      const absl::StatusOr<CompactProgress> now = MeasureProgress();
      *stopped = now.ok() && !options.progress(*now);
    }
    return !*stopped && core_.CheckUsable().ok();
  });
}

absl::Status DomainImpl::CompactInRounds(const CompactOptions& options,
                                         bool* stopped) {
  EVE_ASSIGN_OR_RETURN(const uint64_t begun, NewestVersion());
  bool found = true;
  uint64_t used_before = UINT64_MAX;
  uint64_t end_before = UINT64_MAX;
  int fruitless = 0;
  while (!*stopped) {
    // What one has open may be all that there is for a fold.
    ReleaseIdleWriters(/*keep=*/IsRoomShort(options.share, begun) ? 1 : 0);
    EVE_RETURN_IF_ERROR(AdvanceDurableRoots());
    EVE_RETURN_IF_ERROR(Reclaim());
    SegmentSurvey survey = LastSurvey();
    survey.SetLongPins(begun);
    const SpaceUse use = MeasureSpace(survey);
    const uint64_t used = use.used_bytes;
    const bool is_settled =
        use.pinned_bytes == 0 && use.held_bytes <= kHeldBytesAtRest;
    if (!found && is_settled) break;
    const uint64_t end = UsedEnd(survey);
    // No smaller and no shorter than before: others fill what this empties, or
    // there is nothing left to gain. A transaction or a checkpoint of others
    // that was on its way may hide it for a round.
    fruitless = used >= used_before && end >= end_before ? fruitless + 1 : 0;
    if (fruitless == kFruitlessRounds) break;
    used_before = std::min(used, used_before);
    end_before = std::min(end, end_before);
    const absl::Status moved = CompactRound(options, begun, stopped, &found);
    if (absl::IsResourceExhausted(moved)) {
      // Others have filled what was to be had.
      compactor_->GiveBackVictims();
      continue;
    }
    EVE_RETURN_IF_ERROR(moved);
  }
  return absl::OkStatus();
}

absl::Status DomainImpl::Compact(const CompactOptions& options) {
  EVE_RETURN_IF_ERROR(CheckWritable());
  if (!(options.share > 0 && options.share <= 1)) {
    return absl::InvalidArgumentError(
        "CompactOptions::share must be above 0 and at most 1");
  }
  std::lock_guard one_at_a_time(compact_mutex_);
  // Writers of this process help, with what they write.
  compactor_->SetUrgent(true);
  core_.source->SetPacking(SegmentSource::Packing::kYes);
  core_.source->OfferHalfFull({});  // they lie anywhere
  bool stopped = false;
  const absl::Status status = CompactInRounds(options, &stopped);
  EVE_RETURN_IF_ERROR(core_.CheckUsable());
  core_.source->SetPacking(SegmentSource::Packing::kUntilItGrows);
  compactor_->SetUrgent(false);
  compactor_->GiveBackVictims();
  core_.source->Look();
  EVE_RETURN_IF_ERROR(status);
  ReleaseIdleWriters();
  EVE_RETURN_IF_ERROR(
      PunchFree(core_, /*keep_free=*/0, /*budget=*/UINT64_MAX).status());
  EVE_ASSIGN_OR_RETURN(std::vector<uint32_t> half_full, FindHalfFull(core_));
  core_.source->OfferHalfFull(std::move(half_full));
  if (stopped) return absl::CancelledError("stopped by the progress callback");
  return absl::OkStatus();
}

}  // namespace eve::internal
