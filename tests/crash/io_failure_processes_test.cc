// The N-th call fails in one process, for all N, once and from then on, while
// another has the domain open: that one reads and commits as before, hears of a
// flush that failed, and what either was promised is there afterwards.

#include <array>
#include <cstdint>
#include <string>

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

constexpr int kGrowing = 6;  // values that need room
constexpr int kWritesMax = kGrowing + 3;

// What the failing process has done, for the other to know.
struct Done {
  struct Write {
    bool is_visible;
    bool is_acknowledged;  // it and all before it
  };
  std::array<Write, kWritesMax> writes;
  int count;
  int calls;
  bool has_failed_to_flush;
  bool has_failed_to_write;
};

std::string KeyOf(int write) { return absl::StrCat("k", write % 10); }
std::string ValueOf(int write) {
  return absl::StrCat(write, std::string(write < 2 ? 10 : 400'000, 'v'));
}

class IoFailureProcessesTest : public testing::IoFailureTest {
 protected:
  // In the failing process. Stops where it cannot go on.
  void Script(Done& done) {
    absl::StatusOr<Domain> domain = Domain::Open(path_, Quiet());
    if (!Says(domain.status())) return;
    absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
    if (!Says(map.status())) return;
    Write(*domain, *map, Durability::kSync, done);
    Write(*domain, *map, Durability::kNone, done);
    Flush(*domain, done);
    for (int i = 0; i < kGrowing; ++i) {
      Write(*domain, *map, Durability::kNone, done);
    }
    Says(domain->Compact());
    Write(*domain, *map, Durability::kSync, done);
    Says(domain->Close());
  }
  void Write(Domain& domain, const Strings& map, Durability durability,
             Done& done) {
    Done::Write& write = done.writes[static_cast<size_t>(done.count)];
    const absl::Status status =
        Put(domain, map, KeyOf(done.count), ValueOf(done.count), durability);
    write.is_visible = status.ok() || absl::IsUnavailable(status);
    write.is_acknowledged = status.ok() && durability == Durability::kSync;
    ++done.count;
  }
  void Flush(Domain& domain, Done& done) {
    const bool is_flushed = Says(domain.Sync());
    done.writes[static_cast<size_t>(done.count - 1)].is_acknowledged |=
        is_flushed;
    // A write that is not visible is none that could be acknowledged, but those
    // before it are.
  }

  // What the history is, as the failing process knows it.
  void Learn(const Done& done) {
    for (int i = 0; i < done.count; ++i) {
      const Done::Write& write = done.writes[static_cast<size_t>(i)];
      if (write.is_visible) history_.Put(KeyOf(i), ValueOf(i));
      if (write.is_acknowledged) history_.Acknowledge();
    }
  }

  // The N-th call of the other process fails. Gives how many it made.
  int FailOne(int nth) {
    SharedValue<Done> done;
    ChildProcess failing([&] {
      const FailingCall calls(nth, GetParam());
      Script(*done);
      done->calls = calls.calls();
      done->has_failed_to_flush = calls.has_failed_to_flush();
      done->has_failed_to_write = calls.has_failed_to_write();
      return HasFailure() ? 1 : 0;
    });
    EXPECT_EQ(failing.Wait(), 0);
    Learn(*done);
    ExpectGoesOn(*done);
    return done->calls;
  }

  // In the process that has had it open all the time.
  void ExpectGoesOn(const Done& done) {
    ASSERT_OK(Put(domain_, map_, "a", "here", Durability::kNone));
    // Of what was visible nothing has gone.
    testing::History newest = history_;
    newest.Acknowledge();
    ASSERT_NO_FATAL_FAILURE(newest.ExpectOneOf(domain_, map_));
    ASSERT_OK_AND_ASSIGN(const DomainStats stats, domain_.Stats());
    if (done.has_failed_to_flush) {
      EXPECT_TRUE(stats.poisoned);
    } else if (!done.has_failed_to_write) {  // perhaps of a slot
      EXPECT_FALSE(stats.poisoned);
    }
    const absl::Status synced = domain_.Sync();
    EXPECT_EQ(synced.code(), stats.poisoned ? absl::StatusCode::kUnavailable
                                            : absl::StatusCode::kOk)
        << synced;
    if (synced.ok()) history_.Acknowledge();
    const absl::Status put =
        Put(domain_, map_, "a", "there", Durability::kSync);
    // It is refused at once, and nothing is published.
    EXPECT_EQ(put.code(), stats.poisoned ? absl::StatusCode::kFailedPrecondition
                                         : absl::StatusCode::kOk)
        << put;
  }

  void Open() {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(map_, domain_.Collection<Strings>("m"));
    ASSERT_OK(Put(domain_, map_, "a", "1", Durability::kSync));
    ASSERT_OK(Put(domain_, map_, "a", "2", Durability::kNone));
  }

  Domain domain_;
  Strings map_{internal::CollectionRef{}};
};

TEST_P(IoFailureProcessesTest, TheOthersGoOnAndAreTold) {
  const auto close = [&] {
    map_ = Strings(internal::CollectionRef{});
    if (Says(domain_.Close())) history_.Acknowledge();
  };
  EXPECT_GT(ForEachCall({.prepare = [&] { Open(); },
                         .run = [&](int nth) { return FailOne(nth); },
                         .finish = close}),
            40);
}

INSTANTIATE_TEST_SUITE_P(Errors, IoFailureProcessesTest, testing::AllFailures(),
                         testing::NameOfFailure);

}  // namespace
}  // namespace eve
