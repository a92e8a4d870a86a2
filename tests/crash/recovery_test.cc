// Checkpoints and recovery: what survives the death of all processes, what
// survives power loss, and who cleans up (P16 to P18, P21 to P23).

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "engine/checkpoint/checkpointer.h"
#include "engine/domain/registry.h"
#include "engine/file/file.h"
#include "engine/format/constants.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/power_loss.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::SharedValue;
using testing::SignalSelfAt;
using testing::TempDir;
using Numbers = Map<std::string, int64_t>;

using testing::Quiet;

class RecoveryTest : public ::testing::Test {
 protected:
  void TearDown() override {
    ClearStepHook();
    ClearFaultHook();
  }
  std::string Copy(const std::string& name) {
    return testing::CopyAfterPowerLoss(path_, dir_.File(name));
  }
  static int64_t Read(Domain& domain) {
    auto map = domain.Collection<Numbers>("m");
    EXPECT_OK(map);
    return map.ok() ? map->Get("n").value_or(-1) : -2;
  }
  static void Write(Domain& domain, int64_t n) {
    auto map = domain.Collection<Numbers>("m");
    ASSERT_OK(map);
    ASSERT_OK(map->Put("n", n));
  }
  // A child that commits `n`, syncs, commits `n + 1` and is killed.
  void CommitAndDie(int64_t n) {
    ChildProcess child([&] {
      auto domain = Domain::Open(path_, Quiet());
      if (!domain.ok()) return 1;
      Write(*domain, n);
      if (!domain->Sync().ok()) return 2;
      Write(*domain, n + 1);
      ::kill(::getpid(), SIGKILL);
      return 3;
    });
    ASSERT_EQ(child.Wait(), -SIGKILL);
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
};

TEST_F(RecoveryTest, DeathOfAllProcessesLosesNothing) {
  CommitAndDie(1);
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  EXPECT_EQ(Read(domain), 2);
  testing::ExpectCleanCheck(path_, domain);
}

TEST_F(RecoveryTest, PowerLossGivesTheLastCheckpoint) {
  CommitAndDie(1);
  const std::string copy = Copy("copy.eve");
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(copy, Quiet()));
  EXPECT_EQ(Read(domain), 1);
  testing::ExpectCleanCheck(copy, domain);
}

TEST_F(RecoveryTest, DeletedLockFileCostsTheCommitsAfterTheCheckpoint) {
  CommitAndDie(1);
  std::filesystem::remove(path_ + "-lock");
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  EXPECT_EQ(Read(domain), 1);
}

// P22: versions are used again after a rollback. What the lost timeline wrote
// must never come back, however often the domain is opened and copied.
TEST_F(RecoveryTest, RolledBackTimelineNeverReturns) {
  CommitAndDie(1);
  std::filesystem::remove(path_ + "-lock");
  {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
    EXPECT_EQ(Read(domain), 1);
    Write(domain, 10);
    ASSERT_OK(domain.Close());
  }
  std::filesystem::remove(path_ + "-lock");
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  EXPECT_EQ(Read(domain), 10);
  EXPECT_GE(domain.Stats().value().incarnation, 3u);
}

// P23: the live root is adopted only if every changed segment verifies.
TEST_F(RecoveryTest, LiveRootWithALostWriteIsNotAdopted) {
  CommitAndDie(1);
  {
    // Lose the newest leaf: zero the last unit of the page cache, which the
    // live root needs and the durable one does not.
    ASSERT_OK_AND_ASSIGN(const File file, File::Open(path_, O_RDWR));
    ASSERT_OK_AND_ASSIGN(const uint64_t size, file.Size());
    std::string bytes(size, '\0');
    ASSERT_OK(file.ReadAt(0, bytes.data(), size));
    const size_t last = bytes.find_last_not_of('\0');
    const size_t from = last / 16 * 16;
    const std::string zeroes(size - from, '\0');
    ASSERT_OK(file.WriteAt(from, zeroes.data(), zeroes.size()));
  }
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  EXPECT_EQ(Read(domain), 1);
  testing::ExpectCleanCheck(path_, domain);
}

