// Group commit: whoever flushes flushes for everybody, up to what is published
// and so written, never up to what somebody is about to publish.

#include <sched.h>

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/checkpoint/checkpointer.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/futex.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// Waiting for more commits: at most this share of a flush, and not longer than
// it takes a thread that was woken to commit again.
constexpr uint64_t kGatherShare = 4;
constexpr uint64_t kGatherNanosMax = 100 * kNanosPerMicro;
constexpr uint64_t kQuietNanos = 12 * kNanosPerMicro;

// Of MonotonicNanos().
uint64_t NanosAt(absl::Time until) {
  if (until == absl::InfiniteFuture()) return UINT64_MAX;
  const int64_t left = absl::ToInt64Nanoseconds(until - absl::Now());
  return MonotonicNanos() + static_cast<uint64_t>(std::max<int64_t>(left, 0));
}

absl::Status NotYet(const Core& core, uint64_t version) {
  return absl::DeadlineExceededError(
      absl::StrCat(core.path, ": version ", version, " is not durable yet, ",
                   ReadDurableVersion(core.region), " is"));
}

}  // namespace

void Checkpointer::Gather() const {
  const uint64_t begin = MonotonicNanos();
  const uint64_t end =
      begin + std::min(turn_.flush_nanos() / kGatherShare, kGatherNanosMax);
  Offset newest = core_->root->Load();
  uint64_t changed = begin;
  for (uint64_t now = begin; now < end && now < changed + kQuietNanos;
       now = MonotonicNanos()) {
    ::sched_yield();
    const Offset root = core_->root->Load();
    if (root == newest) continue;
    newest = root;
    changed = now;
  }
}

absl::StatusOr<bool> Checkpointer::FlushForAll(uint64_t version,
                                               uint64_t deadline) {
  EVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> slot,
                       slots_.Take(version, deadline));
  if (!slot.has_value()) return false;
  absl::Cleanup release = [this, &slot] { slots_.Release(*slot); };
  return WriteNewest(*slot, /*may_list=*/true);
}

absl::Status Checkpointer::Commit(uint64_t version, absl::Time until) {
  const uint64_t deadline = NanosAt(until);
  FlusherTurn::Patience patience;
  bool has_waited = false;
  while (true) {
    const uint64_t beat = turn_.beat();
    if (durable_version() >= version) return absl::OkStatus();
    EVE_RETURN_IF_ERROR(CheckPoison(*core_));
    uint64_t ticket = turn_.TryTake();
    if (ticket == 0) {
      if (MonotonicNanos() >= deadline) return NotYet(*core_, version);
      ticket = turn_.WaitOrTakeOver(version, beat, deadline, patience);
      has_waited = true;
      if (ticket == 0) continue;
    }
    // Where several commit, one that has just been woken will commit again.
    if (has_waited || group_.load(std::memory_order_relaxed) > 1) Gather();
    const uint64_t begin = MonotonicNanos();
    FlusherTurn::Flushed done = {.from = durable_version()};
    const absl::StatusOr<bool> flushed = FlushForAll(version, deadline);
    // How long it takes to find that there is nothing to do, or that it fails,
    // says nothing of how long others should wait for a flush.
    const bool has_flushed = flushed.ok() && *flushed;
    done.to = durable_version();
    done.nanos = MonotonicNanos() - begin;
    turn_.Release(ticket, has_flushed ? std::optional(done) : std::nullopt);
    EVE_RETURN_IF_ERROR(flushed.status());
  }
}

absl::Status Checkpointer::Wait(uint64_t version, absl::Time until,
                                absl::FunctionRef<bool()> is_over) const {
  const uint64_t deadline = NanosAt(until);
  while (true) {
    const uint64_t beat = turn_.beat();
    if (durable_version() >= version) return absl::OkStatus();
    EVE_RETURN_IF_ERROR(CheckPoison(*core_));
    const uint64_t now = MonotonicNanos();
    if (now >= deadline || is_over()) return NotYet(*core_, version);
    EVE_STEP("durable.wait");
    if (!FutexWait(core_->region.words().beat, beat,
                   std::min(deadline - now, kNanosPerSecond),
                   FlusherTurn::kWatchBit)) {
      EVE_STEP("durable.looked");
    }
  }
}

absl::Status Checkpointer::WaitForOthers(uint64_t version, absl::Time until) {
  SlotKeeper::Vigil vigil(&slots_);
  bool is_in_vain = false;
  const absl::Status done = Wait(version, until, [&] {
    is_in_vain = slots_.IsInVain(vigil);
    return is_in_vain;
  });
  return is_in_vain ? slots_.NoteVain(vigil.announced()) : done;
}

}  // namespace eve
