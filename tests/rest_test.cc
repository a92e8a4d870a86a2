// What a domain does when nobody writes any more, and when it does not yet.

#include <atomic>
#include <string>
#include <string_view>
#include <thread>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::TempDir;
using Strings = Map<std::string, std::string>;

class RestTest : public ::testing::Test {
 protected:
  // A version, durable if `syncs`, and a later one in which all that it had is
  // dead.
  void OpenAndOverwrite(absl::Duration rest_after, bool syncs) {
    DomainOptions options;
    options.durability = Durability::kNone;
    options.checkpoint_every = absl::Milliseconds(1);
    options.rest_after = rest_after;
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(dir_.File("d.eve"), options));
    ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
    ASSERT_NO_FATAL_FAILURE(PutAll(map, 'a'));
    if (syncs) ASSERT_OK(domain_.Sync());
    durable_ = domain_.durable_version();
    ASSERT_NO_FATAL_FAILURE(PutAll(map, 'b'));
  }
  uint64_t BytesPunched() {
    const absl::StatusOr<DomainStats> stats = domain_.Stats();
    EXPECT_OK(stats.status());
    return stats.ok() ? stats->bytes_punched : 0;
  }
  void AwaitTicks() {
    const int ticks = ticks_;
    const int checkpoint_ticks = checkpoint_ticks_;
    while (ticks_ < ticks + 300 || checkpoint_ticks_ < checkpoint_ticks + 300) {
      std::this_thread::yield();
    }
  }
  void PutAll(Strings& map, char byte) {
    ASSERT_OK(domain_.Swap([&](Transaction& transaction) -> absl::Status {
      auto writer = map.In(transaction);
      for (int i = 0; i < 100'000; ++i) {
        const absl::Status put =
            writer.Put(std::to_string(i), std::string(300, byte));
        if (!put.ok()) return put;
      }
      return absl::OkStatus();
    }));
  }

  TempDir dir_;
  std::atomic<int> ticks_{0};
  std::atomic<int> checkpoint_ticks_{0};
  const ScopedStepHook hook_{[this](std::string_view step) {
    if (step == "reclaimer.tick") ++ticks_;
    if (step == "checkpoints.tick") ++checkpoint_ticks_;
  }};
  Domain domain_;  // its threads end first
  uint64_t durable_ = 0;
};

TEST_F(RestTest, WithoutAPromiseWhatWasWrittenIsMadeDurableAtRest) {
  ASSERT_NO_FATAL_FAILURE(
      OpenAndOverwrite(absl::ZeroDuration(), /*syncs=*/true));
  while (domain_.durable_version() == durable_) std::this_thread::yield();
}

// Or who goes on would have to leave all of it alone, and grow the file.
TEST_F(RestTest, NotBeforeItIsRest) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  ASSERT_NO_FATAL_FAILURE(
      OpenAndOverwrite(absl::InfiniteDuration(), /*syncs=*/true));
  AwaitTicks();
  EXPECT_EQ(domain_.durable_version(), durable_);
}

// But not if they keep much more than lives.
TEST_F(RestTest, RootsThatKeepMoreThanLivesMoveOnBeforeItIsRest) {
  ASSERT_NO_FATAL_FAILURE(
      OpenAndOverwrite(absl::InfiniteDuration(), /*syncs=*/true));
  ASSERT_OK(domain_.Drop("m"));
  while (domain_.durable_version() == durable_) std::this_thread::yield();
}

TEST_F(RestTest, FreeSpaceIsGivenBackAtRest) {
  ASSERT_NO_FATAL_FAILURE(
      OpenAndOverwrite(absl::ZeroDuration(), /*syncs=*/false));
  while (BytesPunched() == 0) std::this_thread::yield();
}

TEST_F(RestTest, FreeSpaceIsKeptBeforeItIsRest) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  ASSERT_NO_FATAL_FAILURE(
      OpenAndOverwrite(absl::InfiniteDuration(), /*syncs=*/false));
  AwaitTicks();
  EXPECT_EQ(BytesPunched(), 0u);
}

}  // namespace
}  // namespace eve
