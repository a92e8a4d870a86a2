// A reader that came before all writers (P25): it sees what they commit, and
// keeps from reuse only what its snapshots show.

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "engine/file/file.h"
#include "engine/file/file_lock.h"
#include "engine/format/shared_layout.h"
#include "eve/eve.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/step_sync.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::ChildProcess;
using ::testing::HasSubstr;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

DomainOptions ToRead() {
  DomainOptions options = testing::Quiet();
  options.read_only = true;
  return options;
}

std::string Value(int round) {
  return std::string(1000, static_cast<char>('a' + round % 26));
}

class LateJoinTest : public ::testing::Test {
 protected:
  static constexpr int kKeys = 1000;

  void SetUp() override {
    auto domain = Domain::Open(path_, testing::Quiet());
    ASSERT_OK(domain.status());
    ASSERT_TRUE(WriteAll(*domain, 0));
    ASSERT_OK(domain->Close());
  }

  // All keys anew, one by one.
  static bool WriteAll(Domain& domain, int round) {
    auto map = domain.Collection<Strings>("m");
    if (!map.ok()) return false;
    for (int i = 0; i < kKeys; ++i) {
      if (!map->Put("key" + std::to_string(i), Value(round)).ok()) return false;
    }
    return true;
  }
  // All keys anew so many times, with what frees space in between.
  static bool Churn(Domain& domain, int from, int to) {
    for (int round = from; round < to; ++round) {
      if (!WriteAll(domain, round) || !domain.Sync().ok() ||
          !domain.Reclaim().ok()) {
        return false;
      }
    }
    return true;
  }
  static std::string ValueOf(Domain& domain, int key) {
    auto map = domain.Collection<Strings>("m");
    return map.ok() ? map->Get("key" + std::to_string(key)).value() : "";
  }

  // A process that opens it to write, works, and stops until it is let go on;
  // then it works again, and closes.
  ChildProcess Writer(const std::function<bool(Domain&)>& first,
                      const std::function<bool(Domain&)>& then = nullptr) {
    ChildProcess child([&] {
      absl::StatusOr<Domain> domain = Domain::Open(path_, testing::Quiet());
      if (!domain.ok()) return 1;
      if (!first(*domain)) return 2;
      ::raise(SIGSTOP);
      if (then != nullptr && !then(*domain)) return 3;
      return domain->Close().ok() ? 0 : 4;
    });
    child.AwaitStopped();
    return child;
  }
  static void Finish(ChildProcess& writer) {
    writer.Signal(SIGCONT);
    EXPECT_EQ(writer.Wait(), 0);
  }
  bool IsReadersByteHeld() const {
    const File other = File::Open(path_, O_RDONLY).value();
    return IsRangeLockedByOther(other, kUnpinnedReadersLockByte, 1).value();
  }

  // Where every user may look: the tests' own folder may be closed to others.
  TempDir dir_{"/tmp"};
  const std::string path_ = dir_.File("d.eve");
};

