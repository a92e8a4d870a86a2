// The N-th call fails where io_uring is refused, and the N-th use of a ring
// where it is not: in what the kernel says of an operation, and in handing
// operations over.

#include <string_view>

#include "engine/file/io_ring.h"
#include "gtest/gtest.h"
#include "tests/crash/io_failure_fixture.h"
#include "tests/crash/io_failure_script.h"

namespace eve {
namespace {

class IoFailureRingTest : public testing::IoFailureScriptTest {
 protected:
  void SetUp() override {
    if (!IoRing::Create().ok()) GTEST_SKIP() << "io_uring is not allowed here";
  }
  int FailEachOf(std::string_view name) {
    return FailEach([name](std::string_view point) { return point == name; });
  }
};

class IoFailurePlainTest : public testing::IoFailureScriptTest {};

TEST_P(IoFailurePlainTest, AtEveryCallLosesNothingThatWasAcknowledged) {
  EXPECT_GT(FailEach(testing::IsOnAFile, /*refused=*/"ring.setup"), 40);
}

TEST_P(IoFailureRingTest, WhatFailsInTheRingIsNotAcknowledged) {
  EXPECT_GT(FailEachOf("ring.result"), 4);
}

TEST_P(IoFailureRingTest, WhatIsNotTakenIsDoneByPlainCalls) {
  EXPECT_GE(FailEachOf("ring.enter"), GetParam().is_sticky ? 1 : 4);
}

INSTANTIATE_TEST_SUITE_P(Errors, IoFailurePlainTest, testing::AllFailures(),
                         testing::NameOfFailure);
INSTANTIATE_TEST_SUITE_P(Errors, IoFailureRingTest, testing::AllFailures(),
                         testing::NameOfFailure);

}  // namespace
}  // namespace eve
