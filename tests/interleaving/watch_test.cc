// Waiting for commits of any process: no wake-up is lost, whoever dies or is
// stopped (I20, RootWatch).

#include <signal.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/domain/registry.h"
#include "engine/root/root_watch.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/no_threads.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/step_sync.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::Quiet;
using testing::SharedValue;
using testing::SignalSelfAt;
using testing::StepSync;
using testing::TempDir;
using Numbers = Map<std::string, int64_t>;

constexpr absl::Duration kForEver = absl::InfiniteDuration();

class WatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(Numbers map, domain_.Collection<Numbers>("m"));
    map_.emplace(std::move(map));
    ASSERT_OK_AND_ASSIGN(impl_, internal::OpenInstance(path_, Quiet()));
    SetStepHook([this](std::string_view step) { Pass(step); });
  }
  void TearDown() override { ClearStepHook(); }

  // A thread that waits for news after `version`, and stops the first time that
  // it passes `step`, until LetGo().
  void StartWaiter(uint64_t version, std::string_view step = {}) {
    held_at_ = step;
    was_held_ = false;
    sync_ = std::make_unique<StepSync>();
    waiter_ = std::thread([this, version] {
      is_waiter = true;
      const absl::StatusOr<uint64_t> news = domain_.WaitPast(version, kForEver);
      EXPECT_OK(news);
      heard_ = news.value_or(0);
    });
    if (!step.empty()) sync_->Await(1);
  }
  void LetGo() {
    sync_->Signal(2);
    waiter_.join();
  }
  // Until a thread is in the kernel, or about to be.
  void AwaitSleeper() {
    while (sleeps_ == 0) std::this_thread::yield();
  }
  SharedWord& word() { return impl_->core().region.words().watch; }
  uint64_t Newest() { return domain_.Now().value().version(); }
  // A child that commits once, and gets a signal at that step of it.
  ChildProcess CommitAndSignal(int signal, const char* step) {
    return ChildProcess([this, signal, step] {
      ClearStepHook();
      auto other = Domain::Open(path_, Quiet());
      if (!other.ok()) return 1;
      auto map = other->Collection<Numbers>("m");
      if (!map.ok()) return 2;
      SignalSelfAt(1, signal, step);
      return map->Put("child", 1).ok() ? 0 : 3;
    });
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::optional<Numbers> map_;
  std::shared_ptr<internal::DomainImpl> impl_;
  std::thread waiter_;
  std::atomic<uint64_t> heard_{0};
  std::atomic<int> arms_{0};
  std::atomic<int> sleeps_{0};
  std::atomic<int> wakes_{0};
  std::atomic<int> late_{0};  // wake-ups that were lost

 private:
  void Pass(std::string_view step) {
    if (step == "watch.armed") ++arms_;
    if (step == "watch.sleep") ++sleeps_;
    if (step == "watch.before_wake") ++wakes_;
    if (step == "watch.late") ++late_;
    if (!is_waiter || step != held_at_ || was_held_.exchange(true)) return;
    sync_->Signal(1);
    sync_->Await(2);
  }

  static inline thread_local bool is_waiter = false;
  std::string held_at_;
  std::atomic<bool> was_held_{false};
  std::unique_ptr<StepSync> sync_;
};

TEST_F(WatchTest, NewsThatIsThereAndTimeouts) {
  const uint64_t newest = Newest();
  ASSERT_OK_AND_ASSIGN(const uint64_t heard,
                       domain_.WaitPast(newest - 1, kForEver));
  EXPECT_EQ(heard, newest);
  EXPECT_CODE(domain_.WaitPast(newest, absl::ZeroDuration()),
              absl::StatusCode::kDeadlineExceeded);
  EXPECT_CODE(domain_.WaitPast(newest, -absl::InfiniteDuration()),
              absl::StatusCode::kDeadlineExceeded);
  // Neither has asked to be woken.
  EXPECT_EQ(arms_, 0);
  EXPECT_CODE(domain_.WaitPast(newest, absl::Microseconds(1)),
              absl::StatusCode::kDeadlineExceeded);
  Domain closed;
  EXPECT_CODE(closed.WaitPast(0, kForEver),
              absl::StatusCode::kFailedPrecondition);
  EXPECT_CODE(closed.OnChange([](uint64_t) {}),
              absl::StatusCode::kFailedPrecondition);
  EXPECT_CODE(domain_.OnChange(nullptr), absl::StatusCode::kInvalidArgument);
}