TEST_F(LateJoinTest, SeesWhatWritersCommitThatComeLater) {
  ASSERT_OK_AND_ASSIGN(Domain reader, Domain::Open(path_, ToRead()));
  ASSERT_OK(reader.Now().status());
  const uint64_t before = reader.Now()->version();
  EXPECT_CODE(reader.WaitPast(before, absl::ZeroDuration()),
              absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(IsReadersByteHeld());
  ChildProcess writer = Writer([](Domain& domain) {
    return WriteAll(domain, 1) && domain.Collection<Strings>("new").ok();
  });
  EXPECT_EQ(ValueOf(reader, 0), Value(1));
  EXPECT_OK(reader.Collection<Strings>("new").status());
  EXPECT_GT(reader.WaitPast(before, absl::ZeroDuration()).value(), before);
  ASSERT_OK_AND_ASSIGN(const DomainStats stats, reader.Stats());
  EXPECT_EQ(stats.processes, 2u);
  EXPECT_FALSE(stats.has_unpinned_reader);
  EXPECT_EQ(stats.pins, 0u);
  EXPECT_FALSE(IsReadersByteHeld());
  Finish(writer);
  // As one of those who have it open.
  EXPECT_EQ(ValueOf(reader, 0), Value(1));
  ASSERT_OK(reader.Close());
}

// Who has committed nothing yet would not be seen by reads.
TEST_F(LateJoinTest, WaitsForWriterThatHasCommittedNothing) {
  ASSERT_OK_AND_ASSIGN(Domain reader, Domain::Open(path_, ToRead()));
  ChildProcess writer =
      Writer([](Domain&) { return true; },
             [](Domain& domain) { return WriteAll(domain, 1); });
  ASSERT_OK_AND_ASSIGN(const Snapshot now, reader.Now());
  EXPECT_EQ(reader.Stats().value().processes, 2u);
  std::thread waiter([&] {
    EXPECT_GT(reader.WaitPast(now.version(), absl::InfiniteDuration()).value(),
              now.version());
  });
  Finish(writer);
  waiter.join();
}

// It may be gone before anybody reads.
TEST_F(LateJoinTest, SeesWhatWasCommittedByWhoHasGoneAgain) {
  ASSERT_OK_AND_ASSIGN(Domain reader, Domain::Open(path_, ToRead()));
  for (int round = 1; round < 4; ++round) {
    ASSERT_OK_AND_ASSIGN(const Snapshot old, reader.Now());
    ChildProcess writer =
        Writer([&](Domain& domain) { return WriteAll(domain, round); });
    Finish(writer);
    EXPECT_EQ(ValueOf(reader, 7), Value(round));
    auto map = reader.Collection<Strings>("m");
    ASSERT_OK(map.status());
    EXPECT_EQ(map->At(old).Get("key7").value(), Value(round - 1));
  }
  EXPECT_TRUE(IsReadersByteHeld());
  // All of that may be shown when somebody is joined.
  ChildProcess writer =
      Writer([](Domain& domain) { return WriteAll(domain, 9); });
  EXPECT_EQ(ValueOf(reader, 7), Value(9));
  Finish(writer);
}

TEST_F(LateJoinTest, SeesThemWithoutALockFileToBeginWith) {
  ASSERT_TRUE(std::filesystem::remove(path_ + "-lock"));
  ASSERT_OK_AND_ASSIGN(Domain reader, Domain::Open(path_, ToRead()));
  EXPECT_EQ(ValueOf(reader, 0), Value(0));
  ChildProcess writer =
      Writer([](Domain& domain) { return WriteAll(domain, 1); });
  EXPECT_EQ(ValueOf(reader, 0), Value(1));
  EXPECT_FALSE(IsReadersByteHeld());
  Finish(writer);
}

// I23: what it showed before is pinned, and nothing else is kept.
TEST_F(LateJoinTest, OldSnapshotCostsWhatItShows) {
  ASSERT_OK_AND_ASSIGN(Domain reader, Domain::Open(path_, ToRead()));
  std::optional<Snapshot> old = reader.Now().value();
  ChildProcess writer =
      Writer([](Domain& domain) { return WriteAll(domain, 1); },
             [](Domain& domain) {
               if (!Churn(domain, 2, 60)) return false;
               // 1 MB of them lives, and the old ones.
               const absl::StatusOr<DomainStats> stats = domain.Stats();
               return stats.ok() && stats->file_bytes < (24u << 20) &&
                      stats->pins == 1;
             });
  EXPECT_EQ(ValueOf(reader, 0), Value(1));
  Finish(writer);
  auto map = reader.Collection<Strings>("m");
  ASSERT_OK(map.status());
  const auto view = map->At(*old);
  EXPECT_EQ(view.size(), static_cast<uint64_t>(kKeys));
  for (int i = 0; i < kKeys; ++i) {
    ASSERT_EQ(view.Get("key" + std::to_string(i)).value(), Value(0));
  }
  EXPECT_OK(old->status());
  EXPECT_EQ(reader.Stats().value().pins, 1u);
  old.reset();
  EXPECT_EQ(reader.Stats().value().pins, 0u);
}

// I23 between its steps: it has a slot, and no pins yet.
TEST_F(LateJoinTest, NothingIsFreedBeforeItsPinsStand) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  ASSERT_OK_AND_ASSIGN(Domain reader, Domain::Open(path_, ToRead()));
  ASSERT_OK_AND_ASSIGN(const Snapshot old, reader.Now());
  ChildProcess writer =
      Writer([](Domain& domain) { return WriteAll(domain, 1); },
             [](Domain& domain) {
               if (!Churn(domain, 2, 20)) return false;
               ::raise(SIGSTOP);
               return true;
             });
  int passed = 0;
  {
    const ScopedStepHook hook([&](std::string_view step) {
      if (step != "late_join.attached") return;
      ++passed;
      writer.Signal(SIGCONT);
      writer.AwaitStopped();
    });
    EXPECT_EQ(ValueOf(reader, 0), Value(19));
  }
  EXPECT_EQ(passed, 1);
  auto map = reader.Collection<Strings>("m");
  ASSERT_OK(map.status());
  for (int i = 0; i < kKeys; ++i) {
    ASSERT_EQ(map->At(old).Get("key" + std::to_string(i)).value(), Value(0));
  }
  Finish(writer);
}

