// Mix: the mixing step of block hashes, and the way back.
//
// Threads:    pure functions.
// Processes:  same result everywhere.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       two multiplications.
#ifndef EVE_ENGINE_FORMAT_CHECKSUM_MIX_H_
#define EVE_ENGINE_FORMAT_CHECKSUM_MIX_H_

#include <cstdint>

namespace eve {

// Three odd constants of splitmix64 (Steele, Lea, Flood 2014).
inline constexpr uint64_t kMixA = 0x9E37'79B9'7F4A'7C15;
inline constexpr uint64_t kMixB = 0xBF58'476D'1CE4'E5B9;
inline constexpr uint64_t kMixC = 0x94D0'49BB'1331'11EB;

constexpr uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * kMixB;
  x = (x ^ (x >> 27)) * kMixC;
  return x ^ (x >> 31);
}

// Of an odd number, modulo 2^64, by Newton: 3 bits are right at first, then
// twice as many each time.
constexpr uint64_t InverseOf(uint64_t odd) {
  uint64_t inverse = odd;
  for (int right = 3; right < 64; right *= 2) inverse *= 2 - odd * inverse;
  return inverse;
}

// What Mix() makes `x` of.
constexpr uint64_t Unmix(uint64_t x) {
  x = (x ^ (x >> 31) ^ (x >> 62)) * InverseOf(kMixC);
  x = (x ^ (x >> 27) ^ (x >> 54)) * InverseOf(kMixB);
  return x ^ (x >> 30) ^ (x >> 60);
}
static_assert(Unmix(Mix(kMixA)) == kMixA && Mix(Unmix(kMixA)) == kMixA);

}  // namespace eve

#endif  // EVE_ENGINE_FORMAT_CHECKSUM_MIX_H_