// P23: the same of a run, which is summed at its head.
TEST_F(RecoveryTest, LiveRunWithALostWriteIsNotAdopted) {
  using Strings = Map<std::string, std::string>;
  const std::string run(3 << 20, 'r');
  ChildProcess child([&] {
    auto domain = Domain::Open(path_, Quiet());
    if (!domain.ok()) return 1;
    auto map = domain->Collection<Strings>("s");
    if (!map.ok() || !domain->Sync().ok()) return 2;
    if (!map->Put("k", run).ok()) return 3;
    ::kill(::getpid(), SIGKILL);
    return 4;
  });
  ASSERT_EQ(child.Wait(), -SIGKILL);
  {
    ASSERT_OK_AND_ASSIGN(const File file, File::Open(path_, O_RDWR));
    ASSERT_OK_AND_ASSIGN(const uint64_t size, file.Size());
    std::string bytes(size, '\0');
    ASSERT_OK(file.ReadAt(0, bytes.data(), size));
    const size_t middle = bytes.find(run) + run.size() / 2;
    ASSERT_OK(file.WriteAt(middle, "lost", 4));
  }
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("s"));
  EXPECT_CODE(map.Get("k"), absl::StatusCode::kNotFound);
  testing::ExpectCleanCheck(path_, domain);
}

// P17: a checkpointer that dies after its slot was written leaves it announced;
// whoever takes the slot finishes it, and until then its root is protected.
TEST_F(RecoveryTest, DeadCheckpointersSlotIsFinishedNotCleared) {
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path_, Quiet()));
  Write(domain, 1);
  ASSERT_OK(domain.Sync());
  for (const char* step : {"checkpoint.announced", "checkpoint.data_flushed",
                           "checkpoint.slot_written", "checkpoint.slot_flushed",
                           "checkpoint.durable"}) {
    SCOPED_TRACE(step);
    Write(domain, 2);
    const uint64_t version = domain.Now().value().version();
    ChildProcess child([&] {
      auto other = Domain::Open(path_, Quiet());
      if (!other.ok()) return 1;
      SignalSelfAt(1, SIGKILL, step);
      return other->Sync().ok() ? 0 : 2;
    });
    ASSERT_EQ(child.Wait(), -SIGKILL);
    const DurableCandidates left = ReadDurableCandidates(impl->core().region);
    ASSERT_EQ(left.pending, std::vector<uint64_t>{version});
    const bool was_written =
        std::string_view(step) != "checkpoint.announced" &&
        std::string_view(step) != "checkpoint.data_flushed";
    bool finished = false;
    SetStepHook([&](std::string_view name) {
      finished |= name == "checkpoint.finished_dead";
    });
    Write(domain, 3);
    ASSERT_OK(domain.Sync());
    ClearStepHook();
    EXPECT_EQ(finished, was_written);
    const DurableCandidates now = ReadDurableCandidates(impl->core().region);
    EXPECT_TRUE(now.pending.empty());
    EXPECT_EQ(now.newest, domain.Now().value().version());
    testing::ExpectCleanCheck(path_, domain);
  }
}

// P16: the two newest durable roots are never written over, so that the copy of
// the file at any step of a checkpoint opens at the old or the new version.
TEST_F(RecoveryTest, EveryStepOfACheckpointLeavesAnOpenableFile) {
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  Write(domain, 0);
  ASSERT_OK(domain.Sync());
  int copies = 0;
  for (int64_t n = 1; n <= 40; ++n) {
    Write(domain, n);
    std::vector<std::string> made;
    SetStepHook([&](std::string_view step) {
      if (step.substr(0, 11) == "checkpoint.") {
        made.push_back(Copy("copy" + std::to_string(copies++)));
      }
    });
    ASSERT_OK(domain.Sync());
    ClearStepHook();
    ASSERT_GE(made.size(), 5u);
    // The page that was being written, torn: the root before must be intact,
    // in whatever slot it is.
    const std::string torn = Copy("torn" + std::to_string(n));
    testing::TearNewestSlots(torn, 1);
    {
      ASSERT_OK_AND_ASSIGN(Domain opened, Domain::Open(torn, Quiet()));
      EXPECT_EQ(Read(opened), n - 1);
      ASSERT_OK(opened.Close());
      std::filesystem::remove(torn);
      std::filesystem::remove(torn + "-lock");
    }
    for (const std::string& copy : made) {
      ASSERT_OK_AND_ASSIGN(Domain opened, Domain::Open(copy, Quiet()));
      const int64_t got = Read(opened);
      EXPECT_TRUE(got == n || got == n - 1) << got << " at " << n;
      ASSERT_OK(opened.Close());
      std::filesystem::remove(copy);
    }
  }
}

