// Rounding of sizes and positions to powers of two.
//
// Threads:    pure functions.
// Processes:  pure functions.
// Owns:       none.
// Lifetime:   none.
// Errors:     none; a sum past 2^64 - 1 is the caller's bug.
// Cost:       two or three instructions, all constexpr.
#ifndef EVE_UTIL_ALIGN_H_
#define EVE_UTIL_ALIGN_H_

#include <cstdint>

#include "util/check.h"

namespace eve {

constexpr bool IsPowerOfTwo(uint64_t value) {
  return value != 0 && (value & (value - 1)) == 0;
}

// REQUIRES: IsPowerOfTwo(alignment), here and below.
constexpr bool IsAligned(uint64_t value, uint64_t alignment) {
  EVE_DCHECK(IsPowerOfTwo(alignment), "alignment is a power of two");
  return (value & (alignment - 1)) == 0;
}

constexpr uint64_t AlignDown(uint64_t value, uint64_t alignment) {
  EVE_DCHECK(IsPowerOfTwo(alignment), "alignment is a power of two");
  return value & ~(alignment - 1);
}

// REQUIRES: value + alignment - 1 fits in 64 bits.
constexpr uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  EVE_DCHECK(IsPowerOfTwo(alignment), "alignment is a power of two");
  EVE_DCHECK(value <= UINT64_MAX - (alignment - 1), "AlignUp overflows");
  return (value + alignment - 1) & ~(alignment - 1);
}

}  // namespace eve

#endif  // EVE_UTIL_ALIGN_H_
