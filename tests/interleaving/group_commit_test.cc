// Group commit: who flushes flushes for everybody, and nobody waits for long
// for one that is stopped or dead (P20).

#include <signal.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/checkpoint/checkpointer.h"
#include "engine/domain/registry.h"
#include "engine/epoch/ticket.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/held_thread.h"
#include "tests/testing/power_loss.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/timed_waits.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::HeldThread;
using testing::SharedValue;
using testing::SignalSelfAt;
using testing::Synchronous;
using testing::TempDir;
using Numbers = Map<std::string, int64_t>;

// All that a flusher passes with the ticket in its hands, and behind that.
constexpr const char* kFlusherSteps[] = {
    "flusher.taken",          "checkpoint.slot_taken", "one_flush.announced",
    "one_flush.slot_written", "one_flush.flushed",     "checkpoint.durable",
    "flusher.before_release", "flusher.released",      "flusher.beat"};

bool HadTicketAt(std::string_view step) {
  return step != "flusher.released" && step != "flusher.beat";
}

class GroupCommitTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Synchronous()));
    ASSERT_OK_AND_ASSIGN(impl_, internal::OpenInstance(path_, Synchronous()));
    ASSERT_OK(Put("n", 0));
  }
  void TearDown() override {
    ClearStepHook();
    ClearFaultHook();
  }
  absl::StatusOr<Commit> Put(const std::string& key, int64_t n,
                             Durability durability = Durability::kSync) {
    absl::StatusOr<Numbers> map = domain_.Collection<Numbers>("m");
    if (!map.ok()) return map.status();
    SwapOptions options;
    options.durability = durability;
    return domain_.Swap(
        [&](Transaction& txn) { return map->In(txn).Put(key, n); }, options);
  }
  RegionWords& words() { return impl_->core().region.words(); }
  // A child that commits `n` and gets a signal at that step of it.
  ChildProcess CommitAndSignal(int64_t n, int signal, const char* step) {
    return ChildProcess([this, n, signal, step] {
      auto other = Domain::Open(path_, Synchronous());
      if (!other.ok()) return 1;
      auto map = other->Collection<Numbers>("m");
      if (!map.ok()) return 2;
      SignalSelfAt(1, signal, step);
      return map->Put("n", n).ok() ? 0 : 3;
    });
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::shared_ptr<internal::DomainImpl> impl_;
};

// What is published before the flusher pins its root is in its flush, and who
// waits for that takes no flush of its own.
TEST_F(GroupCommitTest, OneFlushForAllThatArePublished) {
  std::atomic<int> flushes{0};
  SetFaultHook([&](std::string_view point) {
    flushes += point == "file.datasync" ? 1 : 0;
    return 0;
  });
  HeldThread flusher([&] { EXPECT_OK(Put("a", 1)); },
                     HeldThread::At("flusher.taken"));
  ASSERT_TRUE(flusher.AwaitHeld());
  uint64_t newest = 0;
  for (int64_t n = 0; n < 5; ++n) {
    ASSERT_OK_AND_ASSIGN(const Commit done,
                         Put("b" + std::to_string(n), n, Durability::kNone));
    newest = done.version;
  }
  EXPECT_LT(domain_.durable_version(), newest);
  flusher.LetGo();
  EXPECT_EQ(flushes, 1);
  EXPECT_EQ(domain_.durable_version(), newest);
  Checkpointer checkpointer(&impl_->core());
  EXPECT_OK(checkpointer.Commit(newest));
  EXPECT_EQ(flushes, 1);
}

// One that finds its version durable gives the ticket back without having
// flushed: how long that took says nothing of how long others should wait.
TEST_F(GroupCommitTest, WhatWasNoFlushDoesNotCountAsOne) {
  HeldThread late([&] { EXPECT_OK(Put("a", 1)); },
                  HeldThread::At("flusher.taken"));
  ASSERT_TRUE(late.AwaitHeld());
  const uint64_t held = NanosOfTicket(words().flusher.load());
  ASSERT_GT(held, kTicketNanosPerUnit);
  ASSERT_OK(domain_.Sync());
  late.LetGo();
  uint64_t next = 0;
  SetStepHook([&](std::string_view step) {
    if (step == "flusher.taken") next = NanosOfTicket(words().flusher.load());
  });
  ASSERT_OK(Put("a", 2));
  EXPECT_EQ(next, held);
}

