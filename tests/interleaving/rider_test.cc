// Work that rides along with a commit whose puts are carried over to a newer
// root (P11): it is done anew there, a few times, and costs the commit nothing.

#include <string>
#include <string_view>
#include <vector>

#include "engine/domain/idle_writers.h"
#include "engine/domain/registry.h"
#include "engine/txn/swap.h"
#include "eve/eve.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using ::testing::ElementsAre;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

class CountingRider : public internal::Rider {
 public:
  void Begin(internal::TransactionImpl&) override { ++begun; }
  absl::Status Board(internal::TransactionImpl&) override {
    return ++boarded == fails_at ? absl::DataLossError("the rider's")
                                 : absl::OkStatus();
  }
  bool has_work() const override { return false; }
  void Alight(bool published) override { alighted.push_back(published); }

  int fails_at = 0;
  int begun = 0;
  int boarded = 0;
  std::vector<bool> alighted;
};

class RiderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, testing::Quiet()));
    ASSERT_OK_AND_ASSIGN(const Strings map, domain_.Collection<Strings>("map"));
    ASSERT_OK(map.Put("k", "before"));
  }

  // Puts "k", beside somebody who puts it first so many times. Returns how
  // often the closure ran.
  int PutAndLose(int losses, CountingRider& rider) {
    auto impl = internal::OpenInstance(path_, testing::Quiet());
    auto map = domain_.Collection<Strings>("map");
    EXPECT_OK(impl.status());
    EXPECT_OK(map.status());
    internal::WriterContext writer(&(*impl)->core());
    int lost = 0;
    bool is_other = false;
    const ScopedStepHook hook([&](std::string_view step) {
      if (step != "commit.before_cas" || is_other || lost == losses) return;
      ++lost;
      is_other = true;
      EXPECT_OK(map->Put("k", "theirs"));
      is_other = false;
    });
    int runs = 0;
    const absl::StatusOr<internal::SwapResult> done = internal::RunSwap(
        writer.transaction,
        [&](internal::TransactionImpl& run) {
          ++runs;
          Transaction txn(&run);
          return map->In(txn).Put("k", "mine");
        },
        SwapOptions(), &rider);
    EXPECT_OK(done.status());
    EXPECT_TRUE(done.ok() && done->published);
    EXPECT_EQ(lost, losses);
    EXPECT_EQ(map->Get("k").value(), "mine");
    writer.writer.Release();
    return runs;
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
};

TEST_F(RiderTest, GoesWithTheFirstRun) {
  CountingRider rider;
  EXPECT_EQ(PutAndLose(0, rider), 1);
  EXPECT_EQ(rider.begun, 1);
  EXPECT_EQ(rider.boarded, 1);
  EXPECT_THAT(rider.alighted, ElementsAre(true));
}

TEST_F(RiderTest, BoardsAgainWhenPutsAreCarriedOver) {
  CountingRider rider;
  EXPECT_EQ(PutAndLose(2, rider), 1);
  EXPECT_EQ(rider.begun, 3);
  EXPECT_EQ(rider.boarded, 3);
  EXPECT_THAT(rider.alighted, ElementsAre(false, false, true));
}

TEST_F(RiderTest, IsLeftBehindAtLast) {
  CountingRider rider;
  EXPECT_EQ(PutAndLose(5, rider), 1);
  EXPECT_EQ(rider.boarded, 3);
  EXPECT_THAT(rider.alighted, ElementsAre(false, false, false));
}

// The closure runs again, without it.
TEST_F(RiderTest, ItsErrorOnTheWayCostsTheCommitNothing) {
  CountingRider rider;
  rider.fails_at = 2;
  EXPECT_EQ(PutAndLose(1, rider), 2);
  EXPECT_EQ(rider.boarded, 2);
  EXPECT_THAT(rider.alighted, ElementsAre(false, false));
  testing::ExpectCleanCheck(path_, domain_);
}

}  // namespace
}  // namespace eve
