#include "engine/domain/watch.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/root/root_watch.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/futex.h"
#include "util/start_thread.h"
#include "util/status_macros.h"

namespace eve::internal {

// What a Watch and its thread share.
struct WatchState {
  ~WatchState() {
    // The last one to let go is the thread itself: its watch was destroyed in
    // a call, and nobody is left to wait for it.
    if (thread.joinable()) thread.detach();
  }

  std::shared_ptr<DomainImpl> domain;
  std::function<void(uint64_t version)> fn;
  std::atomic<bool> is_stopped{false};
  std::mutex mutex;
  absl::Status status;
  std::thread thread;
};

namespace {

// How often one looks that cannot ask to be woken.
constexpr uint64_t kUnarmedLookNanos = 10 * kNanosPerMilli;

absl::StatusOr<uint64_t> NewestVersion(Core& core) {
  // A callback may have forked.
  EVE_RETURN_IF_ERROR(core.CheckUsable());
  SnapshotImpl snapshot(nullptr, &core);
  EVE_RETURN_IF_ERROR(snapshot.Take());
  return snapshot.record().version;
}

absl::Status CheckMayWait(const Core& core) {
  EVE_RETURN_IF_ERROR(core.CheckUsable());
  if (core.is_frozen()) core.frozen.lookout->Look(/*also_idle=*/true);
  if (!core.is_frozen()) return absl::OkStatus();
  return core.NobodyWrites();
}

// Of MonotonicNanos().
uint64_t NanosAfter(absl::Duration timeout) {
  const uint64_t now = MonotonicNanos();
  const int64_t nanos = absl::ToInt64Nanoseconds(timeout);
  if (nanos <= 0) return now;
  const auto left = static_cast<uint64_t>(nanos);
  return left < UINT64_MAX - now ? now + left : UINT64_MAX;
}

// What to sleep on, for somebody who looks before Sleep().
uint64_t Arm(const Core& core) {
  // Who has cells may write the region.
  return core.cells != nullptr ? RootWatch(&core.region).Arm()
                               : core.region.words().watch.load();
}

// False: the time is over.
bool Sleep(const Core& core, uint64_t armed, uint64_t nanos) {
  return RootWatch(&core.region)
      .Sleep(armed, core.cells != nullptr ? nanos
                                          : std::min(nanos, kUnarmedLookNanos));
}

// The newest version, once it is above `version`; or, at `until` or when
// `is_stopped` says so, whatever it is.
absl::StatusOr<uint64_t> AwaitNews(Core& core, uint64_t version, uint64_t until,
                                   const std::atomic<bool>* is_stopped) {
  EVE_ASSIGN_OR_RETURN(uint64_t newest, NewestVersion(core));
  while (newest <= version && MonotonicNanos() < until) {
    const uint64_t armed = Arm(core);
    // After arming: a stop that comes later changes the word.
    if (is_stopped != nullptr && is_stopped->load()) break;
    EVE_ASSIGN_OR_RETURN(newest, NewestVersion(core));
    const uint64_t now = MonotonicNanos();
    if (newest > version || now >= until) break;
    const bool was_woken = Sleep(core, armed, until - now);
    EVE_ASSIGN_OR_RETURN(newest, NewestVersion(core));
    // Nobody has said so: see RootWatch::kLookNanos.
    if (newest > version && !was_woken) EVE_STEP("watch.late");
  }
  return newest;
}

// Whether a later look may succeed: cells are released, the lock file gets
// room, a domain shrinks.
bool CanPass(const absl::Status& error) {
  return !absl::IsDataLoss(error) && !absl::IsFailedPrecondition(error);
}

// Tells who waits.
void EndWatch(WatchState& state, const absl::Status& why) {
  {
    const std::lock_guard lock(state.mutex);
    state.status = why;
  }
  // Nobody waits in a child that a call has forked; one more would fork again.
  if (!state.domain->core().fork_guard.IsForkedChild()) state.fn(0);
}

void RunWatch(const std::shared_ptr<WatchState>& state, uint64_t seen) {
  Core& core = state->domain->core();
  while (!state->is_stopped) {
    const absl::StatusOr<uint64_t> newest =
        AwaitNews(core, seen, UINT64_MAX, &state->is_stopped);
    if (!newest.ok()) {
      if (!CanPass(newest.status())) return EndWatch(*state, newest.status());
      EVE_STEP("watch.cannot_look");
      const uint64_t armed = Arm(core);
      // After arming, as above.
      if (!state->is_stopped) Sleep(core, armed, RootWatch::kLookNanos);
      continue;
    }
    if (state->is_stopped || *newest <= seen) continue;
    seen = *newest;
    EVE_STEP("watch.news");
    state->fn(seen);
  }
}

void StopWatch(WatchState& state) {
  Core& core = state.domain->core();
  if (core.fork_guard.IsForkedChild()) {
    // The thread is the parent's.
    new std::thread(std::move(state.thread));
    return;
  }
  state.is_stopped = true;
  // The others whom this wakes look, and sleep again.
  if (core.cells != nullptr) RootWatch(&core.region).WakeAll();
  // From inside a call: who comes from outside waits for its end.
  if (state.thread.get_id() == std::this_thread::get_id()) return;
  EVE_STEP("watch.join");
  state.thread.join();
}

}  // namespace

absl::StatusOr<uint64_t> WaitPast(DomainImpl& domain, uint64_t version,
                                  absl::Duration timeout) {
  Core& core = domain.core();
  EVE_RETURN_IF_ERROR(CheckMayWait(core));
  EVE_ASSIGN_OR_RETURN(
      const uint64_t newest,
      AwaitNews(core, version, NanosAfter(timeout), /*is_stopped=*/nullptr));
  if (newest > version) return newest;
  return absl::DeadlineExceededError(
      absl::StrCat(core.path, ": nothing above version ", version,
                   " is published, ", newest, " is the newest"));
}

absl::StatusOr<Watch> StartWatch(std::shared_ptr<DomainImpl> domain,
                                 std::function<void(uint64_t version)> fn) {
  Core& core = domain->core();
  EVE_RETURN_IF_ERROR(CheckMayWait(core));
  EVE_ASSIGN_OR_RETURN(const uint64_t seen, NewestVersion(core));
  auto state = std::make_shared<WatchState>();
  state->domain = std::move(domain);
  state->fn = std::move(fn);
  EVE_ASSIGN_OR_RETURN(state->thread,
                       StartThread([state, seen] { RunWatch(state, seen); }));
  return Watch(std::move(state));
}

}  // namespace eve::internal

namespace eve {

Watch& Watch::operator=(Watch&& other) noexcept {
  if (this != &other) {
    Stop();
    state_ = std::move(other.state_);
  }
  return *this;
}

void Watch::Stop() {
  if (state_ == nullptr || !state_->thread.joinable()) return;
  internal::StopWatch(*state_);
}

absl::Status Watch::status() const {
  if (state_ == nullptr) return absl::OkStatus();
  EVE_RETURN_IF_ERROR(state_->domain->core().CheckUsable());
  const std::lock_guard lock(state_->mutex);
  return state_->status;
}

}  // namespace eve
