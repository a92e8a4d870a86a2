#include "engine/epoch/writers_turn.h"

#include <algorithm>

#include "engine/epoch/ticket.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/futex.h"

namespace eve {
namespace {

// How often one that waits looks whether the holder lives.
constexpr uint64_t kLookNanos = 10 * kNanosPerMilli;

uint64_t BoundOf(uint64_t ticket) {
  return std::min(WritersTurn::kRunsWaited * NanosOfTicket(ticket) +
                      WritersTurn::kGraceNanos,
                  WritersTurn::kWaitNanosMax);
}

}  // namespace

bool WritersTurn::IsTaken(uint64_t mine) const {
  // relaxed, here and below: nothing is published by the word.
  const uint64_t ticket = word().load(std::memory_order_relaxed);
  return ticket != 0 && ticket != mine;
}

bool WritersTurn::IsHolderDead(uint64_t ticket) const {
  return IsTicketHolderDead(*region_, *slots_, ticket);
}

void WritersTurn::Drop(uint64_t ticket) {
  if (word().compare_exchange_strong(ticket, 0, std::memory_order_relaxed)) {
    FutexWakeAll(word());
  }
}

bool WritersTurn::DropIfDead(uint64_t ticket) {
  if (!IsHolderDead(ticket)) return false;
  EVE_STEP("turn.holder_dead");
  Drop(ticket);
  return true;
}

bool WritersTurn::ShouldLeaveOff() {
  if (!IsTaken()) return false;
  const uint64_t ticket = word().load(std::memory_order_relaxed);
  if (ticket == 0 || DropIfDead(ticket)) return false;
  const uint64_t now = MonotonicNanos();
  if (left_off_for_.load(std::memory_order_relaxed) != ticket) {
    left_off_since_.store(now, std::memory_order_relaxed);
    left_off_for_.store(ticket, std::memory_order_relaxed);
    return true;
  }
  const uint64_t since = left_off_since_.load(std::memory_order_relaxed);
  if (now < since + BoundOf(ticket)) return true;
  EVE_STEP("turn.left_off_in_vain");
  Drop(ticket);
  return false;
}

void WritersTurn::GiveWay(uint64_t mine, uint64_t until) {
  if (!IsTaken(mine)) return;
  EVE_STEP("turn.give_way");
  CountInSlot(slots_->own().waits);
  const uint64_t begin = MonotonicNanos();
  // Of holders that take turns this one has had enough then: no news of theirs.
  until = std::min(until, begin + kWaitNanosMax);
  uint64_t now = begin;
  uint64_t end = begin;
  uint64_t ticket = 0;  // the one that `end` is for
  while (true) {
    const uint64_t seen = word().load(std::memory_order_relaxed);
    if (seen == 0 || seen == mine) return;
    if (seen != ticket) {
      ticket = seen;
      end = now + BoundOf(seen);
    }
    if (DropIfDead(seen)) continue;
    if (now >= end) {
      EVE_STEP("turn.waited_in_vain");
      Drop(seen);
      continue;
    }
    if (now >= until) return;  // others may have the time
    FutexWait(word(), seen, std::min({end - now, until - now, kLookNanos}));
    now = MonotonicNanos();
  }
}

uint64_t WritersTurn::NewTicket(uint64_t run_nanos) {
  return MakeTicket(*slots_, tickets_.fetch_add(1, std::memory_order_relaxed),
                    run_nanos);
}

uint64_t WritersTurn::Take(uint64_t mine, uint64_t run_nanos) {
  uint64_t ticket = word().load(std::memory_order_relaxed);
  if (IsTaken(mine) && !IsHolderDead(ticket)) return mine;
  // The former one was replaced in vain, or thrown away by those who waited.
  if (mine != 0) run_nanos = std::max(run_nanos, 2 * NanosOfTicket(mine));
  const uint64_t next = NewTicket(run_nanos);
  if (!word().compare_exchange_strong(ticket, next,
                                      std::memory_order_relaxed)) {
    return mine;
  }
  CountInSlot(slots_->own().turns);
  // Who waits for an older one waits for this one then.
  if (ticket != 0) FutexWakeAll(word());
  EVE_STEP("turn.taken");
  return next;
}

void WritersTurn::Release(uint64_t mine) {
  EVE_STEP("turn.before_release");
  if (word().compare_exchange_strong(mine, 0, std::memory_order_relaxed)) {
    FutexWakeAll(word());
  }
}

}  // namespace eve
