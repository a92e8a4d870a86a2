// RescueIdentity: which domain a damaged file was.
//
// Threads:    one caller; a search takes all processors.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     kDataLoss: nothing says it.
// Cost:       a few reads; if neither superblock nor slots nor the lock file
//             say it, a search (salt_search.h).
#ifndef EVE_ENGINE_VERIFY_RESCUE_IDENTITY_H_
#define EVE_ENGINE_VERIFY_RESCUE_IDENTITY_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/file/file.h"
#include "engine/verify/rescue.h"

namespace eve::verify {

using Uuid = std::array<uint8_t, 16>;

struct RescueIdentity {
  std::string source;                 // where it is from
  uint64_t salt = 0;                  // of the checksums
  std::optional<Uuid> uuid;           // unknown if the salt was searched for
  std::optional<uint64_t> hash_seed;  // only the superblock has it
  uint64_t hash_mask = 0;
};

// Tells the sink before it searches.
absl::StatusOr<RescueIdentity> Identify(const File& file, uint64_t file_bytes,
                                        RescueSink& sink);

}  // namespace eve::verify

#endif  // EVE_ENGINE_VERIFY_RESCUE_IDENTITY_H_