// While nobody waits a commit makes no call and writes no word.
TEST_F(WatchTest, CommitsPayNothingWhileNobodyWaits) {
  const uint64_t before = word();
  for (int64_t i = 0; i < 100; ++i) ASSERT_OK(map_->Put("k", i));
  EXPECT_EQ(wakes_, 0);
  EXPECT_EQ(word(), before);
}

// A commit that falls between any two steps of a waiter is heard of.
TEST_F(WatchTest, CommitBetweenAnyTwoStepsOfAWaiterIsHeardOf) {
  for (const char* step : {"watch.before_arm", "watch.armed", "watch.sleep"}) {
    SCOPED_TRACE(step);
    const uint64_t newest = Newest();
    wakes_ = 0;
    StartWaiter(newest, step);
    const int armed = word() & 1;
    EXPECT_EQ(armed, std::string_view(step) == "watch.before_arm" ? 0 : 1);
    ASSERT_OK(map_->Put("k", 1));
    EXPECT_EQ(wakes_, armed);
    // Nobody waits any more, as far as this one knows.
    ASSERT_OK(map_->Put("k", 2));
    EXPECT_EQ(wakes_, armed);
    LetGo();
    EXPECT_EQ(heard_, newest + 2);
    EXPECT_EQ(late_, 0);
  }
}

