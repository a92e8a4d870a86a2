// Poison: a debug aid that writes over segments when they are freed.
//
// A segment that somebody can still see goes on looking intact for as long as
// nobody reuses it. With poison it is filled the moment that it is freed, so
// that a test which reads through a pin, or opens a durable root, meets
// garbage.
//
// Threads:    any.
// Processes:  the switch is this process's; a fork() child inherits it.
// Owns:       a claim on the segment while it is filled.
// Lifetime:   death in the middle leaves a claim of a dead owner on a segment
//             that the reuse rule frees again.
// Errors:     a write that fails leaves the segment unpoisoned, and free.
// Cost:       none unless switched on; then a write of what was filled.
//             Not there at all when EVE_FAILPOINTS is not 1.
#ifndef EVE_ENGINE_RECLAIM_POISON_H_
#define EVE_ENGINE_RECLAIM_POISON_H_

#include <cstdint>

#include "engine/format/accounting_row.h"
#include "engine/txn/core.h"

namespace eve {

inline constexpr unsigned char kPoisonByte = 0xDD;

void SetPoisonFreedSegments(bool on);

// Frees a segment that was judged by the reuse rule when its word was `seen`.
// Returns whether it did: not if the word has changed (P5).
bool FreeJudged(Core& core, uint32_t segment, SegmentWord seen,
                const AccountingRow& row);

}  // namespace eve

#endif  // EVE_ENGINE_RECLAIM_POISON_H_
