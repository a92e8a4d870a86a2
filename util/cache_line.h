// The distance that keeps two words from slowing each other down.
//
// Threads:    words written by different threads lie this far apart.
// Processes:  part of the shared layout: the same in every build, which is why
//             it is not std::hardware_destructive_interference_size.
// Owns:       none.
// Lifetime:   none.
// Errors:     none.
// Cost:       none.
#ifndef EVE_UTIL_CACHE_LINE_H_
#define EVE_UTIL_CACHE_LINE_H_

#include <cstddef>

namespace eve {

inline constexpr size_t kCacheLineBytes = 64;

}  // namespace eve

#endif  // EVE_UTIL_CACHE_LINE_H_
