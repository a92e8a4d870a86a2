// Seeded hash of key bytes: part of the format, the same in every process.
//
// Threads:    pure function.
// Processes:  same result everywhere: XXH3-64 with the superblock's seed.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       a few nanoseconds for short keys.
#ifndef EVE_ENGINE_COLLECTIONS_HASH_H_
#define EVE_ENGINE_COLLECTIONS_HASH_H_

#include <cstdint>

#include "eve/bytes.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace eve {

// `mask` is all ones outside tests. Tests clear bits of it to force
// collisions; the verifier is given the same value.
struct KeyHasher {
  uint64_t seed = 0;
  uint64_t mask = ~uint64_t{0};

  uint64_t operator()(Bytes key) const {
    return XXH3_64bits_withSeed(key.data(), key.size(), seed) & mask;
  }

  // Tells keys of equal hash apart: from another seed, and never masked.
  uint16_t CollisionTag(Bytes key) const {
    constexpr uint64_t kOtherSeed = 0x9E37'79B9'7F4A'7C15;
    return static_cast<uint16_t>(
        XXH3_64bits_withSeed(key.data(), key.size(), seed ^ kOtherSeed));
  }
};

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_HASH_H_
