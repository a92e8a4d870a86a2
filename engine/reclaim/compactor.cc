#include "engine/reclaim/compactor.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "engine/root/accounting.h"
#include "engine/root/pinned_root.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// Writers begin to pay below this live share; in the middle between the two
// they pay what keeps the balance, and at the lower one twice that. While there
// is enough that is free they pay nothing down to the lower one, and below it
// twice the balance at the third.
constexpr double kShareRelaxed = 0.56;
constexpr double kShareTight = 0.40;
constexpr double kShareLeast = 0.34;
// Segments that writers have open, and small domains, are not worth it.
constexpr uint64_t kSlackBytes = 8 * kSegmentBytes;
// Free segments and open ones that a busy domain has besides: so many however
// small it is, and of middling ones, where they count, a part of what lives.
constexpr uint64_t kOpenBytesMin = 8 * kSegmentBytes;
constexpr uint64_t kOpenBytesMax = 26 * kSegmentBytes;
// So much is left free at least, and so large a part of what is used.
constexpr uint64_t kFreeBytesMin = 8 * kSegmentBytes;
constexpr uint64_t kFreeShare = 24;
constexpr double kRateMin = 0.0625;
constexpr double kRateMax = 4;
// Small sets of victims are chosen from newer figures. In large ones more of
// what is written has neighbours to take along: with a twentieth of all that
// lives, a node above thirty leaves has one or two.
constexpr uint64_t kPlanBytesMin = 4 << 20;
constexpr uint64_t kPlanBytesMax = 256 << 20;
constexpr uint64_t kPlanShareOfLive = 8;
// Of all segments, those that may be victims, or open in other processes.
constexpr uint64_t kVictimsShare = 4;
// A batch pays more than one slice: one for so many bytes.
constexpr uint64_t kBytesPerSlice = 16 << 10;
constexpr int kMoveAttempts = 3;
// Of what was put off, so much may wait for a race that is won at once.
constexpr int64_t kPutOffBytesMax = 1 << 20;
constexpr uint64_t kPutOffSlicesMax = 16;
constexpr size_t kVictimsFew = 4;
constexpr size_t kTightTimes = 4;
// What a writer walks in one go.
constexpr size_t kGatherBlocks = 64;

// 0 from `none` on, 1 at `one`, at most 2.
double Below(double none, double one, double share) {
  return std::clamp((none - share) / (none - one), 0.0, 2.0);
}

}  // namespace

size_t VictimsFor(const SpaceUse& use, size_t others) {
  const uint64_t limit = use.used_bytes / kSegmentBytes / kVictimsShare;
  return limit - std::min<uint64_t>(limit, others);
}

double PressureOf(uint64_t live, uint64_t movable, uint64_t free) {
  if (movable <= live + kSlackBytes) return 0;
  // With what writers will open next: in a small domain that counts.
  const uint64_t open = std::clamp(live / 2, kOpenBytesMin, kOpenBytesMax);
  const double share =
      static_cast<double>(live) / static_cast<double>(movable + open);
  // The file is as large as it has been: to leave more of it free than the next
  // claims need would be work for nothing. But each time that is not enough for
  // all writers together, the file grows: so there is an end to it.
  const auto enough =
      static_cast<double>(std::max(kFreeBytesMin, movable / kFreeShare));
  const double room = static_cast<double>(free) / enough;
  return std::max(std::min(Below(kShareRelaxed, kShareTight, share),
                           std::clamp(2 - 2 * room, 0.0, 2.0)),
                  Below(kShareTight, kShareLeast, share));
}

size_t Compactor::ClaimedByOthers(const SegmentSurvey& survey) const {
  return static_cast<size_t>(std::count_if(
      survey.words.begin(), survey.words.end(), [&](SegmentWord word) {
        return word.state() == SegmentState::kClaimed &&
               word.owner() != core_->slots->index();
      }));
}

