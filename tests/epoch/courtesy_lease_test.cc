#include "engine/epoch/courtesy_lease.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/epoch/attached_process.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

struct Process : testing::AttachedProcess {
  CourtesyLease lease{&region, slots.get()};
  using AttachedProcess::AttachedProcess;
};

class CourtesyLeaseTest : public ::testing::Test {
 protected:
  testing::TempDir dir_;
  const std::string path_ = dir_.File("lock");
};

TEST_F(CourtesyLeaseTest, OneHoldsItWhileItGoesOn) {
  Process a(path_);
  Process b(path_);
  for (int i = 0; i < 10 * CourtesyLease::kPatience; ++i) {
    ASSERT_TRUE(a.lease.TryHold());
    ASSERT_FALSE(b.lease.TryHold());
  }
  a.lease.Release();
  EXPECT_TRUE(b.lease.TryHold());
  EXPECT_FALSE(a.lease.TryHold());
}

TEST_F(CourtesyLeaseTest, OneThatDoesNotGoOnIsReplaced) {
  Process a(path_);
  Process b(path_);
  ASSERT_TRUE(a.lease.TryHold());
  int calls = 1;
  while (!b.lease.TryHold()) ++calls;
  EXPECT_EQ(calls, CourtesyLease::kPatience + 1);
  // It is not taken back from one that goes on.
  EXPECT_FALSE(a.lease.TryHold());
  EXPECT_TRUE(b.lease.TryHold());
  // Whose lease ended in the middle does not release another's.
  a.lease.Release();
  EXPECT_FALSE(a.lease.TryHold());
}

TEST_F(CourtesyLeaseTest, TheDeadAreReplacedAtOnce) {
  auto a = std::make_unique<Process>(path_);
  Process b(path_);
  ASSERT_TRUE(a->lease.TryHold());
  ASSERT_FALSE(b.lease.TryHold());
  a.reset();  // closes its descriptor, which drops its lock byte
  EXPECT_TRUE(b.lease.TryHold());
  // A newcomer in the slot of the dead is not taken for it.
  Process c(path_);
  EXPECT_FALSE(c.lease.TryHold());
}

TEST_F(CourtesyLeaseTest, ASlotThatWasClaimedAgainHoldsNothing) {
  auto a = std::make_unique<Process>(path_);
  ASSERT_TRUE(a->lease.TryHold());
  a.reset();
  Process again(path_);
  Process b(path_);
  // The word names the slot of `again`, in a former life.
  EXPECT_TRUE(b.lease.TryHold());
  EXPECT_FALSE(again.lease.TryHold());
}

// The beat has 38 bits. After the last one the word of slot 0 may say that
// nobody holds it, if its generation has come to an end as well: a turn is
// given away. A beat that stayed at its end would be taken for one that stands
// still.
TEST_F(CourtesyLeaseTest, TheBeatMayBeginAnew) {
  Process none(path_);  // slot 0
  Process a(path_);
  Process b(path_);
  ASSERT_TRUE(a.lease.TryHold());
  SharedWord& word = a.region.words().compactor;
  word |= UINT64_MAX << 26;
  for (int i = 0; i < 2 * CourtesyLease::kPatience; ++i) {
    ASSERT_TRUE(a.lease.TryHold());
    ASSERT_NE(word.load(), 0u);
    ASSERT_FALSE(b.lease.TryHold());
  }
}

}  // namespace
}  // namespace eve
