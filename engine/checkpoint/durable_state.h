// What all processes know of durability: the durable and pending words, the
// poison of a failed flush, and the beat that waiters wait for.
//
// Threads:    any.
// Processes:  words of the region. A death leaves pending words, which whoever
//             takes the slot over finishes (P17).
// Owns:       nothing.
// Lifetime:   shorter than the core's.
// Errors:     kUnavailable once a flush has failed, until all processes have
//             reopened the domain.
// Cost:       some loads; waking is a system call.
#ifndef EVE_ENGINE_CHECKPOINT_DURABLE_STATE_H_
#define EVE_ENGINE_CHECKPOINT_DURABLE_STATE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "engine/txn/core.h"

namespace eve {

// The two newest durable versions and every announced one: what a power
// failure may bring back. Pending words are read before durable ones (P6).
// Two slots may name one version: that counts once.
struct DurableCandidates {
  std::vector<uint64_t> pending;
  uint64_t newest = 0;
  uint64_t second = 0;
};
DurableCandidates ReadDurableCandidates(const SharedRegion& region);

// The newest durable version.
uint64_t ReadDurableVersion(const SharedRegion& region);

// What was announced for `slot` is on disk: raises its durable word, then
// clears the pending one (I9). `is_settled`: the slot has no list of extents.
// The caller tells who waits, when it has let go of what they may want.
void AcknowledgeSlot(const Core& core, uint32_t slot, uint64_t version,
                     bool is_settled);

absl::Status CheckPoison(const Core& core);
// A flush has failed: no more is acknowledged, in any process.
absl::Status PoisonDomain(const Core& core, const absl::Status& cause);

// Tells everybody who waits that a flush has ended, well or not.
void NoteFlushEnded(const Core& core);

}  // namespace eve

#endif  // EVE_ENGINE_CHECKPOINT_DURABLE_STATE_H_