// P18, and the rule that a failed flush is final: the domain takes no more
// checkpoints, in any process, and says so; commits and reads go on.
TEST_F(RecoveryTest, FailedFlushPoisonsAllProcessesUntilReopened) {
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path_, Quiet()));
  Write(domain, 1);
  ASSERT_OK(domain.Sync());
  const uint64_t durable = domain.durable_version();
  Write(domain, 2);
  for (const int failing : {2, 1}) {  // the second flush, then the first
    int flushes = 0;
    SetFaultHook([&](std::string_view point) {
      return point == "file.datasync" && ++flushes == failing ? EIO : 0;
    });
    EXPECT_CODE(domain.Sync(), absl::StatusCode::kUnavailable);
    ClearFaultHook();
    EXPECT_EQ(flushes, failing);
    EXPECT_EQ(domain.durable_version(), durable);
    // Never retried and believed.
    EXPECT_CODE(domain.Sync(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(domain.durable_version(), durable);
    EXPECT_TRUE(domain.Stats().value().poisoned);
    if (failing == 2) {
      EXPECT_EQ(ReadDurableCandidates(impl->core().region).pending.size(), 1u)
          << "the slot may land at any time (P18)";
    }
    Write(domain, 3);
    EXPECT_EQ(Read(domain), 3);
    ChildProcess other([&] {
      auto joined = Domain::Open(path_, Quiet());
      if (!joined.ok()) return 1;
      return joined->Sync().code() == absl::StatusCode::kUnavailable ? 0 : 2;
    });
    EXPECT_EQ(other.Wait(), 0);
    if (failing == 2) {  // a fresh poison for the second round
      impl->core().region.header().poison = 0;
    }
  }
  impl.reset();
  EXPECT_CODE(domain.Close(), absl::StatusCode::kUnavailable);
  // The pages are still there in this test, but they must not be trusted: the
  // live root is not adopted past a poison.
  ASSERT_OK_AND_ASSIGN(domain, Domain::Open(path_, Quiet()));
  EXPECT_FALSE(domain.Stats().value().poisoned);
  EXPECT_EQ(Read(domain), 1) << "nothing else was acknowledged";
  Write(domain, 4);
  EXPECT_OK(domain.Sync());
}

// As above, but the data of a fresh checkpoint are what is not flushed: then
// its slot must not even be written, so nothing can land later.
TEST_F(RecoveryTest, FailedFirstFlushWritesNoSlot) {
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path_, Quiet()));
  Write(domain, 1);
  ASSERT_OK(domain.Sync());
  const uint64_t durable = domain.durable_version();
  const auto slots = [&] {
    std::string pages(kCommitSlotCount * kCommitSlotBytes, '\0');
    EXPECT_OK(impl->core().file.ReadAt(kCommitSlotsOffset, pages.data(),
                                       pages.size()));
    return pages;
  };
  const std::string slots_before = slots();
  Write(domain, 2);
  int flushes = 0;
  SetFaultHook([&](std::string_view point) {
    return point == "file.datasync" && ++flushes == 1 ? EIO : 0;
  });
  EXPECT_CODE(domain.Sync(), absl::StatusCode::kUnavailable);
  // Never retried and believed.
  EXPECT_CODE(domain.Sync(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(flushes, 1);
  ClearFaultHook();
  EXPECT_EQ(domain.durable_version(), durable);
  EXPECT_TRUE(domain.Stats().value().poisoned);
  EXPECT_TRUE(ReadDurableCandidates(impl->core().region).pending.empty());
  EXPECT_TRUE(slots() == slots_before);
  ChildProcess other([&] {
    auto joined = Domain::Open(path_, Quiet());
    if (!joined.ok()) return 1;
    return joined->Sync().code() == absl::StatusCode::kUnavailable ? 0 : 2;
  });
  EXPECT_EQ(other.Wait(), 0);
  impl.reset();
  EXPECT_CODE(domain.Close(), absl::StatusCode::kUnavailable);
  ASSERT_OK_AND_ASSIGN(domain, Domain::Open(path_, Quiet()));
  EXPECT_FALSE(domain.Stats().value().poisoned);
  EXPECT_EQ(Read(domain), 1) << "what was not flushed is not trusted";
  Write(domain, 3);
  EXPECT_OK(domain.Sync());
}

// P21: one region per file.
TEST_F(RecoveryTest, SecondRegionOnOneFileIsRefused) {
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  Write(domain, 1);
  // A deleted lock file.
  std::filesystem::rename(path_ + "-lock", path_ + "-gone");
  const auto open_elsewhere = [](const std::string& path) {
    ChildProcess child([&] {
      auto other = Domain::Open(path, Quiet());
      return static_cast<int>(other.status().code());
    });
    return static_cast<absl::StatusCode>(child.Wait());
  };
  EXPECT_EQ(open_elsewhere(path_), absl::StatusCode::kFailedPrecondition);
  std::filesystem::rename(path_ + "-gone", path_ + "-lock");
  EXPECT_EQ(open_elsewhere(path_), absl::StatusCode::kOk);
  // A hard link, which has a lock file of its own.
  std::filesystem::create_hard_link(path_, dir_.File("link.eve"));
  EXPECT_EQ(open_elsewhere(dir_.File("link.eve")),
            absl::StatusCode::kFailedPrecondition);
  // A symbolic link leads to the same lock file.
  std::filesystem::create_symlink(path_, dir_.File("sym.eve"));
  EXPECT_EQ(open_elsewhere(dir_.File("sym.eve")), absl::StatusCode::kOk);
  // A lock file that belongs to another domain.
  const std::string other = dir_.File("other.eve");
  ASSERT_OK_AND_ASSIGN(Domain second, Domain::Open(other, Quiet()));
  ASSERT_OK(second.Close());
  std::filesystem::remove(other + "-lock");
  std::filesystem::create_hard_link(path_ + "-lock", other + "-lock");
  EXPECT_EQ(open_elsewhere(other), absl::StatusCode::kFailedPrecondition);
}

// A crash in recovery leaves what was there before: dying at every step of
// opening after a crash, over and over, loses nothing.
TEST_F(RecoveryTest, CrashesDuringRecoveryLoseNothing) {
  CommitAndDie(1);
  for (uint64_t step = 1; step < 200; ++step) {
    ChildProcess child([&] {
      SignalSelfAt(step, SIGKILL);
      auto domain = Domain::Open(path_, Quiet());
      if (!domain.ok()) return 1;
      ClearStepHook();
      return Read(*domain) == 2 ? 0 : 2;
    });
    const int ended = child.Wait();
    if (ended == 0) break;  // it got through
    ASSERT_EQ(ended, -SIGKILL);
    ASSERT_LT(step, 199u);
  }
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  EXPECT_EQ(Read(domain), 2);
  testing::ExpectCleanCheck(path_, domain);
}

// Creation: whoever dies at whatever step leaves no file or a whole one, and
// several creators at once make one domain.
TEST_F(RecoveryTest, CreationIsAllOrNothing) {
  for (uint64_t step = 1; step < 200; ++step) {
    TempDir dir;
    const std::string path = dir.File("new.eve");
    ChildProcess child([&] {
      SignalSelfAt(step, SIGKILL);
      return Domain::Open(path, Quiet()).ok() ? 0 : 1;
    });
    const int ended = child.Wait();
    for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
      const std::string name = entry.path().filename();
      EXPECT_TRUE(name == "new.eve" || name == "new.eve-lock") << name;
    }
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
    Write(domain, 7);
    EXPECT_EQ(Read(domain), 7);
    if (ended == 0) return;
    ASSERT_EQ(ended, -SIGKILL);
  }
  FAIL() << "opening never got through";
}

