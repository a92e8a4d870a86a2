#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "util/check.h"
#include "util/status_macros.h"

namespace eve {
namespace {

TEST(CheckTest, ATrueConditionPassesAndIsEvaluatedOnce) {
  int evaluations = 0;
  EVE_CHECK(++evaluations == 1, "once");
  EVE_CHECK(evaluations == 1);
}

TEST(CheckDeathTest, AFalseConditionNamesItsPlaceAndReason) {
  EXPECT_DEATH(EVE_CHECK(1 + 1 == 3, "arithmetic holds"),
               "check_status_test.cc:[0-9]+: check failed: 1 \\+ 1 == 3: "
               "arithmetic holds");
  EXPECT_DEATH(EVE_CHECK(false), "check failed: false\n");
}

TEST(CheckDeathTest, DebugChecksAreOnUnlessNdebug) {
#ifdef NDEBUG
  int evaluations = 0;
  EVE_DCHECK(++evaluations == 0, "not evaluated");
  EXPECT_EQ(evaluations, 0);
#else
  EXPECT_DEATH(EVE_DCHECK(false, "debug"), "debug");
#endif
}

absl::Status CountAfter(const absl::Status& status, int& reached) {
  EVE_RETURN_IF_ERROR(status);
  ++reached;
  return absl::OkStatus();
}

TEST(StatusMacrosTest, ReturnIfErrorReturnsOnlyErrors) {
  int reached = 0;
  EXPECT_TRUE(CountAfter(absl::OkStatus(), reached).ok());
  EXPECT_EQ(reached, 1);
  EXPECT_EQ(CountAfter(absl::DataLossError("bad byte"), reached),
            absl::DataLossError("bad byte"));
  EXPECT_EQ(reached, 1);
}

absl::StatusOr<int> Sum(absl::StatusOr<std::unique_ptr<int>> a,
                        absl::StatusOr<int> b) {
  EVE_ASSIGN_OR_RETURN(const std::unique_ptr<int> first, std::move(a));
  int second = 0;
  EVE_ASSIGN_OR_RETURN(second, b);
  return *first + second;
}

TEST(StatusMacrosTest, AssignOrReturnMovesTheValueOut) {
  EXPECT_EQ(*Sum(std::make_unique<int>(1), 2), 3);
  EXPECT_EQ(Sum(absl::AbortedError("a"), 2).status(), absl::AbortedError("a"));
  EXPECT_EQ(Sum(std::make_unique<int>(1), absl::AbortedError("b")).status(),
            absl::AbortedError("b"));
}

}  // namespace
}  // namespace eve
