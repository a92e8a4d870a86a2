#include "engine/txn/contender.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "util/clock.h"
#include "util/status_macros.h"

namespace eve::internal {
namespace {

// When a swap asks for the turn. Short runs that meet by chance get through by
// backing off; long ones are worth a wait of others after two.
constexpr uint32_t kLostRunsMax = 16;
constexpr uint32_t kLostLongRuns = 2;
constexpr uint64_t kLostNanosMax = kNanosPerMilli;
constexpr uint32_t kLostRestampsMax = 64;
// Those of a large batch whose pages are written each time are long, too.
constexpr uint32_t kLostLongRestamps = 8;
constexpr uint64_t kLostRestampNanosMax = 4 * kNanosPerMilli;

// `deadline` as a time of MonotonicNanos().
uint64_t UntilOf(absl::Time deadline) {
  if (deadline == absl::InfiniteFuture()) return UINT64_MAX;
  const int64_t left = absl::ToInt64Nanoseconds(deadline - absl::Now());
  return MonotonicNanos() + (left > 0 ? static_cast<uint64_t>(left) : 0);
}

}  // namespace

absl::Status Contender::BeginRun() {
  if (manners_ == Manners::kGiveUp && turn_->ShouldLeaveOff()) {
    return absl::AbortedError("another writer has the turn");
  }
  if (manners_ == Manners::kGiveWay && turn_->IsTaken(ticket_)) {
    turn_->GiveWay(ticket_, UntilOf(options_.deadline));
  }
  EVE_RETURN_IF_ERROR(CheckDeadline());
  // The first run is not timed: nearly all win.
  if (lost_runs_ > 0) run_began_ = MonotonicNanos();
  return absl::OkStatus();
}

absl::Status Contender::CompareWithDeadline() const {
  if (absl::Now() < options_.deadline) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat("the deadline of the swap has passed; ", lost_runs_,
                   " runs were lost to other writers"));
}

void Contender::LoseRun() {
  ++lost_runs_;
  if (run_began_ != 0) lost_nanos_ += MonotonicNanos() - run_began_;
  if (manners_ == Manners::kGiveWay &&
      (lost_runs_ >= kLostRunsMax ||
       (lost_runs_ >= kLostLongRuns && lost_nanos_ >= kLostNanosMax))) {
    TakeTurn();
  }
  if (ticket_ == 0) backoff_.Wait();
}

void Contender::LoseRestamp() {
  const uint64_t now = MonotonicNanos();
  if (lost_restamps_++ == 0) first_restamp_ = now;
  const uint64_t lost = now - first_restamp_;
  if (manners_ == Manners::kGiveWay &&
      (lost_restamps_ >= kLostRestampsMax ||
       (lost_restamps_ >= kLostLongRestamps && lost >= kLostRestampNanosMax))) {
    ticket_ = turn_->Take(ticket_, lost / lost_restamps_);
    lost_restamps_ = 0;
  }
  if (ticket_ == 0) backoff_.Wait();
}

void Contender::TakeTurn() {
  const uint64_t run = run_began_ == 0 ? 0 : MonotonicNanos() - run_began_;
  ticket_ = turn_->Take(ticket_, run);
}

}  // namespace eve::internal