TEST_F(RecoveryTest, ManyCreatorsMakeOneDomain) {
  using Counters = Map<std::string, int64_t>;
  std::vector<ChildProcess> children;
  for (int i = 0; i < 12; ++i) {
    children.emplace_back([&] {
      auto domain = Domain::Open(path_, Quiet());
      if (!domain.ok()) return 1;
      auto map = domain->Collection<Counters>("n");
      if (!map.ok()) return 2;
      return map->Update("n",
                         [](std::optional<int64_t> old) {
                           return old.value_or(0) + 1;
                         })
                     .ok()
                 ? 0
                 : 3;
    });
  }
  for (ChildProcess& child : children) EXPECT_EQ(child.Wait(), 0);
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  ASSERT_OK_AND_ASSIGN(Counters map, domain.Collection<Counters>("n"));
  EXPECT_EQ(map.Get("n").value(), 12);
}

// A lock file of a larger, removed domain says nothing about a new one.
TEST_F(RecoveryTest, LockFileOfALargerDomainDoesNotMakeASmallOneGrow) {
  {
    DomainOptions options = Quiet();
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, options));
    using Strings = Map<std::string, std::string>;
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("big"));
    for (int i = 0; i < 40; ++i) {
      ASSERT_OK(map.Put(std::to_string(i), std::string(1 << 20, 'x')));
    }
    ASSERT_GT(domain.Stats().value().segments, 40u);
    ASSERT_OK(domain.Close());
  }
  std::filesystem::remove(path_);
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  for (int64_t n = 0; n < 5000; ++n) Write(domain, n);
  EXPECT_LT(domain.Stats().value().segments, 8u);
}

// An empty domain is small, and grows by itself.
TEST_F(RecoveryTest, EmptyDomainIsSmall) {
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, Quiet()));
  ASSERT_OK(domain.Sync());
  EXPECT_LE(domain.Stats().value().disk_bytes, 192u << 10);
}

}  // namespace
}  // namespace eve
