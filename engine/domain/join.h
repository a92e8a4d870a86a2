// Joining a region that others have made: the process slot, and the bytes by
// which one knows that there is no other region of the same file (P21).
//
// Threads:    one.
// Processes:  any number at once.
// Owns:       fills a Core's slots and cells.
// Lifetime:   death at any step drops the locks.
// Errors:     kFailedPrecondition: another build, file or region; others as the
//             system calls say.
// Cost:       some ten system calls.
#ifndef EVE_ENGINE_DOMAIN_JOIN_H_
#define EVE_ENGINE_DOMAIN_JOIN_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "engine/txn/core.h"

namespace eve {

inline constexpr absl::Duration kInitTimeout = absl::Seconds(10);

// A process that is closing or dying drops its slot byte and its region byte
// one after the other; only one that stays is another region's.
absl::Status AwaitNoOtherRegion(const Core& core);

// That the region is ready, of this build and of this file.
absl::Status CheckLiveRegion(const Core& core);

absl::Status CheckLockFileInPlace(const Core& core);

// Takes a process slot and the region's byte. REQUIRES: the init byte, which it
// gives back as soon as others see the slot taken: nobody rebuilds the region
// then, and one that is stopped later is in nobody's way.
absl::Status Join(Core& core, bool in_memory);

// Gives the process slot back. The files stay open.
void DetachRegion(Core& core);

}  // namespace eve

#endif  // EVE_ENGINE_DOMAIN_JOIN_H_
