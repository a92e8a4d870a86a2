// Quiet(): options of a domain that does nothing by itself, so that a script
// decides what happens when.
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

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_QUIET_H_
