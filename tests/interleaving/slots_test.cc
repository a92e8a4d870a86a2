// Checkpoints of more processes than there are commit slots.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/checkpoint/checkpointer.h"
#include "engine/domain/registry.h"
#include "engine/file/file_lock.h"
#include "engine/format/commit_slot.h"
#include "eve/eve.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/held_thread.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::ChildProcess;
using ::testing::HasSubstr;
using testing::SharedValue;
using Numbers = Map<std::string, int64_t>;

using testing::Quiet;

class SlotsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(const Numbers map, domain_.Collection<Numbers>("m"));
    ASSERT_OK(domain_.Sync());
    ASSERT_OK(map.Put("n", 1));
    // As other processes hold them: through a description of its own.
    ASSERT_OK_AND_ASSIGN(locks_, File::Open(path_ + "-lock", O_RDWR));
    EXPECT_EQ(SetLocks(/*locked=*/true), kCommitSlotCount);
  }
  void TearDown() override { ClearStepHook(); }
  // Of all slots; returns how many that did.
  uint32_t SetLocks(bool locked) {
    uint32_t done = 0;
    for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
      const uint64_t byte = kCommitSlotLockBase + slot;
      if (!locked) {
        UnlockByte(locks_, byte);
      } else if (!TryLockByte(locks_, byte, LockKind::kExclusive).value()) {
        continue;
      }
      ++done;
    }
    return done;
  }
  // Calls `fn` when a checkpoint has found all slots in use for the n-th time.
  void WhenInUse(int n, const std::function<void()>& fn) {
    SetStepHook([this, n, fn](std::string_view step) {
      if (step == "checkpoint.slots_in_use" && ++found_in_use_ == n) fn();
    });
  }

  testing::TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  File locks_;
  std::atomic<int> found_in_use_{0};
};

TEST_F(SlotsTest, OneThatIsGivenBackIsWaitedFor) {
  const uint64_t before = domain_.durable_version();
  WhenInUse(3, [this] { SetLocks(/*locked=*/false); });
  EXPECT_OK(domain_.Sync());
  EXPECT_EQ(found_in_use_, 3);
  EXPECT_GT(domain_.durable_version(), before);
}

TEST_F(SlotsTest, WhatAnotherMakesDurableNeedsNone) {
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path_, Quiet()));
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
  uint64_t checkpoints = domain_.Stats().value().checkpoints;
  WhenInUse(2, [&] {
    impl->core().region.words().durable[kCommitSlotCount - 1] = now.version();
  });
  EXPECT_OK(domain_.Sync());
  EXPECT_EQ(domain_.Stats().value().checkpoints, checkpoints);
}

// Owners that stand still: an error that says what is wrong, and no lie.
TEST_F(SlotsTest, NobodyWaitsForEver) {
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path_, Quiet()));
  Checkpointer checkpointer(&impl->core(), absl::Milliseconds(5));
  const absl::Status status = checkpointer.Run();
  EXPECT_CODE(status, absl::StatusCode::kUnavailable);
  EXPECT_NE(status.message().find("all 16 commit slots are in use"),
            std::string_view::npos)
      << status;
  // Once is enough, as long as nothing changes (P20).
  int looks = 0;
  SetStepHook([&looks](std::string_view step) {
    if (step == "checkpoint.slots_in_use") ++looks;
  });
  EXPECT_CODE(checkpointer.Run(), absl::StatusCode::kUnavailable);
  SetStepHook(nullptr);
  EXPECT_EQ(looks, kFailpointsEnabled ? 1 : 0);
  SetLocks(/*locked=*/false);
  EXPECT_OK(checkpointer.Run());
}

