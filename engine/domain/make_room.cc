// Making room in a domain that can grow no further (I22).
//
// In this order, as far as it is needed: what is dead is folded and freed;
// durable roots are moved on, so that they keep nothing of it; segments are
// emptied, those first in which least lives, one after the other. None is begun
// unless what it may take fits into what is free: its live blocks, as much
// again for the paths to them, and a fold. So a round never ends half-way for
// want of space, and what it has moved is free after the next two checkpoints.

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/domain/domain_impl.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve::internal {
namespace {

// What is worth being emptied. Who adds would soon pay more for the space than
// it holds.
constexpr double kShareToErase = 0.97;
constexpr double kShareToAdd = 0.8;
// Rounds in which no more than this is gained are tried so often in a row: what
// one makes garbage in other segments is the gain of the next.
constexpr uint64_t kGainBytesMin = 64 << 10;
constexpr int kFruitlessRounds = 3;
constexpr int kRoundsMax = 64;
constexpr size_t kTargets = 256;
// Folds, and the records of the moves.
constexpr uint64_t kRoundBytes = 256 << 10;
// As far as it is counted what is free.
constexpr uint32_t kRoomSegmentsMax = 16;
// After a round that has failed for commits that take from the reserve.
constexpr uint64_t kPatience = 64;
// A transaction that is refused gets a segment or more each time.
constexpr int kRefusalsMax = 256;
// In a row, for which no round was made.
constexpr int kFruitlessRuns = 8;
// How long another process that makes room is waited for, in steps.
constexpr int kLeaseSteps = 2 * CourtesyLease::kPatience;
constexpr absl::Duration kLeaseStep = absl::Milliseconds(5);

uint64_t NeededFor(uint64_t live_bytes) { return 2 * live_bytes + kRoundBytes; }

}  // namespace

bool DomainImpl::HasRoomFor(ClaimPurpose purpose, uint32_t wanted) {
  const SegmentSource::Room room = core_.source->SecureRoom(wanted);
  const uint32_t goal =
      purpose == ClaimPurpose::kAdd
          ? room.reserve + wanted
          : std::max(room.reserve, RoundNeeds(room.reserve) + wanted);
  return room.all() >= goal;
}

uint64_t DomainImpl::RoomBytes() {
  return idle_writers_.RoomOfNewest() +
         core_.source->SecureRoom(kRoomSegmentsMax).all() * kSegmentBytes;
}

size_t DomainImpl::EmptyBest(double share_max, uint32_t segments,
                             uint64_t begun) {
  size_t emptied = 0;
  uint64_t gained = 0;
  SegmentSurvey survey = LastSurvey();
  survey.SetLongPins(begun);
  compactor_->SetMakingRoom(true);
  absl::Cleanup made = [this] { compactor_->SetMakingRoom(false); };
  for (const Victim& victim : ByLeastLive(survey, share_max)) {
    const uint64_t live = victim.live_units * kUnitBytes;
    if (gained >= segments * kSegmentBytes || NeededFor(live) > RoomBytes()) {
      break;
    }
    // Others than this one would be moved with it.
    compactor_->GiveBackVictims();
    const absl::StatusOr<size_t> taken = compactor_->TakeThis(victim);
    if (!taken.ok()) break;
    if (*taken == 0) continue;
    EVE_STEP("room.claimed");
    const absl::Status moved = MoveVictims(
        kTargets, Manners::kGiveWay,
        [this] {
          room_lease_->TryHold();  // a sign of life
          return true;
        },
        ClaimPurpose::kMakeRoom);
    EVE_STEP("room.moved");
    compactor_->GiveBackVictims();
    ++emptied;
    if (!moved.ok()) break;
    gained += kSegmentBytes - live;
  }
  return emptied;
}

bool DomainImpl::MakeRoomInRounds(ClaimPurpose purpose, uint32_t wanted,
                                  uint64_t begun, absl::Time deadline,
                                  uint64_t* judged) {
  compactor_->GiveBackVictims();
  ReleaseIdleWriters(/*keep=*/1);
  // Errors show in that there is no room.
  FoldNow(/*at_least=*/1).status().IgnoreError();
  ReclaimBeforeGrowth();
  if (HasRoomFor(purpose, wanted)) return true;
  may_have_graveyards_ = true;
  for (int i = 0; i < kRoundsMax; ++i) {
    const absl::StatusOr<bool> retired = RetireGraveyards();
    if (!retired.ok() || !*retired) break;
  }
  const double share_max =
      purpose == ClaimPurpose::kAdd ? kShareToAdd : kShareToErase;
  uint64_t most = 0;
  int fruitless = 0;
  for (int round = 0; round < kRoundsMax; ++round) {
    const absl::StatusOr<uint64_t> newest = NewestVersion();
    *judged = newest.value_or(0);
    uint64_t folds = 0;
    // Without a byte for a fold there is still the newest root.
    if (!AdvanceDurableRoots(&folds).ok() && !checkpointer_->Run().ok()) {
      return false;
    }
    EVE_STEP("room.advanced");
    ReclaimBeforeGrowth();
    EVE_STEP("room.collected");
    if (HasRoomFor(purpose, wanted)) return true;
    // What others have committed meanwhile the durable roots may have missed,
    // and then they keep what died by it. So it counts as news.
    if (LastSurvey().version == *judged + folds) *judged += folds;
    if (absl::Now() >= deadline) return false;
    const uint64_t bytes = RoomBytes();
    fruitless = bytes < most + kGainBytesMin ? fruitless + 1 : 0;
    if (fruitless == kFruitlessRounds) return false;
    most = std::max(most, bytes);
    absl::StatusOr<std::vector<uint32_t>> half_full = FindHalfFull(core_);
    if (half_full.ok()) core_.source->OfferHalfFull(*std::move(half_full));
    // More than is needed: each round takes two checkpoints.
    const uint32_t ahead = core_.source->MeasureRoom(wanted).reserve / 2;
    // Who is reading for a moment only may have hidden some.
    if (EmptyBest(share_max, wanted + ahead, begun) == 0 &&
        LastSurvey().protectors.pins.exact.empty()) {
      return false;
    }
  }
  return false;
}

bool DomainImpl::MakeRoom(ClaimPurpose purpose, uint32_t wanted,
                          uint64_t patience, absl::Time deadline,
                          bool* has_begun) {
  std::unique_lock one_at_a_time(room_mutex_, std::try_to_lock);
  if (!one_at_a_time.owns_lock()) {
    EVE_STEP("room.wait");
    if (deadline == absl::InfiniteFuture()) {
      one_at_a_time.lock();
    } else if (!one_at_a_time.try_lock_until(absl::ToChronoTime(deadline))) {
      return false;
    }
  }
  if (patience > 0 && no_room_version_ > 0) {
    const absl::StatusOr<uint64_t> newest = NewestVersion();
    if (newest.ok() && *newest <= no_room_version_ + patience) return false;
  }
  // Others may have made it meanwhile.
  if (!HasRoomFor(purpose, wanted)) ReclaimBeforeGrowth();
  bool has_room = HasRoomFor(purpose, wanted);
  const SegmentSurvey before = LastSurvey();
  const uint64_t begun = before.version;
  const std::vector<uint64_t>& pins = before.protectors.pins.exact;
  if (!has_room && begun <= no_room_version_ + patience &&
      std::includes(pins.begin(), pins.end(), no_room_pins_.begin(),
                    no_room_pins_.end())) {
    core_.source->Look();
    return false;
  }
  for (int i = 0; !has_room && i < kLeaseSteps && absl::Now() < deadline &&
                  !room_lease_->TryHold();
       ++i) {
    absl::SleepFor(kLeaseStep);
    has_room = HasRoomFor(purpose, wanted);
  }
  uint64_t judged = begun;
  if (!has_room) {
    EVE_STEP("room.begun");
    if (has_begun != nullptr) *has_begun = true;
    has_room = MakeRoomInRounds(purpose, wanted, begun, deadline, &judged);
    compactor_->GiveBackVictims();
    // What the writers had open that have lost it.
    absl::StatusOr<std::vector<uint32_t>> half_full = FindHalfFull(core_);
    if (half_full.ok()) core_.source->OfferHalfFull(*std::move(half_full));
    room_lease_->Release();
  }
  if (!has_room && absl::Now() < deadline) {
    const SegmentSurvey after = LastSurvey();
    no_room_version_ = judged;
    no_room_pins_.assign(
        after.protectors.pins.exact.begin(),
        std::lower_bound(after.protectors.pins.exact.begin(),
                         after.protectors.pins.exact.end(), begun));
  }
  core_.source->Look();
  return has_room;
}

void DomainImpl::ReleaseSpares() {
  idle_writers_.ForEach([](WriterContext& idle) { idle.ReleaseSpare(); });
}

absl::Status DomainImpl::WithHolder(const absl::Status& status) {
  const absl::StatusOr<Survey> survey = TakeSurvey();
  if (!survey.ok()) return status;
  const std::string holder = DescribeLargestHolder(*survey);
  if (holder.empty()) return status;
  const uint64_t kept = survey->holdings.pinned_bytes;
  return absl::ResourceExhaustedError(absl::StrCat(
      std::string(status.message()), "; ",
      kept == 0
          ? ""
          : absl::StrCat("readers keep ", kept, " bytes from being reused; "),
      holder));
}

absl::StatusOr<Commit> DomainImpl::SwapMakingRoom(
    absl::FunctionRef<absl::Status(TransactionImpl&)> fn,
    const SwapOptions& options) {
  // What the last ones have taken of the reserve is given back first.
  if (core_.source->is_broken()) {
    MakeRoom(ClaimPurpose::kErase, /*wanted=*/0, kPatience, options.deadline);
  }
  SwapOptions left = options;
  int runs = 0;
  int fruitless = 0;
  for (int refusals = 1;; ++refusals) {
    Refusal refusal;
    absl::StatusOr<Commit> done =
        SwapUnderPressure(fn, left, Manners::kGiveWay, &refusal);
    if (done.ok()) done->attempts += runs;
    if (refusal.segments == 0) return done;
    runs += refusal.runs;
    left.max_attempts = options.max_attempts - runs;
    const bool may_run = options.max_attempts == 0 || left.max_attempts > 0;
    if (options.max_attempts == 0) left.max_attempts = 0;
    bool has_begun = false;
    const bool has_room =
        absl::Now() < options.deadline &&
        MakeRoom(refusal.purpose, refusal.segments, /*patience=*/0,
                 options.deadline, &has_begun);
    // There may be room that cannot be had: segments that are not adjacent, or
    // no blocks for them.
    fruitless = has_begun ? 0 : fruitless + 1;
    if (has_room && may_run && refusals < kRefusalsMax &&
        fruitless <= kFruitlessRuns) {
      continue;
    }
    ReleaseSpares();
    return has_room ? done.status() : WithHolder(done.status());
  }
}

}  // namespace eve::internal
