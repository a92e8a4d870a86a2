// The N-th call fails in opening a domain, for all N, once and from then on:
// after the death of all processes, after the last was closed, beside one that
// writes. It opens with the newest version or it does not, and says why; and
// the next opening finds all that there was.

#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/crash/io_failure_fixture.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::FailingCall;
using testing::FlushedImage;
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

  // Calls `prepare` and `open` in a folder of its own for each N; `open` gives
  // the number of calls.
  void ForEachCall(const std::function<void()>& prepare,
                   const std::function<int(int nth)>& open, int calls_min) {
    for (int nth = 1;; ++nth) {
      SCOPED_TRACE(absl::StrCat("call ", nth));
      const testing::TempDir dir(Base());
      path_ = dir.File("d.eve");
      history_ = testing::History();
      FlushedImage image(path_);
      ASSERT_NO_FATAL_FAILURE(prepare());
      const int calls = open(nth);
      ASSERT_FALSE(HasFailure());
      ASSERT_NO_FATAL_FAILURE(ExpectSurvivesPowerLoss(dir, path_, image));
      ASSERT_NO_FATAL_FAILURE(ExpectThere(path_));
      ASSERT_FALSE(HasFailure());
      if (calls < nth) {
        EXPECT_GT(nth, calls_min);
        break;
      }
    }
  }

  // What there was when the process died or closed is what there is, whatever
  // the opening met: a failed one takes nothing from the next.
  void ExpectNewest(Domain& domain) {
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    history_.Acknowledge();
    history_.ExpectOneOf(domain, map);
  }

  std::string path_;
};

TEST_P(IoFailureOpenTest, RecoveryAfterTheDeathOfAllCanBeTriedAgain) {
  ForEachCall([&] { WriteElsewhere(/*closes=*/false); },
              [&](int nth) {
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
              },
              /*calls_min=*/30);
}

// The second opening fails as well, at each call in turn.
TEST_P(IoFailureOpenTest, FailedRecoveriesAddUpToNothingLost) {
  ForEachCall([&] { WriteElsewhere(/*closes=*/false); },
              [&](int nth) {
                int calls = 0;
                for (int first = 1; first <= nth; first += 7) {
                  FailingCall failing(first, GetParam());
                  Says(Domain::Open(path_, Quiet()).status());
                }
                {
                  FailingCall failing(nth, GetParam());
                  Says(Domain::Open(path_, Quiet()).status());
                  calls = failing.calls();
                }
                return calls;
              },
              /*calls_min=*/30);
}

TEST_P(IoFailureOpenTest, AReaderOfAClosedDomainSeesAllOfIt) {
  ForEachCall([&] { WriteElsewhere(/*closes=*/true); },
              [&](int nth) {
                DomainOptions options = Quiet();
                options.read_only = true;
                FailingCall failing(nth, GetParam());
                absl::StatusOr<Domain> domain = Domain::Open(path_, options);
                failing.Stop();
                if (Says(domain.status())) ExpectNewest(*domain);
                return failing.calls();
              },
              /*calls_min=*/10);
}

// It takes no version that is not the newest instead.
TEST_P(IoFailureOpenTest, AReaderOfADomainThatWasNotClosedIsRefused) {
  ForEachCall([&] { WriteElsewhere(/*closes=*/false); },
              [&](int nth) {
                DomainOptions options = Quiet();
                options.read_only = true;
                FailingCall failing(nth, GetParam());
                const absl::Status status =
                    Domain::Open(path_, options).status();
                failing.Stop();
                EXPECT_FALSE(Says(status));
                return failing.calls();
              },
              /*calls_min=*/10);
}

TEST_P(IoFailureOpenTest, AReaderBesideAWriterSeesTheNewestVersion) {
  Domain writer;
  ForEachCall(
      [&] {
        ASSERT_OK_AND_ASSIGN(writer, Domain::Open(path_, Quiet()));
        ASSERT_OK_AND_ASSIGN(Strings map, writer.Collection<Strings>("m"));
        Write(writer, map);
      },
      [&](int nth) {
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
      },
      /*calls_min=*/10);
}

INSTANTIATE_TEST_SUITE_P(Errors, IoFailureOpenTest, testing::AllFailures(),
                         testing::NameOfFailure);

}  // namespace
}  // namespace eve