// Nor does a reader that asks nobody, and takes none itself; it is told the
// same as those who flush.
TEST_F(SlotsTest, AReaderDoesNotWaitForEver) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs faults";
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
  const auto wait = [&](const std::function<int(std::string_view)>& patience,
                        absl::Duration timeout) {
    ChildProcess child([&] {
      SetFaultHook(patience);
      DomainOptions options = Quiet();
      options.read_only = true;
      auto reader = Domain::Open(path_, options);
      if (!reader.ok()) return 100;
      const absl::Status told = reader->WaitDurable(now.version(), timeout);
      const bool is_named = std::string(told.message())
                                .find(absl::StrCat("process ", ::getppid(),
                                                   " (")) != std::string::npos;
      return static_cast<int>(told.code()) + (is_named ? 50 : 0);
    });
    return child.Wait();
  };
  constexpr int kTold = static_cast<int>(absl::StatusCode::kUnavailable) + 50;
  constexpr int kNotYet = static_cast<int>(absl::StatusCode::kDeadlineExceeded);
  const auto none = [](std::string_view point) {
    return point == "checkpoint.slot_patience" ? 1 : 0;
  };
  // The wait would be for ever; this one is long so that the test can fail.
  EXPECT_EQ(wait(none, absl::Seconds(40)), kTold);
  // They have their time.
  EXPECT_EQ(wait(nullptr, absl::Milliseconds(1)), kNotYet);
  // One that can be had, though nobody does.
  UnlockByte(locks_, kCommitSlotLockBase + kCommitSlotCount - 1);
  EXPECT_EQ(wait(none, absl::Milliseconds(1)), kNotYet);
  // So is one whose owner has died.
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path_, Quiet()));
  impl->core().region.words().pending[kCommitSlotCount - 1] = now.version();
  EXPECT_EQ(wait(none, absl::Milliseconds(1)), kNotYet);
  SetLocks(/*locked=*/false);
}

// Who has had a slot gets on, though it has announced nothing yet: another is
// not told of the time when nobody did.
TEST_F(SlotsTest, WhoHasOneNowIsWaitedFor) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path_, Quiet()));
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain_.Now());
  Checkpointer checkpointer(&impl->core(), absl::Hours(1));
  {
    const ScopedFaultHook impatient([](std::string_view point) {
      return point == "checkpoint.slot_patience" ? 1 : 0;
    });
    EXPECT_CODE(checkpointer.Run(), absl::StatusCode::kUnavailable);
  }
  SetLocks(/*locked=*/false);
  std::atomic<bool> is_over{false};
  absl::Status other;
  std::thread thread;
  SetStepHook([&](std::string_view step) {
    if (step == "checkpoint.slots_in_use") ++found_in_use_;
    if (step != "checkpoint.slot_taken" || thread.joinable()) return;
    // The one that was taken is the only one.
    SetLocks(/*locked=*/true);
    thread = std::thread([&] {
      other = checkpointer.Commit(now.version());
      is_over = true;
    });
    while (found_in_use_ < 2 && !is_over) std::this_thread::yield();
  });
  EXPECT_OK(checkpointer.Run());
  thread.join();
  EXPECT_OK(other);
  EXPECT_GE(found_in_use_, 2);
}

// Who settles a version that was overtaken meanwhile takes no slot's word back
// (I17): he may have been given one that named a newer version.
TEST(SettleTest, NoWordOfASlotGoesBack) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  testing::TempDir dir;
  const std::string path = dir.File("d.eve");
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
  ASSERT_OK_AND_ASSIGN(const Numbers map, domain.Collection<Numbers>("m"));
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path, Quiet()));
  const auto& durable = impl->core().region.words().durable;
  SwapOptions sync;
  sync.durability = Durability::kSync;
  const auto put = [&](int64_t n) {
    return domain
        .Swap([&](Transaction& txn) { return map.In(txn).Put("n", n); }, sync)
        .status();
  };
  ASSERT_OK_AND_ASSIGN(const File locks, File::Open(path + "-lock", O_RDWR));
  for (int newer = 0; newer <= 4; ++newer) {
    SCOPED_TRACE(newer);
    ASSERT_OK(put(-1));
    const auto* const from = std::find_if(
        std::begin(durable), std::end(durable), [&](const SharedWord& word) {
          return word.load() == domain.durable_version();
        });
    const uint64_t byte = kCommitSlotLockBase + (from - std::begin(durable));
    Checkpointer settler(&impl->core(), absl::Seconds(40));
    testing::HeldThread held([&] { EXPECT_OK(settler.Settle()); },
                             testing::HeldThread::At("settle.found"));
    ASSERT_TRUE(held.AwaitHeld());
    // A third keeps its page from being written over.
    ASSERT_TRUE(TryLockByte(locks, byte, LockKind::kExclusive).value());
    for (int n = 0; n < newer; ++n) ASSERT_OK(put(n));
    const std::vector<uint64_t> before(std::begin(durable), std::end(durable));
    held.LetGo();
    for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
      EXPECT_GE(durable[slot].load(), before[slot]) << "slot " << slot;
    }
    UnlockByte(locks, byte);
  }
  testing::ExpectCleanCheck(path, domain);
}