// I23 between its steps: it has looked, and somebody comes and is joined before
// it counts itself.
TEST_F(LateJoinTest, WhoLookedBeforeSomebodyCameIsNotLeftBehind) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  ASSERT_OK_AND_ASSIGN(Domain reader, Domain::Open(path_, ToRead()));
  ASSERT_OK_AND_ASSIGN(Strings map, reader.Collection<Strings>("m"));
  std::optional<ChildProcess> writer;
  std::optional<Snapshot> late;
  int passed = 0;
  {
    const ScopedStepHook hook([&](std::string_view step) {
      if (step != "snapshot.looked" || passed++ > 0) return;
      writer.emplace(
          Writer([](Domain& domain) { return WriteAll(domain, 1); }));
      std::thread([&] { EXPECT_EQ(ValueOf(reader, 1), Value(1)); }).join();
      EXPECT_FALSE(IsReadersByteHeld());
    });
    late = reader.Now().value();
  }
  EXPECT_EQ(map.At(*late).Get("key0").value(), Value(1));
  EXPECT_GE(passed, 2);
  ASSERT_TRUE(writer.has_value());
  Finish(*writer);
}

// A server's reader that nobody asks anything must not hold up reuse.
TEST_F(LateJoinTest, IdleReaderJoinsByItself) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  DomainOptions options = ToRead();
  options.background = true;
  testing::StepSync joined;
  const ScopedStepHook hook([&](std::string_view step) {
    if (step == "late_join.joined") joined.Signal(1);
  });
  ASSERT_OK_AND_ASSIGN(const Domain reader, Domain::Open(path_, options));
  ChildProcess writer =
      Writer([](Domain& domain) { return WriteAll(domain, 1); });
  joined.Await(1);
  EXPECT_FALSE(IsReadersByteHeld());
  Finish(writer);
}

TEST_F(LateJoinTest, OfADeadOneWhatItMadeDurableIsShown) {
  ASSERT_OK_AND_ASSIGN(Domain reader, Domain::Open(path_, ToRead()));
  {
    ChildProcess writer = Writer([](Domain& domain) {
      return WriteAll(domain, 1) && domain.Sync().ok() && WriteAll(domain, 2);
    });
    writer.Signal(SIGKILL);
    EXPECT_EQ(writer.Wait(), -SIGKILL);
  }
  EXPECT_EQ(ValueOf(reader, 0), Value(1));
  EXPECT_THAT(reader.Stats().value().recovery, HasSubstr("need recovery"));
  const absl::Status nobody = reader.WaitPast(0, absl::ZeroDuration()).status();
  EXPECT_CODE(nobody, absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(nobody.message()), HasSubstr("need recovery"));
  // Who comes next recovers it, and is joined.
  ChildProcess writer = Writer([](Domain&) { return true; });
  EXPECT_OK(reader.Stats().status());
  EXPECT_FALSE(IsReadersByteHeld());
  EXPECT_EQ(ValueOf(reader, 0), Value(2));
  EXPECT_EQ(reader.Stats().value().recovery.find("need recovery"),
            std::string::npos);
  Finish(writer);
}

