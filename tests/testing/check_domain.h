// ExpectCleanCheck: `eve check` from inside a test.
//
// Threads:    one.
// Processes:  others may go on writing: a snapshot is held.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     a failed expectation that lists the damage.
// Cost:       reads the whole domain.
#ifndef EVE_TESTS_TESTING_CHECK_DOMAIN_H_
#define EVE_TESTS_TESTING_CHECK_DOMAIN_H_

#include <string>

#include "eve/eve.h"

namespace eve::testing {

void ExpectCleanCheck(const std::string& path, Domain& domain);
// The same of an older version that is still pinned.
void ExpectCleanCheckAt(const std::string& path, const Snapshot& snapshot);

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_CHECK_DOMAIN_H_
