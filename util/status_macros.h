// Handing an error to the caller in one line.
//
// Threads:    none.
// Processes:  none.
// Owns:       none.
// Lifetime:   each argument is evaluated once.
// Errors:     returns the status that it was given, as is.
// Cost:       one predicted branch.
#ifndef EVE_UTIL_STATUS_MACROS_H_
#define EVE_UTIL_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// EVE_RETURN_IF_ERROR(file.Sync());
#define EVE_RETURN_IF_ERROR(expression)           \
  do {                                            \
    if (absl::Status eve_status_ = (expression);  \
        __builtin_expect(!eve_status_.ok(), 0)) { \
      return eve_status_;                         \
    }                                             \
  } while (false)

// EVE_ASSIGN_OR_RETURN(const Offset root, ReadRoot()); or an existing lvalue.
// Two statements: not for the body of an `if` without braces.
#define EVE_ASSIGN_OR_RETURN(target, expression)                          \
  EVE_ASSIGN_OR_RETURN_NAMED_(EVE_STATUS_NAME_(eve_status_or_, __LINE__), \
                              target, expression)

#define EVE_ASSIGN_OR_RETURN_NAMED_(name, target, expression) \
  auto name = (expression);                                   \
  if (__builtin_expect(!name.ok(), 0)) {                      \
    return std::move(name).status();                          \
  }                                                           \
  target = *std::move(name)

#define EVE_STATUS_NAME_(prefix, line) EVE_STATUS_NAME_PASTED_(prefix, line)
#define EVE_STATUS_NAME_PASTED_(prefix, line) prefix##line

#endif  // EVE_UTIL_STATUS_MACROS_H_