// Never what is about to be published: a commit that comes while the flush is
// under way is not acknowledged by it.
TEST_F(GroupCommitTest, WhatIsPublishedDuringAFlushTakesTheNext) {
  for (const char* step :
       {"one_flush.announced", "one_flush.slot_written", "one_flush.flushed"}) {
    SCOPED_TRACE(step);
    const uint64_t before = domain_.durable_version();
    HeldThread flusher([&] { EXPECT_OK(Put("a", 1)); }, HeldThread::At(step));
    ASSERT_TRUE(flusher.AwaitHeld());
    ASSERT_OK_AND_ASSIGN(const Commit late, Put("b", 2, Durability::kNone));
    flusher.LetGo();
    EXPECT_EQ(domain_.durable_version(), before + 1);
    EXPECT_EQ(late.version, before + 2);
    EXPECT_OK(domain_.WaitDurable(late.version, absl::InfiniteDuration()));
    EXPECT_EQ(domain_.durable_version(), late.version);
  }
}

// P20: one that is stopped is waited for once, however much is committed then.
TEST_F(GroupCommitTest, AStoppedFlusherIsWaitedForOnce) {
  int64_t n = 100;
  for (const char* step : kFlusherSteps) {
    SCOPED_TRACE(step);
    ChildProcess child = CommitAndSignal(n, SIGSTOP, step);
    child.AwaitStopped();
    std::atomic<int> in_vain{0};
    std::atomic<int> waits{0};
    SetStepHook([&](std::string_view passed) {
      in_vain += passed == "flusher.waited_in_vain" ? 1 : 0;
      waits += passed == "flusher.wait" ? 1 : 0;
    });
    for (int64_t k = 1; k <= 20; ++k) {
      ASSERT_OK_AND_ASSIGN(const Commit done, Put("n", n + k));
      EXPECT_GE(domain_.durable_version(), done.version);
    }
    ClearStepHook();
    const bool had_it = HadTicketAt(step);
    EXPECT_EQ(in_vain, had_it ? 1 : 0);
    EXPECT_EQ(waits, had_it ? 1 : 0);
    child.Signal(SIGCONT);
    EXPECT_EQ(child.Wait(), 0);
    EXPECT_EQ(words().flusher, 0u);
    ASSERT_OK(Put("n", n + 50));
    EXPECT_TRUE(ReadDurableCandidates(impl_->core().region).pending.empty());
    testing::ExpectCleanCheck(path_, domain_);
    n += 100;
  }
}

TEST_F(GroupCommitTest, ADeadFlusherIsReplaced) {
  int64_t n = 100;
  for (const char* step : kFlusherSteps) {
    SCOPED_TRACE(step);
    ChildProcess child = CommitAndSignal(n, SIGKILL, step);
    ASSERT_EQ(child.Wait(), -SIGKILL);
    std::atomic<int> dead{0};
    SetStepHook([&](std::string_view passed) {
      dead += passed == "flusher.dead" ? 1 : 0;
    });
    const uint64_t waits = testing::TimedWaits();
    ASSERT_OK_AND_ASSIGN(const Commit done, Put("n", n + 1));
    EXPECT_EQ(testing::TimedWaits(), waits);
    ClearStepHook();
    EXPECT_EQ(dead, HadTicketAt(step) ? 1 : 0);
    EXPECT_EQ(domain_.durable_version(), done.version);
    EXPECT_EQ(words().flusher, 0u);
    ASSERT_OK(Put("n", n + 2));
    const std::string copy =
        testing::CopyAfterPowerLoss(path_, dir_.File(step));
    ASSERT_OK_AND_ASSIGN(Domain opened, Domain::Open(copy, Synchronous()));
    ASSERT_OK_AND_ASSIGN(const Numbers map, opened.Collection<Numbers>("m"));
    EXPECT_EQ(map.Get("n").value(), n + 2);
    n += 100;
  }
}

