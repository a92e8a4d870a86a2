// TrySalts: the innermost loop of the search for a domain's salt.
//
// Threads:    pure function.
// Processes:  same result everywhere.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       some 4 ns a salt with AVX2, 10 without.
#ifndef EVE_ENGINE_VERIFY_SALT_TRIAL_H_
#define EVE_ENGINE_VERIFY_SALT_TRIAL_H_

#include <cstdint>
#include <vector>

#include "engine/format/block.h"
#include "engine/format/offset.h"

namespace eve::verify {

// All of a block that its hash is made of but for the salt.
struct SaltProbe {
  BlockHeader header;
  Offset offset;
  uint64_t body_hash = 0;
};

// The salt under which the hash of `probe` is `hash`.
uint64_t SaltOf(const SaltProbe& probe, uint64_t hash);

// The salts under which the checksums of both are right, if the upper half of
// the pivot's hash is in [first, end): that half and the checksum are its hash,
// and so its salt. By chance one in 2^32 fits as well.
std::vector<uint64_t> TrySalts(const SaltProbe& pivot, const SaltProbe& witness,
                               uint64_t first, uint64_t end);

}  // namespace eve::verify

#endif  // EVE_ENGINE_VERIFY_SALT_TRIAL_H_
