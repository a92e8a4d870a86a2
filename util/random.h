// Small, fast, seeded generators. The same seed gives the same numbers on every
// machine and in every release, so a failing test is repeated by its seed.
// Not for secrets.
//
// Threads:    one thread per generator.
// Processes:  plain values; a fork() child repeats its parent's numbers.
// Owns:       none.
// Lifetime:   none.
// Errors:     none.
// Cost:       about one nanosecond a number; never allocates.
//
// Algorithms: splitmix64 and xoshiro256++ 1.0 by David Blackman and Sebastiano
// Vigna (public domain, https://prng.di.unimi.it); bounded numbers by Daniel
// Lemire, "Fast Random Integer Generation in an Interval",
// https://arxiv.org/abs/1805.10941.
#ifndef EVE_UTIL_RANDOM_H_
#define EVE_UTIL_RANDOM_H_

#include <bit>
#include <cstdint>

#include "util/check.h"

namespace eve {

// Advances `state` and returns the next number. Also a good mixer: distinct
// states give distinct numbers.
constexpr uint64_t SplitMix64(uint64_t& state) {
  state += 0x9e3779b97f4a7c15;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// xoshiro256++: a UniformRandomBitGenerator, so <algorithm> takes it too.
class Random {
 public:
  using result_type = uint64_t;

  explicit constexpr Random(uint64_t seed) {
    for (uint64_t& word : state_) word = SplitMix64(seed);
  }

  static constexpr uint64_t min() { return 0; }
  static constexpr uint64_t max() { return UINT64_MAX; }
  constexpr uint64_t operator()() { return Next(); }

  constexpr uint64_t Next() {
    const uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  // Uniform in [0, bound), without bias. REQUIRES: bound > 0.
  constexpr uint64_t Uniform(uint64_t bound) {
    EVE_DCHECK(bound > 0, "an empty range has no member");
    Wide product = Wide{Next()} * bound;
    if (static_cast<uint64_t>(product) < bound) {
      const uint64_t biased_below = (0 - bound) % bound;
      while (static_cast<uint64_t>(product) < biased_below) {
        product = Wide{Next()} * bound;
      }
    }
    return static_cast<uint64_t>(product >> 64);
  }

  // True once in `n` calls on average. REQUIRES: n > 0.
  constexpr bool OneIn(uint64_t n) { return Uniform(n) == 0; }

  // Uniform in [0, 1), a multiple of 2^-53.
  constexpr double NextDouble() {
    return static_cast<double>(Next() >> 11) * 0x1.0p-53;
  }

 private:
  __extension__ using Wide = unsigned __int128;

  uint64_t state_[4] = {};
};

}  // namespace eve

#endif  // EVE_UTIL_RANDOM_H_
