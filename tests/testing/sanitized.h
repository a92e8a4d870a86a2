// Whether this program runs under a sanitizer, where each step costs several
// times as much: tests that repeat something do it less often there.
//
// Threads:    constants.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       none.
#ifndef EVE_TESTS_TESTING_SANITIZED_H_
#define EVE_TESTS_TESTING_SANITIZED_H_

namespace eve::testing {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kUnderAsan = true;
#else
inline constexpr bool kUnderAsan = false;
#endif

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kUnderTsan = true;
#else
inline constexpr bool kUnderTsan = false;
#endif

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_SANITIZED_H_