// At each lock that it takes. It stays as it was, and is in nobody's way.
TEST_F(LateJoinTest, WhoCannotJoinIsNotTakenForAnotherRegion) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  ASSERT_OK_AND_ASSIGN(Domain reader, Domain::Open(path_, ToRead()));
  int failed = 0;
  for (bool has_joined = false; !has_joined; ++failed) {
    SCOPED_TRACE(failed);
    ChildProcess writer =
        Writer([&](Domain& domain) { return WriteAll(domain, failed + 1); });
    int locks = 0;
    {
      const ScopedFaultHook fault([&](std::string_view point) {
        return point == "file.lock" && locks++ == failed ? ENOLCK : 0;
      });
      // It looks again a little later each time.
      while (locks == 0) EXPECT_OK(reader.Now().status());
    }
    has_joined = locks <= failed;
    EXPECT_EQ(IsReadersByteHeld(), !has_joined);
    Finish(writer);
    // The next round's writer is alone, and would find another region's byte.
  }
  EXPECT_GE(failed, 4);
}

TEST_F(LateJoinTest, SeesThatTheLockFileWasReplaced) {
  ASSERT_OK_AND_ASSIGN(Domain reader, Domain::Open(path_, ToRead()));
  EXPECT_EQ(ValueOf(reader, 0), Value(0));
  ASSERT_TRUE(std::filesystem::remove(path_ + "-lock"));
  ChildProcess writer =
      Writer([](Domain& domain) { return WriteAll(domain, 1); });
  EXPECT_EQ(reader.Stats().value().processes, 2u);
  EXPECT_EQ(ValueOf(reader, 0), Value(1));
  EXPECT_FALSE(IsReadersByteHeld());
  Finish(writer);
}

// Who recovers it may have nothing to add, and leave before anybody looks: the
// newest root lies where it lay.
TEST_F(LateJoinTest, WhatWasRecoveredAndClosedIsShown) {
  ASSERT_OK_AND_ASSIGN(Domain reader, Domain::Open(path_, ToRead()));
  {
    ChildProcess writer =
        Writer([](Domain& domain) { return WriteAll(domain, 1); });
    writer.Signal(SIGKILL);
    EXPECT_EQ(writer.Wait(), -SIGKILL);
  }
  EXPECT_EQ(ValueOf(reader, 0), Value(0));
  ChildProcess writer = Writer([](Domain&) { return true; });
  Finish(writer);
  EXPECT_EQ(ValueOf(reader, 0), Value(1));
  EXPECT_EQ(reader.Stats().value().recovery.find("need recovery"),
            std::string::npos);
}

// Commits that are known to have been made are worth waiting for while somebody
// recovers them.
TEST_F(LateJoinTest, WaitsForWhoRecovers) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  ASSERT_OK_AND_ASSIGN(Domain reader, Domain::Open(path_, ToRead()));
  ASSERT_EQ(ValueOf(reader, 0), Value(0));
  ChildProcess dead =
      Writer([](Domain& domain) { return WriteAll(domain, 1); });
  dead.Signal(SIGKILL);
  EXPECT_EQ(dead.Wait(), -SIGKILL);
  ChildProcess recovering([&] {
    SetStepHook([](std::string_view step) {
      if (step == "recover.words_reset") ::raise(SIGSTOP);
    });
    absl::StatusOr<Domain> domain = Domain::Open(path_, testing::Quiet());
    if (!domain.ok()) return 1;
    ::raise(SIGSTOP);
    return domain->Close().ok() ? 0 : 2;
  });
  recovering.AwaitStopped();
  const auto recover = [&] {
    recovering.Signal(SIGCONT);
    recovering.AwaitStopped();
  };
  int waits = 0;
  SetStepHook([&](std::string_view step) {
    if (step == "late_join.wait" && ++waits == 1) recover();
  });
  EXPECT_EQ(ValueOf(reader, 0), Value(1));
  ClearStepHook();
  EXPECT_EQ(waits, 1);
  if (waits == 0) recover();
  Finish(recovering);
}