// A waiter that finds the word odd sleeps on another's arming.
TEST_F(WatchTest, WaitersShareOneArming) {
  const uint64_t newest = Newest();
  StartWaiter(newest, "watch.sleep");
  const uint64_t armed = word();
  EXPECT_CODE(domain_.WaitPast(newest, absl::Microseconds(1)),
              absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(word(), armed);
  ASSERT_OK(map_->Put("k", 1));
  EXPECT_EQ(wakes_, 1);
  LetGo();
  EXPECT_EQ(late_, 0);
}

// Folds are versions, too.
TEST_F(WatchTest, AFoldIsHeardOf) {
  for (int64_t i = 0; i < 10; ++i) ASSERT_OK(map_->Put("k", i));
  const uint64_t newest = Newest();
  StartWaiter(newest, "watch.sleep");
  ASSERT_OK(domain_.Reclaim());
  EXPECT_EQ(Newest(), newest + 1);
  LetGo();
  EXPECT_EQ(heard_, newest + 1);
  EXPECT_EQ(late_, 0);
}

// The kernel compares 32 bits, and adds to no more.
TEST_F(WatchTest, TheWordMayOverflow) {
  word() = 0x1'FFFF'FFFE;
  const uint64_t newest = Newest();
  StartWaiter(newest, "watch.sleep");
  EXPECT_EQ(word(), 0x1'FFFF'FFFFu);
  ASSERT_OK(map_->Put("k", 1));
  EXPECT_EQ(word(), 0x1'0000'0000u);
  LetGo();
  EXPECT_EQ(late_, 0);
}

// A waiter that dies costs the next commit one call, and no more.
TEST_F(WatchTest, DeathOfAWaiterCostsOneCall) {
  for (const char* step : {"watch.armed", "watch.sleep"}) {
    SCOPED_TRACE(step);
    ChildProcess child([&] {
      ClearStepHook();
      auto other = Domain::Open(path_, Quiet());
      if (!other.ok()) return 1;
      auto now = other->Now();
      if (!now.ok()) return 2;
      SignalSelfAt(1, SIGKILL, step);
      return other->WaitPast(now->version(), kForEver).ok() ? 0 : 3;
    });
    ASSERT_EQ(child.Wait(), -SIGKILL);
    EXPECT_EQ(word() & 1, 1u);
    wakes_ = 0;
    for (int64_t i = 0; i < 10; ++i) ASSERT_OK(map_->Put("k", i));
    EXPECT_EQ(wakes_, 1);
    EXPECT_EQ(word() & 1, 0u);
  }
}

// Who has published and dies, or is stopped, before it has woken anybody leaves
// that to the next commit of anybody.
TEST_F(WatchTest, TheNextCommitWakesForADeadOrStoppedOne) {
  for (const int signal : {SIGKILL, SIGSTOP}) {
    SCOPED_TRACE(signal);
    sleeps_ = 0;
    // One more than the child will publish.
    const uint64_t wanted = Newest() + 1;
    StartWaiter(wanted);
    AwaitSleeper();
    ChildProcess child = CommitAndSignal(signal, "watch.before_wake");
    if (signal == SIGKILL) {
      ASSERT_EQ(child.Wait(), -SIGKILL);
    } else {
      child.AwaitStopped();
    }
    EXPECT_EQ(Newest(), wanted);
    EXPECT_EQ(word() & 1, 1u);
    ASSERT_OK(map_->Put("k", 1));
    waiter_.join();
    EXPECT_EQ(heard_, wanted + 1);
    EXPECT_EQ(late_, 0);
    EXPECT_EQ(word() & 1, 0u);
    if (signal == SIGSTOP) {
      child.Signal(SIGCONT);
      EXPECT_EQ(child.Wait(), 0);
    }
    testing::ExpectCleanCheck(path_, domain_);
  }
}

// And if nobody commits: the sleeper looks by itself.
TEST_F(WatchTest, TheLastCommitOfADeadOneIsHeardOfLate) {
  const uint64_t newest = Newest();
  StartWaiter(newest);
  AwaitSleeper();
  ChildProcess child = CommitAndSignal(SIGKILL, "watch.before_wake");
  ASSERT_EQ(child.Wait(), -SIGKILL);
  waiter_.join();
  EXPECT_EQ(heard_, newest + 1);
}

// Processes, one of which may only read, hear of each other's commits.
TEST_F(WatchTest, ProcessesPlayPingPong) {
  constexpr int64_t kRounds = 500;
  SharedValue<std::atomic<int>> late;
  const auto play = [&](const std::string& mine, const std::string& other) {
    auto domain = Domain::Open(path_, Quiet());
    if (!domain.ok()) return 1;
    auto map = domain->Collection<Numbers>("m");
    if (!map.ok()) return 2;
    SetStepHook([&late](std::string_view step) {
      if (step == "watch.late") ++*late;
    });
    for (int64_t round = 1; round <= kRounds; ++round) {
      if (!map->Put(mine, round).ok()) return 3;
      while (true) {
        auto now = domain->Now();
        if (!now.ok()) return 4;
        if (map->At(*now).Find(other).value_or(0) >= round) break;
        if (!domain->WaitPast(now->version(), kForEver).ok()) return 5;
      }
    }
    return 0;
  };
  ChildProcess ping([&] { return play("ping", "pong"); });
  ChildProcess pong([&] { return play("pong", "ping"); });
  ChildProcess umpire([&] {
    DomainOptions options = Quiet();
    options.read_only = true;
    auto domain = Domain::Open(path_, options);
    if (!domain.ok()) return 1;
    auto map = domain->Collection<Numbers>("m");
    if (!map.ok()) return 2;
    for (uint64_t version = 0;;) {
      auto news = domain->WaitPast(version, kForEver);
      if (!news.ok() || *news <= version) return 3;
      version = *news;
      if (map->Get("ping").value_or(0) == kRounds &&
          map->Get("pong").value_or(0) == kRounds) {
        return 0;
      }
    }
  });
  EXPECT_EQ(ping.Wait(), 0);
  EXPECT_EQ(pong.Wait(), 0);
  EXPECT_EQ(umpire.Wait(), 0);
  EXPECT_EQ(*late, 0);
}

// Who may not write the region cannot ask to be woken, and hears all the same.
TEST_F(WatchTest, AReaderWithoutCellsHears) {
  std::unique_ptr<ReaderCells> cells = std::move(impl_->core().cells);
  EXPECT_CODE(domain_.WaitPast(Newest(), absl::Microseconds(1)),
              absl::StatusCode::kDeadlineExceeded);
  const uint64_t newest = Newest();
  StartWaiter(newest);
  AwaitSleeper();
  EXPECT_EQ(arms_, 0);
  ChildProcess child = CommitAndSignal(SIGCONT, "watch.before_wake");
  EXPECT_EQ(child.Wait(), 0);
  waiter_.join();
  EXPECT_GT(heard_, newest);
  impl_->core().cells = std::move(cells);
}

TEST_F(WatchTest, NobodyWritesWhatIsOpenToReadAlone) {
  const uint64_t newest = Newest();
  map_.reset();
  impl_.reset();
  ASSERT_OK(domain_.Close());
  DomainOptions options = Quiet();
  options.read_only = true;
  ASSERT_OK_AND_ASSIGN(Domain reader, Domain::Open(path_, options));
  EXPECT_CODE(reader.WaitPast(newest, kForEver),
              absl::StatusCode::kFailedPrecondition);
  EXPECT_CODE(reader.OnChange([](uint64_t) {}),
              absl::StatusCode::kFailedPrecondition);
}

TEST_F(WatchTest, NoThreadIsAnError) {
  ChildProcess child([&] {
    auto domain = Domain::Open(path_, Quiet());
    if (!domain.ok() || !testing::AllowNoThreads()) return 1;
    const auto watch = domain->OnChange([](uint64_t) {});
    return absl::IsResourceExhausted(watch.status()) ? 0 : 2;
  });
  EXPECT_EQ(child.Wait(), 0);
}

TEST_F(WatchTest, CallsInOrderUntilStopped) {
  std::vector<uint64_t> heard;
  StepSync sync;
  std::atomic<uint64_t> last{0};
  ASSERT_OK_AND_ASSIGN(Watch watch, domain_.OnChange([&](uint64_t version) {
    heard.push_back(version);
    last = version;
  }));
  for (int64_t i = 0; i < 20; ++i) {
    ASSERT_OK(map_->Put("k", i));
    if (i % 4 == 0) {
      while (last != Newest()) std::this_thread::yield();
    }
  }
  while (last != Newest()) std::this_thread::yield();
  watch.Stop();
  EXPECT_OK(watch.status());
  EXPECT_GE(heard.size(), 5u);
  for (size_t i = 1; i < heard.size(); ++i) EXPECT_LT(heard[i - 1], heard[i]);
  EXPECT_EQ(late_, 0);
  const size_t calls = heard.size();
  ASSERT_OK(map_->Put("k", 21));
  watch.Stop();
  EXPECT_EQ(heard.size(), calls);
}

// Stopping waits for the call that runs, and not for the next commit.
TEST_F(WatchTest, StoppingWaitsForTheCallThatRuns) {
  std::atomic<bool> is_inside{false};
  std::atomic<bool> has_left{false};
  std::atomic<bool> may_leave{false};
  ASSERT_OK_AND_ASSIGN(Watch watch, domain_.OnChange([&](uint64_t) {
    is_inside = true;
    while (!may_leave) std::this_thread::yield();
    has_left = true;
  }));
  ASSERT_OK(map_->Put("k", 1));
  while (!is_inside) std::this_thread::yield();
  std::thread stopper([&] {
    watch.Stop();
    EXPECT_TRUE(has_left);
  });
  may_leave = true;
  stopper.join();
  // One that sleeps.
  sleeps_ = 0;
  ASSERT_OK_AND_ASSIGN(Watch idle, domain_.OnChange([](uint64_t) {}));
  AwaitSleeper();
  idle = Watch();
  EXPECT_EQ(late_, 0);
}

// From inside a call a watch may be stopped, and the last handle go.
TEST_F(WatchTest, ACallMayStopItsWatch) {
  std::atomic<bool> is_stopped{false};
  Watch watch;
  StepSync sync;
  ASSERT_OK_AND_ASSIGN(watch, domain_.OnChange([&](uint64_t) {
    sync.Await(1);
    watch.Stop();
    is_stopped = true;
  }));
  sync.Signal(1);
  ASSERT_OK(map_->Put("k", 1));
  while (!is_stopped) std::this_thread::yield();
  EXPECT_OK(watch.status());
}

// A watch keeps the domain open; in a forked child it is of no use and does no
// harm.
TEST_F(WatchTest, ForkAndTheLastHandle) {
  std::atomic<uint64_t> last{0};
  auto watch = std::make_unique<Watch>();
  ASSERT_OK_AND_ASSIGN(
      *watch, domain_.OnChange([&](uint64_t version) { last = version; }));
  ChildProcess child([&] {
    ClearStepHook();
    if (domain_.WaitPast(0, kForEver).status().code() !=
        absl::StatusCode::kFailedPrecondition) {
      return 1;
    }
    watch.reset();
    domain_ = Domain();
    auto again = Domain::Open(path_, Quiet());
    if (!again.ok()) return 2;
    auto map = again->Collection<Numbers>("m");
    return map.ok() && map->Put("child", 1).ok() ? 0 : 3;
  });
  EXPECT_EQ(child.Wait(), 0);
  while (last != Newest()) std::this_thread::yield();
  map_.reset();
  impl_.reset();
  domain_ = Domain();
  ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
  ASSERT_OK_AND_ASSIGN(const Numbers map, domain_.Collection<Numbers>("m"));
  ASSERT_OK(map.Put("k", 2));
  while (last != Newest()) std::this_thread::yield();
}

}  // namespace
}  // namespace eve