absl::Status Compactor::Plan(const SegmentSurvey& survey) {
  const Keepers keepers =
      urgent_ ? Keepers::kLongPins : Keepers::kLongDurableToo;
  const SpaceUse use = MeasureSpace(survey, keepers);
  double pressure =
      PressureOf(use.movable_live_bytes(), use.movable_bytes(), use.free_bytes);
  if (urgent_) pressure = std::max(pressure, 1.0);
  // Within a long transaction there are plans and no commits, but claims.
  const uint64_t commits = ReadCounter(core_->slots->own().commits);
  const uint64_t claims = core_->source->claims();
  is_writing_ = commits != planned_commits_ || claims != planned_claims_;
  planned_claims_ = claims;
  if (commits != planned_commits_) {
    claims_a_commit_ = (claims - claims_before_) / (commits - planned_commits_);
    claims_before_ = claims;
    planned_commits_ = commits;
  }
  evacuation_.Refresh(survey.rows);
  // Rounds that begin while space is short may not end: who makes room begins
  // those that do (I22).
  if (pressure == 0 || core_->source->is_tight() || is_making_room_) {
    rate_.Set(0);
    Forgive();
    return absl::OkStatus();
  }
  const uint64_t goal = std::clamp(use.live_bytes / kPlanShareOfLive,
                                   kPlanBytesMin, kPlanBytesMax);
  // A process that is stopped keeps its victims from all others; one without a
  // background thread does so while it is idle, too. But what a commit fills
  // that one must empty, and no more are chosen while it pays; nor is a file
  // that grows beyond all balance any better.
  const uint64_t claims_in_one =
      std::max(claims_a_commit_, claims - claims_before_);
  const size_t victims_limit =
      has_background_ ? Evacuation::kVictimsMax
                      : std::min<size_t>((kVictimsFew + 2 * claims_in_one) *
                                             (pressure > 1 ? kTightTimes : 1),
                                         Evacuation::kVictimsMax);
  const size_t victims_max = std::clamp<size_t>(
      VictimsFor(use, ClaimedByOthers(survey)), kVictimsFew, victims_limit);
  // What could not be paid for want of victims is not asked for later.
  debt_.Set(std::min<int64_t>(debt_.Get(), static_cast<int64_t>(goal)));
  patience_.Set(static_cast<int64_t>(goal / 2));
  // Who does not write pays nothing: the victims are for those who do.
  if (is_writing_ && evacuation_.live_bytes_left() < goal * 3 / 4 &&
      evacuation_.victims() < victims_max) {
    VictimGoal wanted;
    wanted.keepers = keepers;
    wanted.live_bytes_max = goal;
    wanted.count_max = victims_max - evacuation_.victims();
    EVE_RETURN_IF_ERROR(TakeVictims(survey, wanted).status());
  }
  // When they were claimed: what is left of those that writers have come by
  // says nothing of what the next ones will cost.
  const uint64_t held = evacuation_.victims() * kSegmentBytes;
  const double victims_share =
      held == 0 ? 0
                : std::min(0.9, static_cast<double>(
                                    evacuation_.live_bytes_when_claimed()) /
                                    static_cast<double>(held));
  const double rate = std::clamp(
      2 * pressure * victims_share / (1 - victims_share), kRateMin, kRateMax);
  rate_.Set(static_cast<int64_t>(rate * kRateOne));
  return absl::OkStatus();
}

bool Compactor::TryClaim(const Victim& victim) {
  {
    std::lock_guard lock(mutex_);
    if (given_up_.contains(victim.segment)) return false;
  }
  if (evacuation_.IsBarren(victim.segment, victim.live_units) ||
      !core_->table->TryClaimSealed(victim.segment)) {
    return false;
  }
  if (!large_values_.Keeps(victim)) return true;
  EVE_STEP("evacuate.large_kept");
  core_->table->ReleaseSealed(victim.segment);
  return false;
}

absl::StatusOr<size_t> Compactor::TakeVictims(const SegmentSurvey& survey,
                                              const VictimGoal& goal) {
  return AddClaimed(ChooseVictims(
      survey, goal, [this](const Victim& victim) { return TryClaim(victim); }));
}

