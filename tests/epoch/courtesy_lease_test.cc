#include "engine/epoch/courtesy_lease.h"

#include <fcntl.h>

#include <memory>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

// A process as far as locks tell: a descriptor and a slot of its own.
struct Process {
  SharedRegion region;
  std::unique_ptr<ProcessSlots> slots;
  std::unique_ptr<CourtesyLease> lease;

  explicit Process(const std::string& path) {
    absl::StatusOr<File> file = File::Open(path, O_RDWR | O_CREAT);
    EXPECT_OK(file.status());
    absl::StatusOr<SharedRegion> mapped =
        SharedRegion::Map(*std::move(file), true);
    EXPECT_OK(mapped.status());
    region = *std::move(mapped);
    slots = std::make_unique<ProcessSlots>(&region);
    EXPECT_OK(slots->Claim());
    lease = std::make_unique<CourtesyLease>(&region, slots.get());
  }
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
    ASSERT_TRUE(a.lease->TryHold());
    ASSERT_FALSE(b.lease->TryHold());
  }
  a.lease->Release();
  EXPECT_TRUE(b.lease->TryHold());
  EXPECT_FALSE(a.lease->TryHold());
}

TEST_F(CourtesyLeaseTest, OneThatDoesNotGoOnIsReplaced) {
  Process a(path_);
  Process b(path_);
  ASSERT_TRUE(a.lease->TryHold());
  int calls = 1;
  while (!b.lease->TryHold()) ++calls;
  EXPECT_EQ(calls, CourtesyLease::kPatience + 1);
  // It is not taken back from one that goes on.
  EXPECT_FALSE(a.lease->TryHold());
  EXPECT_TRUE(b.lease->TryHold());
  // Whose lease ended in the middle does not release another's.
  a.lease->Release();
  EXPECT_FALSE(a.lease->TryHold());
}

TEST_F(CourtesyLeaseTest, TheDeadAreReplacedAtOnce) {
  auto a = std::make_unique<Process>(path_);
  Process b(path_);
  ASSERT_TRUE(a->lease->TryHold());
  ASSERT_FALSE(b.lease->TryHold());
  a.reset();  // closes its descriptor, which drops its lock byte
  EXPECT_TRUE(b.lease->TryHold());
  // A newcomer in the slot of the dead is not taken for it.
  Process c(path_);
  EXPECT_FALSE(c.lease->TryHold());
}

TEST_F(CourtesyLeaseTest, ASlotThatWasClaimedAgainHoldsNothing) {
  auto a = std::make_unique<Process>(path_);
  ASSERT_TRUE(a->lease->TryHold());
  a.reset();
  Process again(path_);
  Process b(path_);
  // The word names the slot of `again`, in a former life.
  EXPECT_TRUE(b.lease->TryHold());
  EXPECT_FALSE(again.lease->TryHold());
}

}  // namespace
}  // namespace eve
