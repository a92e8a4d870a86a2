// TimedWaits: how often this program has asked the kernel to be woken later.
// Linked into a test, it has sleeping and futex calls of its own that count.
// Mutexes, which wait without a time, and waits for a device do not count.
//
// Threads:    any.
// Processes:  each counts its own; a forked child goes on from its parent's.
// Owns:       nanosleep(2), clock_nanosleep(2) and syscall(2) of the program.
// Lifetime:   the program's.
// Errors:     none.
// Cost:       one addition a call.
#ifndef EVE_TESTS_TESTING_TIMED_WAITS_H_
#define EVE_TESTS_TESTING_TIMED_WAITS_H_

#include <cstdint>

namespace eve::testing {

uint64_t TimedWaits();

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_TIMED_WAITS_H_
