// TimedWaits: how often this program has asked the kernel to be woken later.
// Linked into a test, it has sleeping and futex calls of its own that count.
// Mutexes, condition variables, poll() and waits for a device do not count.
//
// Threads:    any.
// Processes:  each counts its own; a forked child goes on from its parent's.
// Owns:       nanosleep() and syscall() of the program.
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
