// Punching: gives the disk space of free segments back to the file system.
//
// Free segments are used again first; only when there are many are they
// punched, the highest first, so that the end of the file empties. Each is
// claimed, punched and released, so it belongs to the puncher until the system
// call has returned: a call that a stopped process issues late cannot hit what
// somebody else stored. Dead punchers' claims are taken over as all others.
//
// Threads:    any.
// Processes:  any number at once; a claim keeps them apart.
// Owns:       one claim at a time, inside a call.
// Lifetime:   death at any step leaves a claim of a dead owner, of a segment
//             that nobody takes for backed.
// Errors:     the system call's; kUnimplemented where the file system has no
//             holes. The segment is free again, and all is as if nobody tried.
// Cost:       a scan of the state words; a system call for each segment.
#ifndef EVE_ENGINE_RECLAIM_PUNCH_H_
#define EVE_ENGINE_RECLAIM_PUNCH_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "engine/txn/core.h"

namespace eve {

// Punches free segments until no more than `keep_free` are left that may have
// disk space, or `budget` were punched. Returns how many were.
absl::StatusOr<uint64_t> PunchFree(Core& core, uint64_t keep_free,
                                   uint64_t budget);

// The policy, one slice at a time. While writing goes on, what is free will be
// used again soon: only what exceeds the used segments goes. When nothing has
// been written for a while, all but a small reserve does.
absl::StatusOr<uint64_t> GiveBack(Core& core, bool is_idle);

}  // namespace eve

#endif  // EVE_ENGINE_RECLAIM_PUNCH_H_
