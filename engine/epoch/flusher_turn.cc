#include "engine/epoch/flusher_turn.h"

#include <algorithm>
#include <climits>

#include "engine/epoch/ticket.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/futex.h"

namespace eve {
namespace {

// How often one that waits looks whether the holder lives.
constexpr uint64_t kLookNanos = 10 * kNanosPerMilli;

// Who waits for a version is woken by one of so many bits, below kWatchBit.
constexpr uint64_t kWakeBits = 31;
constexpr uint32_t BitOf(uint64_t version) {
  return uint32_t{1} << version % kWakeBits;
}

}  // namespace

uint64_t FlusherTurn::beat() const {
  // acquire: what was durable at that beat is seen by loads after this one.
  return region_->words().beat.load(std::memory_order_acquire);
}

uint64_t FlusherTurn::NewTicket(uint64_t nanos) {
  return MakeTicket(*slots_, serial_.fetch_add(1, std::memory_order_relaxed),
                    nanos);
}

uint64_t FlusherTurn::TryTake() {
  SharedWord& word = region_->words().flusher;
  uint64_t none = word.load(std::memory_order_relaxed);
  // relaxed: nothing is published by the word; see docs/concurrency.md.
  const uint64_t ticket = NewTicket(flush_nanos());
  if (none != 0 ||
      !word.compare_exchange_strong(none, ticket, std::memory_order_relaxed)) {
    return 0;
  }
  EVE_STEP("flusher.taken");
  return ticket;
}

uint64_t FlusherTurn::WaitOrTakeOver(uint64_t version, uint64_t seen,
                                     uint64_t until, Patience& patience) {
  RegionWords& words = region_->words();
  EVE_STEP("flusher.wait");
  bool is_woken = true;
  for (uint64_t now = MonotonicNanos();; now = MonotonicNanos()) {
    uint64_t holder = words.flusher.load(std::memory_order_relaxed);
    if (holder == 0 || beat() != seen || now >= until) {
      if (!is_woken) EVE_STEP("flusher.looked");
      return 0;
    }
    if (holder != patience.ticket) {
      patience.ticket = holder;
      patience.end =
          now + std::min(kFlushesWaited * NanosOfTicket(holder) + kGraceNanos,
                         kWaitNanosMax);
    }
    const bool is_dead = IsTicketHolderDead(*region_, *slots_, holder);
    const bool has_had_its_time =
        now >= patience.end || EVE_FAULT("flusher.patience") != 0;
    if (is_dead || has_had_its_time) {
      EVE_STEP(is_dead ? "flusher.dead" : "flusher.waited_in_vain");
      // If it is the device that is slow, not all take over one by one.
      const uint64_t next = NewTicket(
          is_dead ? flush_nanos()
                  : std::max(flush_nanos(), 2 * NanosOfTicket(holder)));
      if (words.flusher.compare_exchange_strong(holder, next,
                                                std::memory_order_relaxed)) {
        EVE_STEP("flusher.taken_over");
        return next;
      }
      continue;
    }
    EVE_STEP("flusher.sleep");
    is_woken =
        FutexWait(words.beat, seen,
                  std::min({patience.end - now, until - now, kLookNanos}),
                  BitOf(version));
  }
}

// To wake all would cost as much as their commits: those who have come during
// the flush would only go to sleep again, but for one. Should that one die, the
// others look after kLookNanos.
void FlusherTurn::Wake(const std::optional<Flushed>& flushed) const {
  const SharedWord& beat = region_->words().beat;
  if (!flushed.has_value() || flushed->to - flushed->from >= kWakeBits) {
    FutexWakeAll(beat);
    return;
  }
  uint32_t bits = kWatchBit;
  for (uint64_t version = flushed->from; version < flushed->to; ++version) {
    bits |= BitOf(version + 1);
  }
  FutexWake(beat, bits, INT_MAX);
  FutexWake(beat, ~bits, 1);
}

void FlusherTurn::Release(uint64_t ticket,
                          const std::optional<Flushed>& flushed) {
  RegionWords& words = region_->words();
  if (flushed.has_value()) {
    // A device has its moments: half of the news counts.
    flush_nanos_.store((flush_nanos() + flushed->nanos) / 2,
                       std::memory_order_relaxed);
  }
  EVE_STEP("flusher.before_release");
  // It may be another's by now, if this one was stopped.
  words.flusher.compare_exchange_strong(ticket, 0, std::memory_order_relaxed);
  EVE_STEP("flusher.released");
  // release: pairs with beat().
  words.beat.fetch_add(1, std::memory_order_release);
  EVE_STEP("flusher.beat");
  Wake(flushed);
}

}  // namespace eve
