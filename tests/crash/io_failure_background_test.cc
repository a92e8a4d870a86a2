// A call fails in a domain that makes itself durable on a thread of its own,
// while another commits. Which call that is differs from run to run, so some
// numbers are tried instead of all: each about a third above the one before.

#include <string>

#include "absl/strings/str_cat.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/crash/io_failure_fixture.h"
#include "tests/testing/status_matchers.h"

namespace eve {
namespace {

using testing::FailingCall;
using testing::Says;

constexpr int kCommits = 60;

class IoFailureBackgroundTest : public testing::IoFailureTest {
 protected:
  static DomainOptions Options() {
    DomainOptions options;
    options.durability = Durability::kCheckpoint;
    options.checkpoint_every = absl::Milliseconds(1);
    return options;
  }

  // Stops where it cannot go on.
  void Script() {
    absl::StatusOr<Domain> domain = Domain::Open(path_, Options());
    if (!Says(domain.status())) return;
    absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
    if (!Says(map.status())) return;
    for (int i = 0; i < kCommits; ++i) {
      // Every sixth needs room.
      const std::string value(i % 6 == 0 ? 300'000 : 10, 'v');
      Says(Put(*domain, *map, absl::StrCat("k", i % 9), absl::StrCat(i, value),
               Durability::kCheckpoint));
      history_.Acknowledge(domain->durable_version());
      if (i % 8 == 7) AwaitDurable(*domain);
      if (i % 20 == 19 && Says(domain->Sync())) history_.Acknowledge();
    }
    Says(domain->Reclaim());
    if (Says(domain->Close())) history_.Acknowledge();
  }

  // Until it is, or will not be: what has failed is told, and may pass.
  void AwaitDurable(Domain& domain) {
    const absl::StatusOr<Snapshot> now = domain.Now();
    ASSERT_OK(now);
    const uint64_t version = now->version();
    while (true) {
      const absl::Status status =
          domain.WaitDurable(version, absl::InfiniteDuration());
      if (Says(status)) history_.Acknowledge(version);
      if (status.ok() || absl::IsUnavailable(status)) return;
      ASSERT_NE(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
      if (GetParam().is_sticky) return;
    }
  }
};

TEST_P(IoFailureBackgroundTest, LosesNothingThatWasSaidToBeDurable) {
  const auto run = [&](int nth) {
    FailingCall failing(nth, GetParam());
    Script();
    failing.Stop();
    return failing.calls();
  };
  EXPECT_GT(ForEachCall({.run = run,
                         .next = [](int nth) { return nth + nth / 3 + 1; }}),
            100);
}

INSTANTIATE_TEST_SUITE_P(Errors, IoFailureBackgroundTest,
                         testing::AllFailures(), testing::NameOfFailure);

}  // namespace
}  // namespace eve
