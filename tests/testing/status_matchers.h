// EXPECT_OK, ASSERT_OK and friends for absl::Status and StatusOr.
//
// Threads:    none.
// Processes:  none.
// Owns:       none.
// Lifetime:   none.
// Errors:     a failed check prints the status.
// Cost:       none.
#ifndef EVE_TESTS_TESTING_STATUS_MATCHERS_H_
#define EVE_TESTS_TESTING_STATUS_MATCHERS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"

namespace eve::testing {

inline absl::Status StatusOf(const absl::Status& status) { return status; }
template <class T>
absl::Status StatusOf(const absl::StatusOr<T>& status_or) {
  return status_or.status();
}

}  // namespace eve::testing

#define EXPECT_OK(expression)                                        \
  do {                                                               \
    const absl::Status eve_s = ::eve::testing::StatusOf(expression); \
    EXPECT_TRUE(eve_s.ok()) << #expression << ": " << eve_s;         \
  } while (false)
#define ASSERT_OK(expression)                                        \
  do {                                                               \
    const absl::Status eve_s = ::eve::testing::StatusOf(expression); \
    ASSERT_TRUE(eve_s.ok()) << #expression << ": " << eve_s;         \
  } while (false)
#define EXPECT_CODE(expression, expected)                                \
  do {                                                                   \
    const absl::Status eve_s = ::eve::testing::StatusOf(expression);     \
    EXPECT_EQ(eve_s.code(), (expected)) << #expression << ": " << eve_s; \
  } while (false)
#define ASSERT_OK_AND_ASSIGN_NAMED_(name, target, expression)     \
  auto name = (expression);                                       \
  ASSERT_TRUE(name.ok()) << #expression << ": " << name.status(); \
  target = *std::move(name)
#define ASSERT_OK_CAT_(a, b) a##b
#define ASSERT_OK_NAME_(line) ASSERT_OK_CAT_(eve_status_or_, line)
#define ASSERT_OK_AND_ASSIGN(target, expression) \
  ASSERT_OK_AND_ASSIGN_NAMED_(ASSERT_OK_NAME_(__LINE__), target, expression)

#endif  // EVE_TESTS_TESTING_STATUS_MATCHERS_H_
