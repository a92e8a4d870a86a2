// Bit counting and bit fields of 64-bit words, on top of <bit>.
//
// Threads:    pure functions.
// Processes:  pure functions.
// Owns:       none.
// Lifetime:   none.
// Errors:     none; an index out of range is the caller's bug.
// Cost:       a few instructions, all constexpr.
#ifndef EVE_UTIL_BITS_H_
#define EVE_UTIL_BITS_H_

#include <bit>
#include <cstdint>

#include "util/check.h"

namespace eve {

// The lowest `count` bits set. REQUIRES: count <= 64.
constexpr uint64_t LowBits(unsigned count) {
  EVE_DCHECK(count <= 64, "at most 64 bits");
  return count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}

constexpr bool TestBit(uint64_t word, unsigned index) {
  EVE_DCHECK(index < 64, "bit index");
  return (word >> index & 1) != 0;
}

// How many bits of `word` are set below bit `index`: the position of the
// element that belongs to that bit in an array without gaps.
constexpr unsigned CountBitsBelow(uint64_t word, unsigned index) {
  return static_cast<unsigned>(std::popcount(word & LowBits(index)));
}

// The largest n with 2^n <= value. REQUIRES: value > 0.
constexpr unsigned Log2Floor(uint64_t value) {
  EVE_DCHECK(value > 0, "zero has no logarithm");
  return 63 - static_cast<unsigned>(std::countl_zero(value));
}

// The smallest n with 2^n >= value. REQUIRES: value > 0.
constexpr unsigned Log2Ceil(uint64_t value) {
  return Log2Floor(value) + (std::has_single_bit(value) ? 0 : 1);
}

// `kWidth` bits of a word, from bit `kShift` up. A packed word is described
// once, as a list of such fields, and read and written through them.
template <unsigned kShift, unsigned kWidth>
struct BitField {
  static_assert(kWidth > 0 && kShift + kWidth <= 64);

  static constexpr uint64_t kMax = LowBits(kWidth);
  static constexpr uint64_t kMask = kMax << kShift;

  static constexpr uint64_t Get(uint64_t word) { return word >> kShift & kMax; }

  // `word` with this field replaced. REQUIRES: value <= kMax.
  static constexpr uint64_t Set(uint64_t word, uint64_t value) {
    EVE_DCHECK(value <= kMax, "value fits in its bit field");
    return (word & ~kMask) | (value << kShift);
  }
};

}  // namespace eve

#endif  // EVE_UTIL_BITS_H_