TEST_F(LateJoinTest, DeathOfTheReaderAtAnyStepCostsNobodyAnything) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  for (const char* at : {"late_join.found", "open.joining", "late_join.pinned",
                         "late_join.joined"}) {
    SCOPED_TRACE(at);
    ChildProcess reader([&] {
      absl::StatusOr<Domain> domain = Domain::Open(path_, ToRead());
      if (!domain.ok()) return 1;
      const absl::StatusOr<Snapshot> old = domain->Now();
      ::raise(SIGSTOP);
      SetStepHook([at](std::string_view step) {
        if (step == at) ::kill(::getpid(), SIGKILL);
      });
      ValueOf(*domain, 0);
      return 2;
    });
    reader.AwaitStopped();
    ChildProcess writer =
        Writer([](Domain& domain) { return WriteAll(domain, 1); },
               [](Domain& domain) {
                 if (!Churn(domain, 2, 40)) return false;
                 const absl::StatusOr<DomainStats> stats = domain.Stats();
                 return stats.ok() && stats->file_bytes < (24u << 20) &&
                        stats->pins == 0 && stats->processes == 1;
               });
    reader.Signal(SIGCONT);
    EXPECT_EQ(reader.Wait(), -SIGKILL);
    Finish(writer);
  }
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path_, testing::Quiet()));
  testing::ExpectCleanCheck(path_, domain);
}

// It has no slot and no pins: the readers' byte stays its protection (P25).
TEST_F(LateJoinTest, WhoMayNotWriteTheLockFileFollowsToo) {
  if (::geteuid() != 0) GTEST_SKIP() << "the owner may write the lock file";
  ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(path_.c_str(), 0644), 0);
  ASSERT_EQ(::chmod((path_ + "-lock").c_str(), 0644), 0);
  ChildProcess reader([&] {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 1;
    absl::StatusOr<Domain> domain = Domain::Open(path_, ToRead());
    if (!domain.ok()) return 2;
    absl::StatusOr<Snapshot> old = domain->Now();
    if (!old.ok()) return 3;
    ::raise(SIGSTOP);
    if (ValueOf(*domain, 3) != Value(1)) return 4;
    ::raise(SIGSTOP);
    if (ValueOf(*domain, 3) != Value(5)) return 5;
    auto map = domain->Collection<Strings>("m");
    return map.ok() && map->At(*old).Get("key3").value() == Value(0) ? 0 : 6;
  });
  reader.AwaitStopped();
  ChildProcess writer =
      Writer([](Domain& domain) { return WriteAll(domain, 1); },
             [](Domain& domain) {
               for (int round = 2; round < 6; ++round) {
                 if (!WriteAll(domain, round) || !domain.Reclaim().ok())
                   return false;
               }
               ::raise(SIGSTOP);
               return true;
             });
  reader.Signal(SIGCONT);
  reader.AwaitStopped();
  writer.Signal(SIGCONT);
  writer.AwaitStopped();
  reader.Signal(SIGCONT);
  EXPECT_EQ(reader.Wait(), 0);
  Finish(writer);
}

TEST_F(LateJoinTest, ForkedChildJoinsNobody) {
  ASSERT_OK_AND_ASSIGN(Domain reader, Domain::Open(path_, ToRead()));
  ChildProcess writer =
      Writer([](Domain& domain) { return WriteAll(domain, 1); });
  ChildProcess child([&] {
    const absl::Status read = reader.Now().status();
    return read.code() == absl::StatusCode::kFailedPrecondition ? 0 : 1;
  });
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_EQ(ValueOf(reader, 0), Value(1));
  Finish(writer);
}

}  // namespace
}  // namespace eve