absl::StatusOr<size_t> Compactor::TakeThis(const Victim& victim) {
  std::vector<Victim> claimed;
  if (TryClaim(victim)) claimed.push_back(victim);
  return AddClaimed(claimed);
}

absl::StatusOr<size_t> Compactor::AddClaimed(
    const std::vector<Victim>& claimed) {
  if (claimed.empty()) return 0;
  EVE_STEP("evacuate.claimed");
  // Only now may the root be read: nobody else can fill them any more (P5).
  absl::StatusOr<PinnedRoot> root =
      PinnedRoot::PinNewest(*core_->root, core_->cells.get(), core_->view);
  using Rows = absl::StatusOr<std::vector<AccountingRow>>;
  const Rows rows =
      root.ok() ? ReadExactRows(core_->FileView(), root->offset(), core_->salt)
                : Rows(root.status());
  for (const Victim& victim : claimed) {
    if (!rows.ok() || victim.segment >= rows->size() ||
        (*rows)[victim.segment].run_length != 1) {
      core_->table->ReleaseSealed(victim.segment);
      continue;
    }
    const AccountingRow& row = (*rows)[victim.segment];
    evacuation_.Add(victim.segment, row.fill_units, row.live_units);
  }
  if (!rows.ok()) return rows.status();
  return claimed.size();
}

void Compactor::GiveUp(const Slice& slice) {
  {
    std::lock_guard lock(mutex_);
    for (const MoveTarget& target : slice.targets) {
      given_up_.insert(target.offset.segment());
    }
  }
  evacuation_.Abandon(slice);
}

void Compactor::CountMoves(const MoveResult& moved) {
  ProcessSlot& own = core_->slots->own();
  CountInSlot(own.blocks_moved, moved.blocks);
  CountInSlot(own.bytes_moved, moved.bytes);
}

void Compactor::Settled(const Slice& slice, const MoveResult& moved) {
  debt_.Add(-CostOf(slice, moved));
  evacuation_.Settle(slice, moved.bytes);
  CountMoves(moved);
}

void Compactor::SettledBeside(const MoveResult& moved) {
  debt_.Add(-static_cast<int64_t>(moved.bytes));
  evacuation_.SettleBeside(moved.bytes);
  CountMoves(moved);
}

absl::StatusOr<Compactor::Outcome> Compactor::MoveSlice(
    internal::TransactionImpl& transaction, size_t targets_max,
    internal::Manners manners, ClaimPurpose purpose) {
  Slice slice;
  if (!evacuation_.TakeAny(targets_max, &slice)) return Outcome::kNothingLeft;
  MoveResult moved;
  SwapOptions options;
  options.max_attempts = kMoveAttempts;
  const absl::StatusOr<internal::SwapResult> done = internal::RunSwap(
      transaction,
      [&](internal::TransactionImpl& run) -> absl::Status {
        moved = MoveResult{};
        run.attempt().writer().SetPurpose(purpose);
        if (slice.collection == kCatalogId) {
          run.MoveCatalog(slice.targets);
          return absl::OkStatus();
        }
        EVE_ASSIGN_OR_RETURN(
            const std::string name,
            evacuation_.names().NameOf(core_->FileView(), run.base().record(),
                                       slice.collection));
        // Dropped: a graveyard's blocks are retired where they lie.
        if (name.empty()) return absl::OkStatus();
        return run.MoveIn(name, slice.collection, slice.targets, &moved);
      },
      options, /*rider=*/nullptr, manners);
  if (done.ok()) {
    Settled(slice, moved);
    return Outcome::kMoved;
  }
  if (absl::IsDataLoss(done.status())) {
    GiveUp(slice);
    return done.status();
  }
  evacuation_.HandBack(std::move(slice));
  if (absl::IsAborted(done.status())) return Outcome::kLost;
  return done.status();
}

