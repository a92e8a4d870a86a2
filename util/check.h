// Checks of our own invariants. A failed check is a bug in Eve, never a bad
// argument or a damaged file; those are reported as a status.
//
// Threads:    may fail on any thread; the process ends.
// Processes:  ends only this process.
// Owns:       none.
// Lifetime:   none.
// Errors:     prints file, line, condition and message to stderr, aborts.
// Cost:       one predicted branch. EVE_DCHECK: nothing under NDEBUG.
#ifndef EVE_UTIL_CHECK_H_
#define EVE_UTIL_CHECK_H_

#include <cstdio>
#include <cstdlib>

// EVE_CHECK(condition) or EVE_CHECK(condition, "message"). Always on: it stands
// where going on would write a wrong byte into memory that others read.
#define EVE_CHECK(condition, ...)                         \
  (__builtin_expect(static_cast<bool>(condition), 1)      \
       ? static_cast<void>(0)                             \
       : ::eve::internal::CheckFailed(__FILE__, __LINE__, \
                                      #condition __VA_OPT__(, ) __VA_ARGS__))

// The same where the check is costly or the loop is hot. Under NDEBUG the
// condition is compiled, so that it does not rot, and not evaluated.
#ifdef NDEBUG
#define EVE_DCHECK(condition, ...) \
  static_cast<void>(sizeof(static_cast<bool>(condition)))
#else
#define EVE_DCHECK(condition, ...) \
  EVE_CHECK(condition __VA_OPT__(, ) __VA_ARGS__)
#endif

namespace eve::internal {

[[noreturn, gnu::cold, gnu::noinline]] inline void CheckFailed(
    const char* file, int line, const char* condition,
    const char* message = "") {
  std::fprintf(stderr, "%s:%d: check failed: %s%s%s\n", file, line, condition,
               *message == '\0' ? "" : ": ", message);
  std::abort();
}

}  // namespace eve::internal

#endif  // EVE_UTIL_CHECK_H_
