// FlusherTurn: one flushes, the others wait for it and take what it gives.
//
// Who has the ticket flushes whatever is published by then; who has published
// something meanwhile waits for the beat and flushes next, for all that have
// come until then. It is a courtesy: anybody may flush at any time in a slot of
// his own, and a holder that is dead, or takes several times as long as flushes
// take, loses the ticket to the first that has waited. So one that is stopped
// is waited for once (P20).
//
// Threads:    any.
// Processes:  any number; two words of the region. The kernel wakes who waits.
// Owns:       nothing; a flusher owns the ticket that it was given.
// Lifetime:   shorter than the region's. A death leaves the ticket, which the
//             next that wants to flush takes over.
// Errors:     none.
// Cost:       a compare-and-swap, and a wake-up call.
#ifndef EVE_ENGINE_EPOCH_FLUSHER_TURN_H_
#define EVE_ENGINE_EPOCH_FLUSHER_TURN_H_

#include <atomic>
#include <cstdint>
#include <optional>

#include "engine/epoch/process_slots.h"
#include "engine/file/shared_region.h"

namespace eve {

class FlusherTurn {
 public:
  // A holder is waited for so many of its flushes, and a little longer; one
  // that has taken over, for twice as many. A flush too many harms nobody.
  static constexpr uint64_t kFlushesWaited = 2;
  static constexpr uint64_t kGraceNanos = 4'000'000;
  static constexpr uint64_t kWaitNanosMax = 1'000'000'000;
  // Those who wait on the beat and will not flush themselves wait with this
  // bit: they are woken at each beat, and never as the one to flush next.
  static constexpr uint32_t kWatchBit = uint32_t{1} << 31;

  // What one that waits remembers, so that it waits once for a holder.
  struct Patience {
    uint64_t ticket = 0;
    uint64_t end = 0;  // of MonotonicNanos()
  };

  FlusherTurn(const SharedRegion* region, const ProcessSlots* slots)
      : region_(region), slots_(slots) {}

  // Read before one looks whether there is something to wait for.
  uint64_t beat() const;

  // The ticket, if nobody has it; else 0.
  uint64_t TryTake();
  // Waits until the beat is not `seen` any more, nobody has the ticket, or
  // `until` of MonotonicNanos() has come, and returns 0; or until the holder is
  // dead or has had its time, and returns the ticket that replaces its.
  // Of those who wait for nothing but the next flush, one is woken at a time.
  uint64_t WaitOrTakeOver(uint64_t version, uint64_t seen, uint64_t until,
                          Patience& patience);

  // What a flush has made durable: the versions above `from`, up to `to`.
  struct Flushed {
    uint64_t from = 0;
    uint64_t to = 0;
    uint64_t nanos = 0;  // that it took
  };
  // After a flush; none: it failed, or there was none. Wakes those who wait for
  // these versions, or all, and one more, who is to flush next.
  void Release(uint64_t ticket, const std::optional<Flushed>& flushed);

  // How long flushes of this process take, about.
  uint64_t flush_nanos() const {
    return flush_nanos_.load(std::memory_order_relaxed);
  }

 private:
  uint64_t NewTicket(uint64_t nanos);
  void Wake(const std::optional<Flushed>& flushed) const;

  const SharedRegion* region_;
  const ProcessSlots* slots_;
  std::atomic<uint64_t> serial_{0};
  std::atomic<uint64_t> flush_nanos_{1'000'000};
};

}  // namespace eve

#endif  // EVE_ENGINE_EPOCH_FLUSHER_TURN_H_
