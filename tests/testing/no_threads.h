// AllowNoThreads: from now on the system has none for this process.
//
// Threads:    before there are any others.
// Processes:  for a child, which ends so.
// Owns:       nothing.
// Lifetime:   that of the process.
// Errors:     false, if it cannot be had.
// Cost:       none.
#ifndef EVE_TESTS_TESTING_NO_THREADS_H_
#define EVE_TESTS_TESTING_NO_THREADS_H_

#include <pthread.h>

#include <cstddef>

namespace eve::testing {

inline bool AllowNoThreads() {
  // Stacks for which there is no address space.
  pthread_attr_t attributes;
  return ::pthread_attr_init(&attributes) == 0 &&
         ::pthread_attr_setstacksize(&attributes, size_t{1} << 47) == 0 &&
         ::pthread_setattr_default_np(&attributes) == 0;
}

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_NO_THREADS_H_
