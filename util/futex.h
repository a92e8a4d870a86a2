// Waiting for a change of a word in memory, of this process or shared.
//
// Threads:    any.
// Processes:  any that map the page of the word, if that mapping is shared.
// Owns:       none.
// Lifetime:   the word outlives the call.
// Errors:     none: a wait that the kernel refuses returns at once.
// Cost:       one system call each.
#ifndef EVE_UTIL_FUTEX_H_
#define EVE_UTIL_FUTEX_H_

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <climits>
#include <cstdint>

#include "util/clock.h"

namespace eve {

// The kernel compares 32 bits: the low half of a word, which comes first.
static_assert(std::endian::native == std::endian::little);

// Who waits says with some bits which wake-ups are for it.
inline constexpr uint32_t kFutexAnyBits = FUTEX_BITSET_MATCH_ANY;

// Returns when woken by a wake-up with one of these bits, when the low half of
// `word` is not that of `seen`, after `nanos`, or for no reason: the caller
// looks again. False: `nanos` are over.
inline bool FutexWait(const std::atomic<uint64_t>& word, uint64_t seen,
                      uint64_t nanos, uint32_t bits = kFutexAnyBits) {
  // This call takes a point of the monotonic clock.
  const uint64_t end = MonotonicNanos() + nanos;
  const timespec timeout = {static_cast<time_t>(end / kNanosPerSecond),
                            static_cast<long>(end % kNanosPerSecond)};
  const void* address = &word;
  return syscall(SYS_futex, address, FUTEX_WAIT_BITSET,
                 static_cast<uint32_t>(seen), &timeout, nullptr, bits) == 0 ||
         errno != ETIMEDOUT;
}

// To be called after the word has changed. Wakes up to `count` of those who
// wait for one of these bits. REQUIRES: bits.
inline void FutexWake(const std::atomic<uint64_t>& word, uint32_t bits,
                      int count) {
  const void* address = &word;
  syscall(SYS_futex, address, FUTEX_WAKE_BITSET, count, nullptr, nullptr, bits);
}

inline void FutexWakeAll(const std::atomic<uint64_t>& word) {
  FutexWake(word, kFutexAnyBits, INT_MAX);
}

// Adds one to the low half of `word` and wakes all who wait on it, in one call:
// whoever dies or is stopped has done both or neither. False: the kernel, or a
// sandbox, refuses, and nothing was done.
inline bool FutexBumpAndWakeAll(std::atomic<uint64_t>& word) {
  void* address = &word;
  constexpr int kAddOne = FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0);
  // The fourth argument is how many of those at the second address to wake.
  return syscall(SYS_futex, address, FUTEX_WAKE_OP, INT_MAX, INT_MAX, address,
                 kAddOne) >= 0;
}

}  // namespace eve

#endif  // EVE_UTIL_FUTEX_H_
