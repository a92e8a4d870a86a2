// Options of a domain that does nothing by itself, so that a script decides
// what happens when: Quiet(), whose commits are durable with a checkpoint only,
// and Synchronous(), where each is when it returns.
//
// Threads:    any.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       none.
#ifndef EVE_TESTS_TESTING_QUIET_H_
#define EVE_TESTS_TESTING_QUIET_H_

#include "eve/options.h"

namespace eve::testing {

inline DomainOptions Quiet() {
  DomainOptions options;
  options.background = false;
  options.durability = Durability::kNone;
  return options;
}

inline DomainOptions Synchronous() {
  DomainOptions options = Quiet();
  options.durability = Durability::kSync;
  return options;
}

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_QUIET_H_