// Processes that are stopped in checkpoints, as many as can be: each has a
// slot.
class StoppedCheckpointsTest : public ::testing::TestWithParam<bool> {
 protected:
  static constexpr int kStopped = kCommitSlotCount - 2;

  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
    for (int n = 0; n < 2; ++n) {  // two durable roots, which are not given up
      // Not kept: it would keep this opening.
      ASSERT_OK_AND_ASSIGN(const Numbers map, domain.Collection<Numbers>("m"));
      ASSERT_OK(map.Put("n", n));
      ASSERT_OK(domain.Sync());
    }
    for (int p = 0; p < kStopped; ++p) {
      children_.emplace_back([&] {
        auto mine = Domain::Open(path_, Quiet());
        if (!mine.ok()) return 1;
        auto map = mine->Collection<Numbers>("m");
        if (!map.ok() || !map->Put("n", 7).ok()) return 2;
        testing::SignalSelfAt(1, SIGSTOP, "checkpoint.slot_taken");
        return mine->Sync().ok() ? 0 : 3;
      });
      children_.back().AwaitStopped();
    }
    SetFaultHook([](std::string_view point) {
      return point == "checkpoint.slot_patience" ? 1 : 0;
    });
    EXPECT_CODE(domain.Close(), absl::StatusCode::kUnavailable);
    DomainOptions options = Quiet();
    options.background = GetParam();
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, options));
  }
  void TearDown() override { ClearFaultHook(); }
  absl::StatusOr<Commit> Put(int64_t n, Durability durability) {
    absl::StatusOr<Numbers> map = domain_.Collection<Numbers>("m");
    if (!map.ok()) return map.status();
    SwapOptions options;
    options.durability = durability;
    return domain_.Swap(
        [&](Transaction& txn) { return map->In(txn).Put("n", n); }, options);
  }
  // That nobody gets a slot, who has them, and what is to be done.
  void ExpectNamesThem(const absl::Status& status) {
    EXPECT_CODE(status, absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(status.message()), HasSubstr("kill -CONT"));
    for (const ChildProcess& child : children_) {
      EXPECT_THAT(std::string(status.message()),
                  HasSubstr(absl::StrCat("process ", child.pid(), " (")));
    }
  }

  testing::TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  std::vector<ChildProcess> children_;
  Domain domain_;
};

// Who only waits is told as well as who commits, whoever flushes for him. The
// wait would be for ever; this one is long so that the test can fail.
TEST_P(StoppedCheckpointsTest, AreNamedToWhoWaitsForADurableVersion) {
  ASSERT_OK_AND_ASSIGN(const Commit done, Put(1, Durability::kNone));
  ExpectNamesThem(domain_.WaitDurable(done.version, absl::Seconds(40)));
  ExpectNamesThem(Put(2, Durability::kSync).status());
  ClearFaultHook();
  children_.back().Signal(SIGKILL);  // one is enough
  EXPECT_EQ(children_.back().Wait(), -SIGKILL);
  children_.pop_back();
  EXPECT_OK(domain_.WaitDurable(done.version, absl::InfiniteDuration()));
  EXPECT_OK(Put(3, Durability::kSync));
  for (ChildProcess& child : children_) child.Signal(SIGCONT);
  for (ChildProcess& child : children_) EXPECT_EQ(child.Wait(), 0);
  testing::ExpectCleanCheck(path_, domain_);
}

INSTANTIATE_TEST_SUITE_P(WithAndWithoutThreads, StoppedCheckpointsTest,
                         ::testing::Bool());

