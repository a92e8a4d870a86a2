// CheckStorm: what must hold of a domain in the middle of a crash storm.
//
// Threads:    one.
// Processes:  call it in a fresh process; others may go on writing.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     kDataLoss: what is wrong.
// Cost:       opens the domain and reads all of it.
#ifndef EVE_TESTS_CRASH_STORM_CHECK_H_
#define EVE_TESTS_CRASH_STORM_CHECK_H_

#include "absl/status/status.h"
#include "tests/crash/storm_worker.h"

namespace eve::testing {

// `is_alone`: no worker lives, so that claims and space can be judged too.
absl::Status CheckStorm(const StormSetup& setup, bool is_alone);

}  // namespace eve::testing

#endif  // EVE_TESTS_CRASH_STORM_CHECK_H_
