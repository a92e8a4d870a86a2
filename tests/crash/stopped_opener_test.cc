// Who opens a domain while another one is stopped in the middle of opening it
// (include/eve/domain.h): ten seconds, and an error that names it. Nobody waits
// here: the program has a monotonic clock of its own, which goes on by a second
// at each look at a lock byte.

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::Quiet;
using testing::TempDir;

std::atomic<time_t> seconds_ahead{0};

// Its looks at lock bytes, each of which takes a second.
class Looks {
 public:
  Looks()
      : hook_([this](std::string_view point) {
          if (point == "file.lock") {
            ++count_;
            ++seconds_ahead;
          }
          return 0;
        }) {}
  int count() const { return count_; }

 private:
  std::atomic<int> count_{0};
  const ScopedFaultHook hook_;
};

class StoppedOpenerTest : public ::testing::Test {
 protected:
  ChildProcess StopOneAt(const char* step) {
    return ChildProcess([this, step] {
      testing::SignalSelfAt(1, SIGSTOP, step);
      return Domain::Open(path_, Quiet()).ok() ? 0 : 1;
    });
  }

  // For ten looks, that is; who it waits for is named.
  void ExpectWaitsFor(const ChildProcess& stopped, bool read_only) {
    const Looks looks;
    DomainOptions options = Quiet();
    options.read_only = read_only;
    const absl::Status status = Domain::Open(path_, options).status();
    EXPECT_CODE(status, absl::StatusCode::kDeadlineExceeded);
    EXPECT_NE(std::string(status.message())
                  .find(absl::StrCat("process ", stopped.pid())),
              std::string::npos)
        << status;
    EXPECT_LE(looks.count(), 10);
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
};

TEST_F(StoppedOpenerTest, FirstOpenerIsWaitedForTenSecondsAndNamed) {
  ASSERT_OK(Domain::Open(path_, Quiet()).status());
  ChildProcess stopped = StopOneAt("open.init_exclusive");
  stopped.AwaitStopped();
  ExpectWaitsFor(stopped, /*read_only=*/false);
  // It has changed nothing, nor has it been harmed.
  stopped.Signal(SIGCONT);
  EXPECT_EQ(stopped.Wait(), 0);
  EXPECT_OK(Domain::Open(path_, Quiet()).status());
}

// All threads of a process together wait as long as one.
TEST_F(StoppedOpenerTest, ThreadsWaitTogether) {
  constexpr int kThreads = 3;
  ASSERT_OK(Domain::Open(path_, Quiet()).status());
  ChildProcess stopped = StopOneAt("open.init_exclusive");
  stopped.AwaitStopped();
  std::atomic<int> waiting{0};
  SetStepHook([&](std::string_view step) {
    if (step == "registry.wait") ++waiting;
  });
  std::atomic<int> looks{0};
  const ScopedFaultHook slow([&](std::string_view point) {
    if (point != "file.lock") return 0;
    // The first look of the one that looks.
    while (waiting < kThreads - 1) std::this_thread::yield();
    ++looks;
    ++seconds_ahead;
    return 0;
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      EXPECT_CODE(Domain::Open(path_, Quiet()).status(),
                  absl::StatusCode::kDeadlineExceeded);
    });
  }
  for (std::thread& thread : threads) thread.join();
  ClearStepHook();
  EXPECT_LE(looks, 10);
}

// Who is alone and cuts the file, at its end or its beginning, has the byte
// again (P26): readers wait for him as well.
TEST_F(StoppedOpenerTest, WhoCutsTheFileIsWaitedForTenSecondsAndNamed) {
  using Strings = Map<std::string, std::string>;
  ChildProcess stopped([this] {
    auto domain = Domain::Open(path_, Quiet());
    if (!domain.ok()) return 1;
    auto map = domain->Collection<Strings>("m");
    if (!map.ok() || !map->Put("k", std::string(64 << 20, 'v')).ok()) return 2;
    if (!map->Put("k", "v").ok()) return 3;
    testing::SignalSelfAt(1, SIGSTOP, "cut.init_taken");
    return domain->Compact().ok() && domain->Close().ok() ? 0 : 4;
  });
  stopped.AwaitStopped();
  ExpectWaitsFor(stopped, /*read_only=*/false);
  ExpectWaitsFor(stopped, /*read_only=*/true);
  stopped.Signal(SIGCONT);
  EXPECT_EQ(stopped.Wait(), 0);
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  ASSERT_OK_AND_ASSIGN(const auto map, domain.Collection<Strings>("m"));
  EXPECT_EQ(map.Get("k").value(), "v");
}

TEST_F(StoppedOpenerTest, DeadFirstOpenerIsNotWaitedFor) {
  ASSERT_OK(Domain::Open(path_, Quiet()).status());
  ChildProcess stopped = StopOneAt("open.init_exclusive");
  stopped.AwaitStopped();
  stopped.Signal(SIGKILL);
  EXPECT_EQ(stopped.Wait(), -SIGKILL);
  const time_t before = seconds_ahead;
  const Looks looks;
  EXPECT_OK(Domain::Open(path_, Quiet()).status());
  // The init byte twice, the slot, the region's; and of closing.
  EXPECT_LT(seconds_ahead - before, 10);
}

// Who joins those that are attached shares the byte.
TEST_F(StoppedOpenerTest, StoppedJoinerIsInNobodysWay) {
  ASSERT_OK_AND_ASSIGN(const Domain domain, Domain::Open(path_, Quiet()));
  ChildProcess stopped = StopOneAt("open.joining");
  stopped.AwaitStopped();
  ChildProcess other([&] {
    const Looks looks;
    if (!Domain::Open(path_, Quiet()).ok()) return 1;
    return looks.count() < 10 ? 0 : 2;
  });
  EXPECT_EQ(other.Wait(), 0);
  stopped.Signal(SIGCONT);
  EXPECT_EQ(stopped.Wait(), 0);
}

// Who has a slot has recovered what there was: others join it.
TEST_F(StoppedOpenerTest, FirstOpenerWithASlotIsInNobodysWay) {
  ASSERT_OK(Domain::Open(path_, Quiet()).status());
  for (const char* step :
       {"process.generation", "process.swept", "process.counted"}) {
    SCOPED_TRACE(step);
    ChildProcess stopped = StopOneAt(step);
    stopped.AwaitStopped();
    ChildProcess other([&] {
      const Looks looks;
      auto domain = Domain::Open(path_, Quiet());
      if (!domain.ok()) return 1;
      if (looks.count() >= 10) return 2;
      auto map = domain->Collection<Map<std::string, std::string>>("m");
      if (!map.ok() || !map->Put("k", step).ok()) return 3;
      return domain->Reclaim().ok() && domain->Sync().ok() ? 0 : 4;
    });
    EXPECT_EQ(other.Wait(), 0);
    stopped.Signal(SIGCONT);
    EXPECT_EQ(stopped.Wait(), 0);
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(
        const auto map,
        (domain.Collection<Map<std::string, std::string>>("m")));
    EXPECT_EQ(map.Get("k").value(), step);
  }
}

}  // namespace
}  // namespace eve

extern "C" int clock_gettime(clockid_t clock, timespec* now) {
  const long failed = ::syscall(SYS_clock_gettime, clock, now);
  if (failed == 0 && clock == CLOCK_MONOTONIC) {
    now->tv_sec += eve::seconds_ahead;
  }
  return static_cast<int>(failed);
}
