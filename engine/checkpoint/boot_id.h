// Boot id and random bytes, from the kernel.
//
// Threads:    any.
// Processes:  a container may have a boot id of its own; it then loses the
//             commits since the last checkpoint when it restarts.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     false: the system shows no boot id, so no live root is ever
//             adopted. A Status: it does, but not now (no descriptor is left).
// Cost:       system calls.
#ifndef EVE_ENGINE_CHECKPOINT_BOOT_ID_H_
#define EVE_ENGINE_CHECKPOINT_BOOT_ID_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"

namespace eve {

absl::StatusOr<bool> ReadBootId(uint8_t boot_id[16]);
void FillRandom(void* bytes, size_t size);

}  // namespace eve

#endif  // EVE_ENGINE_CHECKPOINT_BOOT_ID_H_