// Checkpoints that run at once all write the newest root, each into a slot of
// its own. The next one must find a slot all the same.
TEST(ManyCheckpointsTest, ThoseOfOneVersionLeaveASlotForTheNext) {
  constexpr int kProcesses = 14;  // with the two roots of before: all slots
  testing::TempDir dir;
  const std::string path = dir.File("d.eve");
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
  ASSERT_OK_AND_ASSIGN(const Numbers map, domain.Collection<Numbers>("m"));
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path, Quiet()));
  for (int round = 1; round <= 2; ++round) {
    ASSERT_OK(map.Put("n", round));
    SharedValue<std::atomic<int>> announced;
    std::vector<ChildProcess> children;
    for (int p = 0; p < kProcesses; ++p) {
      children.emplace_back([&] {
        auto mine = Domain::Open(path, Quiet());
        if (!mine.ok()) return 1;
        // All have found the newest root before any has written it.
        SetStepHook([&](std::string_view step) {
          if (step != "checkpoint.announced") return;
          for (++*announced; *announced < kProcesses;) sched_yield();
        });
        return mine->Sync().ok() ? 0 : 2;
      });
    }
    for (ChildProcess& child : children) ASSERT_EQ(child.Wait(), 0);
    ASSERT_OK_AND_ASSIGN(const Snapshot now, domain.Now());
    const auto& durable = impl->core().region.words().durable;
    EXPECT_GE(std::count_if(std::begin(durable), std::end(durable),
                            [&](const SharedWord& word) {
                              return word.load() == now.version();
                            }),
              kProcesses)
        << "the case that this is about";
    ASSERT_OK(map.Put("n", -round));
    Checkpointer next(&impl->core(), absl::Milliseconds(5));
    ASSERT_OK(next.Run());
  }
  testing::ExpectCleanCheck(path, domain);
}

}  // namespace

// More processes than slots, all at once, with a flush for each commit.
TEST(ManyProcessesTest, AllGetThrough) {
  constexpr int kProcesses = 40;
  testing::TempDir dir;
  const std::string path = dir.File("d.eve");
  std::vector<ChildProcess> children;
  for (int p = 0; p < kProcesses; ++p) {
    children.emplace_back([&, p] {
      DomainOptions options;
      options.durability = Durability::kSync;
      auto domain = Domain::Open(path, options);
      if (!domain.ok()) return 1;
      auto map = domain->Collection<Numbers>("n");
      if (!map.ok()) return 2;
      for (int i = 0; i < 3; ++i) {
        if (!map->Put(std::to_string(p), i).ok()) return 3;
      }
      return domain->Close().ok() ? 0 : 4;
    });
  }
  for (ChildProcess& child : children) EXPECT_EQ(child.Wait(), 0);
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
  ASSERT_OK_AND_ASSIGN(const Numbers map, domain.Collection<Numbers>("n"));
  EXPECT_EQ(map.size().value(), kProcesses);
}

// What it died before writing names a version that nobody needs any more, in a
// slot that had been acknowledged for it: what that lists is others' by now.
TEST(DeadOwnerTest, WhatWasOvertakenIsNotLookedAt) {
  using Strings = Map<std::string, std::string>;
  testing::TempDir dir;
  const std::string path = dir.File("d.eve");
  DomainOptions options = Quiet();
  options.durability = Durability::kSync;
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, options));
  ASSERT_OK_AND_ASSIGN(const Strings map, domain.Collection<Strings>("m"));
  ASSERT_OK(map.Put("big", std::string(8 << 20, 'b')));
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path, options));
  RegionWords& words = impl->core().region.words();
  const uint64_t version = domain.durable_version();
  const auto* const slot = std::find_if(
      std::begin(words.durable), std::end(words.durable),
      [version](const SharedWord& word) { return word.load() == version; });
  ASSERT_NE(slot, std::end(words.durable));
  CommitSlot page;
  const auto index = static_cast<uint32_t>(slot - std::begin(words.durable));
  ASSERT_OK(
      impl->core().file.ReadAt(CommitSlotPosition(index), &page, sizeof(page)));
  ASSERT_GT(page.extent_count, 0u);
  ASSERT_OK(map.Erase("big"));
  ASSERT_OK(map.Put("n", "1"));
  ASSERT_OK(domain.Reclaim());
  SwapOptions in_memory;
  in_memory.durability = Durability::kNone;
  ASSERT_OK(domain.Swap(
      [&](Transaction& txn) {
        return map.In(txn).Put("others", std::string(8 << 20, 'o'));
      },
      in_memory));
  ASSERT_EQ(slot->load(), version) << "the slot was used again";
  // As Settle() leaves it, if it was overtaken and killed.
  words.pending[index] = version;
  EXPECT_OK(domain.Sync());
  EXPECT_OK(map.Put("n", "2"));
  EXPECT_EQ(words.pending[index].load(), 0u);
}

}  // namespace eve