// One that dies between the beat and waking leaves sleepers, who look.
TEST_F(GroupCommitTest, WhoIsNotWokenLooks) {
  ChildProcess flusher([this] {
    auto other = Domain::Open(path_, Synchronous());
    if (!other.ok()) return 1;
    auto map = other->Collection<Numbers>("m");
    if (!map.ok()) return 2;
    SetStepHook([](std::string_view step) {
      if (step == "one_flush.slot_written") ::raise(SIGSTOP);
      if (step == "flusher.beat") ::raise(SIGKILL);
    });
    return map->Put("n", 1).ok() ? 0 : 3;
  });
  flusher.AwaitStopped();
  std::atomic<bool> waits{false};
  SetStepHook([&](std::string_view step) {
    if (step == "flusher.wait") waits = true;
  });
  std::thread waiter([&] { EXPECT_OK(Put("n", 2)); });
  while (!waits) std::this_thread::yield();
  flusher.Signal(SIGCONT);
  EXPECT_EQ(flusher.Wait(), -SIGKILL);
  waiter.join();
  ClearStepHook();
  EXPECT_EQ(domain_.durable_version(), domain_.Now().value().version());
}

// A flush wakes those whose commits it took, and one of the others, who flushes
// next: they would see it by themselves, but late.
TEST_F(GroupCommitTest, WhoWaitsIsWoken) {
  constexpr int kRounds = 20;
  // Held before it pins the root its flush takes the others, and behind not.
  for (const char* step : {"flusher.taken", "one_flush.slot_written"}) {
    SCOPED_TRACE(step);
    std::atomic<int> late{0};
    for (int round = 0; round < kRounds; ++round) {
      HeldThread flusher([&] { EXPECT_OK(Put("a", round)); },
                         HeldThread::At(step));
      ASSERT_TRUE(flusher.AwaitHeld());
      std::atomic<int> waiting{0};
      SetStepHook([&](std::string_view passed) {
        waiting += passed == "flusher.wait" ? 1 : 0;
        late += passed == "flusher.looked" ? 1 : 0;
      });
      // Or one has waited in vain, and has flushed for the other before that
      // one came to wait.
      std::atomic<int> ended{0};
      const auto put = [&](const char* key) {
        EXPECT_OK(Put(key, round));
        ++ended;
      };
      std::thread one(put, "b");
      std::thread two(put, "c");
      while (waiting + ended < 2) std::this_thread::yield();
      flusher.LetGo();
      one.join();
      two.join();
      ClearStepHook();
    }
    // Nobody was woken, or but one of two, in every round: by chance in few.
    EXPECT_LT(late, kRounds / 2);
  }
}

