// The N-th call fails in opening a domain, for all N, once and from then on:
// after the death of all processes, after the last was closed, beside one that
// writes. It opens with the newest version or it does not, and says why; and
// the next opening finds all that there was.

#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/crash/io_failure_fixture.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::FailingCall;
using testing::Quiet;
using testing::Says;
using testing::SharedValue;

class IoFailureOpenTest : public testing::IoFailureTest {
 protected:
  static constexpr int kWrites = 5;
  static std::string ValueOf(int write) {
    return absl::StrCat(write, std::string(300'000, 'v'));
  }

  // In the first process: two are acknowledged, the others are visible.
  void Write(Domain& domain, const Strings& map) {
    for (int i = 0; i < kWrites; ++i) {
      ASSERT_OK(Put(domain, map, absl::StrCat("k", i % 3), ValueOf(i),
                    i == 0 ? Durability::kSync : Durability::kNone));
      if (i == 1) {
        ASSERT_OK(domain.Sync());
        history_.Acknowledge();
      }
    }
  }
  void LearnWhatAnotherWrote() {
    for (int i = 0; i < kWrites; ++i) {
      history_.Put(absl::StrCat("k", i % 3), ValueOf(i));
      if (i == 1) history_.Acknowledge();
    }
  }

  // A process writes and closes the domain, or is killed with it open.
  void WriteElsewhere(bool closes) {
    ChildProcess writer([&] {
      absl::StatusOr<Domain> domain = Domain::Open(path_, Quiet());
      if (!domain.ok()) return 1;
      {
        absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
        if (!map.ok()) return 2;
        Write(*domain, *map);
      }
      if (!closes) ::kill(::getpid(), SIGKILL);
      return domain->Close().ok() && !HasFailure() ? 0 : 3;
    });
    ASSERT_EQ(writer.Wait(), closes ? 0 : -SIGKILL);
    LearnWhatAnotherWrote();
    if (closes) history_.Acknowledge();
  }

  // What there was when the process died or closed is what there is, whatever
  // the opening met: a failed one takes nothing from the next.
  void ExpectNewest(Domain& domain) {
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    history_.Acknowledge();
    history_.ExpectOneOf(domain, map);
  }

  // What a reader, with the N-th call failing, makes of a domain that a process
  // has closed, or not.
  using Look = std::function<void(absl::StatusOr<Domain>)>;
  int ReadAfter(bool closes, const Look& look) {
    return ForEachCall({.prepare = [&] { WriteElsewhere(closes); },
                        .run =
                            [&](int nth) {
                              DomainOptions options = Quiet();
                              options.read_only = true;
                              FailingCall failing(nth, GetParam());
                              absl::StatusOr<Domain> domain =
                                  Domain::Open(path_, options);
                              failing.Stop();
                              look(std::move(domain));
                              return failing.calls();
                            }});
  }
};

TEST_P(IoFailureOpenTest, RecoveryAfterTheDeathOfAllCanBeTriedAgain) {
  const auto run = [&](int nth) {
    FailingCall failing(nth, GetParam());
    {
      absl::StatusOr<Domain> domain = Domain::Open(path_, Quiet());
      failing.Stop();
      if (Says(domain.status())) ExpectNewest(*domain);
    }
    if (failing.has_failed_to_flush()) return failing.calls();
    absl::StatusOr<Domain> again = Domain::Open(path_, Quiet());
    EXPECT_OK(again);
    if (again.ok()) ExpectNewest(*again);
    return failing.calls();
  };
  EXPECT_GT(ForEachCall({.prepare = [&] { WriteElsewhere(/*closes=*/false); },
                         .run = run}),
            30);
}

// The second opening fails as well, at each call in turn.
TEST_P(IoFailureOpenTest, FailedRecoveriesAddUpToNothingLost) {
  const auto fail = [&](int nth) {
    FailingCall failing(nth, GetParam());
    Says(Domain::Open(path_, Quiet()).status());
    return failing.calls();
  };
  const auto run = [&](int nth) {
    for (int first = 1; first <= nth; first += 7) fail(first);
    return fail(nth);
  };
  EXPECT_GT(ForEachCall({.prepare = [&] { WriteElsewhere(/*closes=*/false); },
                         .run = run}),
            30);
}

TEST_P(IoFailureOpenTest, AReaderOfAClosedDomainSeesAllOfIt) {
  const auto look = [&](absl::StatusOr<Domain> domain) {
    if (Says(domain.status())) ExpectNewest(*domain);
  };
  EXPECT_GT(ReadAfter(/*closes=*/true, look), 10);
}

// It takes no version that is not the newest instead.
TEST_P(IoFailureOpenTest, AReaderOfADomainThatWasNotClosedIsRefused) {
  const auto look = [&](absl::StatusOr<Domain> domain) {
    EXPECT_FALSE(Says(domain.status()));
  };
  EXPECT_GT(ReadAfter(/*closes=*/false, look), 10);
}

TEST_P(IoFailureOpenTest, AReaderBesideAWriterSeesTheNewestVersion) {
  Domain writer;
  const auto prepare = [&] {
    ASSERT_OK_AND_ASSIGN(writer, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings map, writer.Collection<Strings>("m"));
    Write(writer, map);
  };
  const auto run = [&](int nth) {
    SharedValue<int> calls;
    ChildProcess reader([&] {
      DomainOptions options = Quiet();
      options.read_only = true;
      FailingCall failing(nth, GetParam());
      absl::StatusOr<Domain> domain = Domain::Open(path_, options);
      failing.Stop();
      *calls = failing.calls();
      if (Says(domain.status())) ExpectNewest(*domain);
      return HasFailure() ? 1 : 0;
    });
    EXPECT_EQ(reader.Wait(), 0);
    ExpectNewest(writer);
    EXPECT_OK(writer.Close());
    return *calls;
  };
  EXPECT_GT(ForEachCall({.prepare = prepare, .run = run}), 10);
}

INSTANTIATE_TEST_SUITE_P(Errors, IoFailureOpenTest, testing::AllFailures(),
                         testing::NameOfFailure);

}  // namespace
}  // namespace eve
