// A ticket in a shared word: who has a turn at something, and how long one
// takes. Bits 0..21 a number that is never 0, 22..31 the slot of its process,
// 32..47 that one's generation, 48..63 how long a turn takes. The low half
// alone tells two tickets apart for whoever waits on it.
//
// Threads:    pure functions, but for what they load.
// Processes:  SHARED: part of the words of the region.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       a system call where liveness is asked for.
#ifndef EVE_ENGINE_EPOCH_TICKET_H_
#define EVE_ENGINE_EPOCH_TICKET_H_

#include <algorithm>
#include <cstdint>

#include "engine/epoch/process_slots.h"
#include "engine/file/shared_region.h"
#include "util/clock.h"

namespace eve {

inline constexpr int kTicketNumberBits = 22;
inline constexpr int kTicketOwnerBits = 10;
inline constexpr int kTicketGenerationShift =
    kTicketNumberBits + kTicketOwnerBits;
inline constexpr int kTicketNanosShift = 48;
inline constexpr uint64_t kTicketNumbers =
    (uint64_t{1} << kTicketNumberBits) - 1;
inline constexpr uint64_t kTicketOwnerMask =
    (uint64_t{1} << kTicketOwnerBits) - 1;
inline constexpr uint64_t kTicketGenerationMask = 0xFFFF;
inline constexpr uint64_t kTicketUnitsMax = 0xFFFF;
inline constexpr uint64_t kTicketNanosPerUnit = 64 * kNanosPerMicro;
static_assert(kProcessesMax <= uint64_t{1} << kTicketOwnerBits);

inline uint64_t MakeTicket(const ProcessSlots& slots, uint64_t serial,
                           uint64_t nanos) {
  const uint64_t units =
      std::clamp(nanos / kTicketNanosPerUnit, uint64_t{1}, kTicketUnitsMax);
  return (1 + serial % kTicketNumbers) |
         uint64_t{slots.index()} << kTicketNumberBits |
         (slots.generation() & kTicketGenerationMask)
             << kTicketGenerationShift |
         units << kTicketNanosShift;
}

inline uint64_t NanosOfTicket(uint64_t ticket) {
  return (ticket >> kTicketNanosShift) * kTicketNanosPerUnit;
}

inline bool IsTicketHolderDead(const SharedRegion& region,
                               const ProcessSlots& slots, uint64_t ticket) {
  const auto owner =
      static_cast<uint32_t>(ticket >> kTicketNumberBits & kTicketOwnerMask);
  const uint64_t generation =
      region.process(owner).generation.load(std::memory_order_acquire);
  return (generation & kTicketGenerationMask) !=
             (ticket >> kTicketGenerationShift & kTicketGenerationMask) ||
         !slots.IsAlive(owner);
}

}  // namespace eve

#endif  // EVE_ENGINE_EPOCH_TICKET_H_
