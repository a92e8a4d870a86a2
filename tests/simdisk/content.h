// Comparing a domain with its model, and the values that the model stands for.
//
// Threads:    any.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     what differs, in words; "" if nothing does.
// Cost:       reads every record.
#ifndef EVE_TESTS_SIMDISK_CONTENT_H_
#define EVE_TESTS_SIMDISK_CONTENT_H_

#include <string>
#include <string_view>

#include "eve/eve.h"
#include "tests/simdisk/timeline.h"

namespace eve::simdisk {

using HashCollection = Map<std::string, std::string>;
using OrderedCollection = OrderedMap<std::string, std::string>;

std::string ValueBytes(const ValueModel& value);

// Whether the snapshot shows exactly these collections with these records.
std::string CompareContent(Domain& domain, const Snapshot& snapshot,
                           const Content& content);

// `eve check` of what the snapshot shows.
std::string CheckSnapshot(const std::string& path, const Snapshot& snapshot);

}  // namespace eve::simdisk

#endif  // EVE_TESTS_SIMDISK_CONTENT_H_
