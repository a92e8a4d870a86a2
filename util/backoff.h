// Waiting between two attempts at a contended word: spins for a random time
// that doubles from round to round, then gives the processor away.
//
// Threads:    one thread per Backoff.
// Processes:  each backs off by itself; different seeds keep them apart.
// Owns:       none.
// Lifetime:   one contended operation.
// Errors:     none.
// Cost:       up to kSpinsMax pauses (a few microseconds), or one
//             sched_yield(). Never sleeps: the winner may be long done.
#ifndef EVE_UTIL_BACKOFF_H_
#define EVE_UTIL_BACKOFF_H_

#include <sched.h>

#include <cstdint>

#include "util/random.h"

namespace eve {

// Tells the processor that this is a spin loop.
inline void CpuPause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm("yield");
#endif
}

class Backoff {
 public:
  // A pause costs 10 to 140 cycles, so a spin is never longer than about 3 us:
  // past that another thread makes better use of the processor.
  static constexpr uint32_t kSpinsMax = 64;
  static constexpr uint32_t kSpinsMin = 4;

  explicit Backoff(uint64_t seed) : state_(seed) {}

  // Waits once. Two waiters that lost the same race wait different times, or
  // they would meet again.
  void Wait() {
    ++rounds_;
    if (spins_bound_ > kSpinsMax) {
      sched_yield();
      return;
    }
    const uint64_t spins = 1 + SplitMix64(state_) % spins_bound_;
    for (uint64_t i = 0; i < spins; ++i) CpuPause();
    spins_bound_ *= 2;
  }

  // Back to short waits, after a success.
  void Reset() {
    rounds_ = 0;
    spins_bound_ = kSpinsMin;
  }

  // How often Wait() was called since the last Reset().
  uint32_t rounds() const { return rounds_; }

 private:
  uint64_t state_;  // of SplitMix64
  uint32_t spins_bound_ = kSpinsMin;
  uint32_t rounds_ = 0;
};

}  // namespace eve

#endif  // EVE_UTIL_BACKOFF_H_
