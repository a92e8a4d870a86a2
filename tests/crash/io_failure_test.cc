// The N-th system call on a file fails, for all N, once and from then on. Every
// operation says so or succeeds; what was acknowledged is there afterwards, and
// the domain opens and is whole.

#include "gtest/gtest.h"
#include "tests/crash/io_failure_fixture.h"
#include "tests/crash/io_failure_script.h"

namespace eve {
namespace {

class IoFailureTest : public testing::IoFailureScriptTest {};

TEST_P(IoFailureTest, AtEveryCallLosesNothingThatWasAcknowledged) {
  const int calls = FailEach(testing::IsOnAFile);
  // From then on most of the script is not reached.
  EXPECT_GT(calls, 40);
}

INSTANTIATE_TEST_SUITE_P(Errors, IoFailureTest, testing::AllFailures(),
                         testing::NameOfFailure);

}  // namespace
}  // namespace eve