// Who waits while the flush fails is told, and so is everybody after.
TEST_F(GroupCommitTest, AFailedFlushIsToldToAllThatWait) {
  const uint64_t durable = domain_.durable_version();
  std::atomic<bool> waits{false};
  std::thread waiter;
  absl::Status told;
  SetFaultHook([&](std::string_view point) {
    return point == "file.datasync" ? EIO : 0;
  });
  HeldThread flusher(
      [&] {
        EXPECT_CODE(Put("a", 1).status(), absl::StatusCode::kUnavailable);
      },
      HeldThread::At("one_flush.slot_written"));
  ASSERT_TRUE(flusher.AwaitHeld());
  SetStepHook([&](std::string_view step) {
    if (step == "durable.wait") waits = true;
  });
  waiter = std::thread([&] {
    Checkpointer checkpointer(&impl_->core());
    told = checkpointer.Wait(durable + 1, absl::InfiniteFuture());
  });
  while (!waits) std::this_thread::yield();
  flusher.LetGo();
  waiter.join();
  EXPECT_CODE(told, absl::StatusCode::kUnavailable);
  EXPECT_CODE(Put("b", 1).status(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(domain_.durable_version(), durable);
}

// A wait ends at its timeout, whoever else stands still.
TEST_F(GroupCommitTest, WaitDurableEndsAtItsTimeout) {
  ASSERT_OK_AND_ASSIGN(const Commit done, Put("n", 1, Durability::kNone));
  EXPECT_CODE(domain_.WaitDurable(done.version + 1, absl::ZeroDuration()),
              absl::StatusCode::kDeadlineExceeded);
  EXPECT_OK(domain_.WaitDurable(done.version, absl::InfiniteDuration()));
  EXPECT_EQ(domain_.durable_version(), done.version);
  ChildProcess child = CommitAndSignal(2, SIGSTOP, "one_flush.announced");
  child.AwaitStopped();
  ASSERT_OK_AND_ASSIGN(const Commit last, Put("n", 3, Durability::kNone));
  EXPECT_CODE(domain_.WaitDurable(last.version, absl::ZeroDuration()),
              absl::StatusCode::kDeadlineExceeded);
  EXPECT_OK(domain_.WaitDurable(last.version, absl::InfiniteDuration()));
  child.Signal(SIGCONT);
  EXPECT_EQ(child.Wait(), 0);
}

// With a background thread the call itself does nothing but wait, whatever the
// durability of the domain; and at rest that thread settles.
TEST(WaitDurableTest, BackgroundThreadFlushesWhenAsked) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  DomainOptions options;
  options.durability = Durability::kNone;
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, options));
  ASSERT_OK_AND_ASSIGN(const Numbers map, domain.Collection<Numbers>("m"));
  for (int64_t n = 0; n < 5; ++n) {
    ASSERT_OK_AND_ASSIGN(const Commit done, domain.Swap([&](Transaction& txn) {
      return map.In(txn).Put("n", n);
    }));
    ASSERT_OK(domain.WaitDurable(done.version, absl::InfiniteDuration()));
    EXPECT_GE(domain.durable_version(), done.version);
  }
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path, options));
  const RegionWords& words = impl->core().region.words();
  while (words.settled != domain.durable_version()) std::this_thread::yield();
}

// Threads and processes together: what was acknowledged is there after a power
// failure, and no commit is lost.
TEST(GroupCommitCrowdTest, ThreadsAndProcesses) {
  constexpr int kProcesses = 3;
  constexpr int kThreads = 3;
  constexpr int64_t kCommits = 30;
  TempDir dir;
  const std::string path = dir.File("d.eve");
  using Counts = std::array<std::atomic<int64_t>, kProcesses * kThreads>;
  SharedValue<Counts> acknowledged;
  std::vector<ChildProcess> children;
  for (int p = 0; p < kProcesses; ++p) {
    children.emplace_back([&, p] {
      auto domain = Domain::Open(path, Synchronous());
      if (!domain.ok()) return 1;
      std::atomic<int> failed{0};
      std::vector<std::thread> threads;
      for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, id = p * kThreads + t] {
          auto map = domain->Collection<Numbers>("m");
          for (int64_t n = 1; map.ok() && n <= kCommits; ++n) {
            if (!map->Put(std::to_string(id), n).ok()) ++failed;
            (*acknowledged)[id] = n;
          }
          if (!map.ok()) ++failed;
        });
      }
      for (std::thread& thread : threads) thread.join();
      return failed == 0 ? 0 : 2;
    });
  }
  int copies = 0;
  for (bool is_running = true; is_running;) {
    is_running = false;
    for (int i = 0; i < kProcesses * kThreads; ++i) {
      is_running |= (*acknowledged)[i] < kCommits;
    }
    std::vector<int64_t> least;
    for (auto& count : *acknowledged) least.push_back(count);
    if (!std::filesystem::exists(path)) continue;
    const std::string copy =
        testing::CopyAfterPowerLoss(path, dir.File(std::to_string(copies++)));
    absl::StatusOr<Domain> opened = Domain::Open(copy, Synchronous());
    ASSERT_OK(opened);
    absl::StatusOr<Numbers> map = opened->Collection<Numbers>("m");
    ASSERT_OK(map);
    for (int i = 0; i < kProcesses * kThreads; ++i) {
      EXPECT_GE(map->Get(std::to_string(i)).value_or(0), least[i]) << i;
    }
    testing::ExpectCleanCheck(copy, *opened);
    ASSERT_OK(opened->Close());
    std::filesystem::remove(copy);
    std::filesystem::remove(copy + "-lock");
  }
  for (ChildProcess& child : children) EXPECT_EQ(child.Wait(), 0);
}

}  // namespace
}  // namespace eve
