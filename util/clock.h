// Time that only goes forward.
//
// Threads:    any.
// Processes:  comparable between the processes of one boot of one machine, but
//             for those in time namespaces of their own.
// Owns:       none.
// Lifetime:   none; a reading means nothing after a reboot, so never store it
//             in a file that outlives one.
// Errors:     none.
// Cost:       some 20 ns; no system call where the kernel offers a vDSO.
#ifndef EVE_UTIL_CLOCK_H_
#define EVE_UTIL_CLOCK_H_

#include <time.h>

#include <cstdint>

namespace eve {

inline constexpr uint64_t kNanosPerMicro = 1'000;
inline constexpr uint64_t kNanosPerMilli = 1'000'000;
inline constexpr uint64_t kNanosPerSecond = 1'000'000'000;

inline uint64_t MonotonicNanos() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNanosPerSecond +
         static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace eve

#endif  // EVE_UTIL_CLOCK_H_