void Compactor::PayPutOff(internal::TransactionImpl& transaction,
                          uint64_t bytes, absl::Time deadline) {
  uint64_t left = 1 + bytes / kBytesPerSlice;
  uint64_t slices = std::min(left, kPutOffSlicesMax);
  // Nothing is moved beside others while space is short (I22).
  while (left > 0 && owed() > 0 && has_victims() &&
         !core_->source->is_tight() && absl::Now() < deadline) {
    slices = std::min(slices, left);
    // One that owes much takes its turn, if it may wait for that.
    const auto manners =
        owed() > kPutOffBytesMax && deadline == absl::InfiniteFuture()
            ? internal::Manners::kGiveWay
            : internal::Manners::kGiveUp;
    const absl::StatusOr<Outcome> moved =
        MoveSlice(transaction, kSliceTargets * slices, manners);
    if (!moved.ok()) return Forgive();
    if (*moved == Outcome::kNothingLeft) {
      const absl::StatusOr<bool> gathered = Gather(kGatherBlocks * slices);
      if (!gathered.ok() || !*gathered) return;
    }
    left -= slices;
    if (*moved != Outcome::kLost) continue;
    // Shorter ones lose fewer races; longer ones share more of their paths.
    if (slices == 1) return;
    slices /= 2;
  }
}

void MoveRider::Begin(internal::TransactionImpl& transaction) {
  SideMoves& beside = transaction.side_moves();
  beside.emptied = &compactor_->evacuation_.emptied();
  if (compactor_->has_victims()) {
    const bool has_rests = compactor_->evacuation_.has_targets();
    beside.budget_bytes =
        compactor_->owed() - (has_rests ? Compactor::kRestDebtBytes : 0);
  }
  beside_ = &beside;
}

absl::Status MoveRider::Board(internal::TransactionImpl& transaction) {
  const uint64_t bytes = transaction.attempt().bytes_written();
  bytes_ = bytes;
  if (!has_owed_) compactor_->Owe(bytes);
  has_owed_ = true;
  // Paid when it is published; until then it counts here.
  int64_t owed =
      compactor_->owed() - static_cast<int64_t>(beside_->moved.bytes);
  if (owed <= 0 || !compactor_->has_victims()) return absl::OkStatus();
  const size_t slices_max = 1 + bytes / kBytesPerSlice;
  const std::vector<uint32_t> ids = transaction.WrittenCollections();
  for (size_t n = 0; owed > 0 && n < slices_max; ++n) {
    Moved now;
    const auto wanted = std::find_if(ids.begin(), ids.end(), [&](uint32_t id) {
      return compactor_->evacuation_.Take(id, Compactor::kSliceTargets,
                                          &now.slice);
    });
    if (wanted == ids.end()) {
      if (!compactor_->WantsSlices()) return absl::OkStatus();
      // A background thread that keeps up leaves nothing to gather here.
      const absl::StatusOr<bool> gathered = compactor_->Gather(kGatherBlocks);
      if (gathered.ok() && *gathered) continue;
      found_nothing_ = true;
      return absl::OkStatus();
    }
    const absl::Status status =
        transaction.MoveWritten(*wanted, now.slice.targets, &now.result);
    if (!status.ok()) {
      if (absl::IsDataLoss(status)) {
        compactor_->GiveUp(now.slice);
      } else {
        compactor_->evacuation_.HandBack(std::move(now.slice));
        compactor_->Forgive();
      }
      return status;
    }
    owed -= Compactor::CostOf(now.slice, now.result);
    moved_.push_back(std::move(now));
  }
  return absl::OkStatus();
}

void MoveRider::Alight(bool published) {
  if (published && beside_->moved.blocks > 0) {
    compactor_->SettledBeside(beside_->moved);
  }
  for (Moved& moved : moved_) {
    if (published) {
      compactor_->Settled(moved.slice, moved.result);
    } else {
      compactor_->evacuation_.HandBack(std::move(moved.slice));
    }
  }
  moved_.clear();
  was_put_off_ |= !published;
}

}  // namespace eve
