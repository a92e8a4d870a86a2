// Where a tidy rule does not hold, and why: the one list of exceptions.
//
// Threads:    constants.
// Processes:  none.
// Owns:       none.
// Lifetime:   none.
// Errors:     none.
// Cost:       none.
#ifndef EVE_TESTS_TIDY_ALLOW_LIST_H_
#define EVE_TESTS_TIDY_ALLOW_LIST_H_

#include <string_view>

namespace eve::tidy {

struct Allowance {
  // The name of the rule, as its findings print it.
  std::string_view rule;
  // A folder with a final slash, or a file, or a file without its ending.
  std::string_view path;
  // What in a finding is allowed: a part of its text; "" for all of it.
  std::string_view what;
  std::string_view reason;
};

inline constexpr Allowance kAllowances[] = {
    // A word that is raced belongs to one file, which documents its order.
    {"memory-order", "util/failpoint", "", "owns the hook words"},
    {"memory-order", "util/gauge.h", "", "figures without an order"},
    {"memory-order", "util/relaxed_bits.h", "", "hints without an order"},
    {"memory-order", "engine/format/shared_layout.h", "", "defines the words"},
    {"memory-order", "engine/root/", "", "owns the root word"},
    {"memory-order", "engine/epoch/", "", "owns slots, cells and pins"},
    {"memory-order", "engine/alloc/", "", "owns segment words"},
    {"memory-order", "engine/checkpoint/", "", "owns checkpoint words"},
    {"memory-order", "engine/domain/", "", "owns open and close words"},
    {"memory-order", "engine/file/", "", "owns mapping and lock words"},
    {"memory-order", "db_bench/", "", "counters of the benchmark"},
    {"memory-order", "tests/", "", "tests read words directly"},

    {"reinterpret-cast", "engine/format/", "", "turns bytes into structs"},
    {"reinterpret-cast", "engine/file/", "", "turns offsets into pointers"},
    {"reinterpret-cast", "engine/capi/", "", "opaque handles"},
    {"reinterpret-cast", "tests/", "", "tests damage raw bytes"},

    {"sleep", "tests/testing/timed_waits", "nanosleep", "counts who sleeps"},

    {"todo", "tests/tidy/rules_test", "", "shows the rule bad snippets"},
};

}  // namespace eve::tidy

#endif  // EVE_TESTS_TIDY_ALLOW_LIST_H_
