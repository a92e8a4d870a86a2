// Cutting the end of the file off: when, how far, and what a crash at any step
// leaves (P26).

#include <fcntl.h>
#include <signal.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/domain/registry.h"
#include "engine/file/file.h"
#include "engine/file/file_lock.h"
#include "engine/format/shared_layout.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/power_loss.h"
#include "tests/testing/quiet.h"
#include "tests/testing/sanitized.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::SignalSelfAt;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

using testing::Quiet;

std::string ValueOf(char fill) { return std::string(3 << 20, fill); }

constexpr int kRuns = 12;

// Of the steps that one may die at, each; a third of them where each costs
// more.
constexpr uint64_t kEachOf = testing::kUnderAsan ? 3 : 1;

class CutTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NO_FATAL_FAILURE(Open()); }
  void TearDown() override {
    ClearStepHook();
    ClearFaultHook();
  }
  void Open() {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(map_, domain_.Collection<Strings>("m"));
  }
  void Close() {
    map_.reset();
    ASSERT_OK(domain_.Close());
  }
  uint64_t FileBytes() { return std::filesystem::file_size(path_); }

  // Something small and live in front, a long free tail behind. Afterwards no
  // durable root needs the tail.
  void MakeTail() {
    ASSERT_OK(map_->Put("kept", ValueOf('k')));
    for (int i = 0; i < kRuns; ++i) {
      ASSERT_OK(map_->Put("run" + std::to_string(i), ValueOf('r')));
    }
    ASSERT_OK(domain_.Sync());
    for (int i = 0; i < kRuns; ++i) {
      ASSERT_OK(map_->Erase("run" + std::to_string(i)));
    }
    for (int i = 0; i < 3; ++i) {
      ASSERT_OK(map_->Put("n", std::to_string(i)));
      ASSERT_OK(domain_.Sync());
    }
  }
  static void ExpectWhole(const std::string& path) {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    EXPECT_TRUE(map.Get("kept").value() == ValueOf('k'));
    EXPECT_EQ(map.Get("n").value(), "2");
    testing::ExpectCleanCheck(path, domain);
  }
  // In a child, so that the steps are counted from here.
  int CloseInChild(uint64_t kill_at) {
    auto domain = Domain::Open(path_, Quiet());
    if (!domain.ok()) return 1;
    auto map = domain->Collection<Strings>("m");
    if (!map.ok()) return 2;
    domain_ = *std::move(domain);
    map_ = *std::move(map);
    MakeTail();
    map_.reset();
    SignalSelfAt(kill_at, SIGKILL);
    const bool closed = domain_.Close().ok();
    ClearStepHook();
    return closed && !HasFailure() ? 0 : 3;
  }
  absl::StatusOr<uint64_t> CutAll() {
    auto impl = internal::OpenInstance(path_, Quiet());
    if (!impl.ok()) return impl.status();
    return (*impl)->CutTail();
  }
  // What a death or a power failure leaves opens, whatever slot it costs.
  void ExpectWholeWhateverIsTorn() {
    for (const size_t torn : {0, 1}) {
      const std::string copy = dir_.File("copy.eve");
      testing::CopyAfterPowerLoss(path_, copy);
      testing::TearNewestSlots(copy, torn);
      if (torn == 0) {
        ExpectWhole(copy);
      } else {
        ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(copy, Quiet()));
        testing::ExpectCleanCheck(copy, domain);
        ASSERT_OK(domain.Close());
      }
      std::filesystem::remove(copy);
      std::filesystem::remove(copy + "-lock");
    }
    ExpectWhole(path_);
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::optional<Strings> map_;
};

TEST_F(CutTest, LastCloseCutsWhatIsFree) {
  MakeTail();
  const uint64_t before = FileBytes();
  ASSERT_NO_FATAL_FAILURE(Close());
  EXPECT_LE(FileBytes(), before - kRuns * kSegmentBytes);
  EXPECT_EQ(FileBytes() % kSegmentBytes, 0u);
  ExpectWhole(path_);
  // And it grows again as if nothing had been.
  ASSERT_NO_FATAL_FAILURE(Open());
  ASSERT_NO_FATAL_FAILURE(MakeTail());
  EXPECT_GE(FileBytes(), before - kSegmentBytes);
  ASSERT_NO_FATAL_FAILURE(Close());
  ExpectWhole(path_);
}

TEST_F(CutTest, FirstOpenerCutsWhatAKilledOneLeft) {
  ASSERT_NO_FATAL_FAILURE(Close());
  ChildProcess child([&] { return CloseInChild(1); });
  ASSERT_EQ(child.Wait(), -SIGKILL);
  const uint64_t before = FileBytes();
  ASSERT_NO_FATAL_FAILURE(Open());
  EXPECT_LE(FileBytes(), before - kRuns * kSegmentBytes);
  EXPECT_EQ(domain_.Stats().value().file_bytes, FileBytes());
  EXPECT_EQ(domain_.Stats().value().segments, FileBytes() / kSegmentBytes);
  ASSERT_NO_FATAL_FAILURE(Close());
  ExpectWhole(path_);
}

// Nobody has announced a flush then: one who died of a failure in it would take
// with him what has happened to commits that wait for the next.
TEST_F(CutTest, NothingIsFlushedWhereNoSlotSaysMore) {
  ASSERT_OK(map_->Put("kept", ValueOf('k')));
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK(map_->Put("n", std::to_string(i)));
    ASSERT_OK(domain_.Sync());
  }
  for (int i = 0; i < kRuns; ++i) ASSERT_OK(map_->Put("run", ValueOf('r')));
  ASSERT_OK(map_->Erase("run"));
  ASSERT_OK(map_->Put("n", "2"));
  ASSERT_OK(domain_.Reclaim());
  int flushes = 0;
  {
    const ScopedFaultHook hook([&](std::string_view point) {
      flushes += point == "file.datasync" ? 1 : 0;
      return 0;
    });
    EXPECT_GT(CutAll().value(), 0u);
  }
  EXPECT_EQ(flushes, 0);
  ASSERT_NO_FATAL_FAILURE(Close());
  ExpectWhole(path_);
}

TEST_F(CutTest, NobodyCutsBesideAnother) {
  ChildProcess other([this] {
    auto domain = Domain::Open(path_, Quiet());
    if (!domain.ok()) return 1;
    ::raise(SIGSTOP);
    return domain->Close().ok() ? 0 : 2;
  });
  other.AwaitStopped();
  MakeTail();
  const uint64_t before = FileBytes();
  EXPECT_EQ(CutAll().value(), 0u);
  ASSERT_NO_FATAL_FAILURE(Close());
  EXPECT_EQ(FileBytes(), before);
  other.Signal(SIGCONT);
  EXPECT_EQ(other.Wait(), 0);
  EXPECT_LT(FileBytes(), before) << "the last one to close cuts";
  ExpectWhole(path_);
}

TEST_F(CutTest, NobodyCutsUnderAReaderWithoutASlot) {
  MakeTail();
  const uint64_t before = FileBytes();
  {
    ASSERT_OK_AND_ASSIGN(const File reader, File::Open(path_, O_RDONLY));
    ASSERT_TRUE(TryLockByte(reader, kUnpinnedReadersLockByte, LockKind::kShared)
                    .value());
    ASSERT_OK(domain_.Reclaim());
    EXPECT_EQ(CutAll().value(), 0u);
    EXPECT_EQ(FileBytes(), before);
  }
  EXPECT_GT(CutAll().value(), 0u);
  EXPECT_LT(FileBytes(), before);
}

// While it cuts nobody can attach: not even one that comes at the last moment.
TEST_F(CutTest, OpenersWaitUntilTheCutIsDone) {
  MakeTail();
  bool was_locked = false;
  SetStepHook([&](std::string_view step) {
    if (step != "cut.capacity_lowered") return;
    ASSERT_OK_AND_ASSIGN(const File lock, File::Open(path_ + "-lock", O_RDWR));
    was_locked = !TryLockByte(lock, kInitLockByte, LockKind::kShared).value();
  });
  EXPECT_GT(CutAll().value(), 0u);
  ClearStepHook();
  EXPECT_TRUE(was_locked);
  // The region is still good: whoever joins now, and this one, can grow it.
  ChildProcess joiner([this] {
    auto domain = Domain::Open(path_, Quiet());
    if (!domain.ok()) return 1;
    auto map = domain->Collection<Strings>("m");
    if (!map.ok()) return 2;
    for (int i = 0; i < 8; ++i) {
      if (!map->Put("joined" + std::to_string(i), ValueOf('j')).ok()) return 3;
    }
    return domain->Close().ok() ? 0 : 4;
  });
  ASSERT_EQ(joiner.Wait(), 0);
  for (int i = 0; i < 8; ++i) {
    EXPECT_TRUE(map_->Get("joined" + std::to_string(i)).value() ==
                ValueOf('j'));
  }
  ASSERT_OK(map_->Put("mine", ValueOf('m')));
  testing::ExpectCleanCheck(path_, domain_);
}

// The second newest durable root may be all that is left after a power failure.
TEST_F(CutTest, WhatTheSecondNewestRootNeedsIsNotCut) {
  ASSERT_OK(map_->Put("kept", ValueOf('k')));
  for (int i = 0; i < kRuns; ++i) {
    ASSERT_OK(map_->Put("run" + std::to_string(i), ValueOf('r')));
  }
  ASSERT_OK(map_->Put("n", "2"));
  ASSERT_OK(domain_.Sync());
  for (int i = 0; i < kRuns; ++i) {
    ASSERT_OK(map_->Erase("run" + std::to_string(i)));
  }
  ASSERT_OK(domain_.Sync());
  ASSERT_OK(domain_.Reclaim());
  // Beyond what either needs, so that there is something to cut.
  auto impl = internal::OpenInstance(path_, Quiet()).value();
  ASSERT_OK_AND_ASSIGN(const uint32_t first, impl->core().source->ClaimRun(20));
  for (uint32_t i = 0; i < 20; ++i) impl->core().table->ReleaseFree(first + i);
  impl.reset();
  EXPECT_GE(CutAll().value(), 20 * kSegmentBytes);
  for (const size_t torn : {0, 1}) {
    const std::string copy = testing::CopyAfterPowerLoss(
        path_, dir_.File("copy" + std::to_string(torn)));
    testing::TearNewestSlots(copy, torn);
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(copy, Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    EXPECT_EQ(map.Get("run11").ok(), torn == 1);
    if (torn == 1) {
      EXPECT_TRUE(map.Get("run11").value() == ValueOf('r'));
    }
    testing::ExpectCleanCheck(copy, domain);
  }
}

TEST_F(CutTest, DeathAtEveryStepLosesNothing) {
  ASSERT_NO_FATAL_FAILURE(Close());
  std::filesystem::copy_file(path_, dir_.File("empty.eve"));
  for (uint64_t kill_at = 1;; kill_at += kEachOf) {
    SCOPED_TRACE("killed at step " + std::to_string(kill_at));
    std::filesystem::copy_file(
        dir_.File("empty.eve"), path_,
        std::filesystem::copy_options::overwrite_existing);
    std::filesystem::remove(path_ + "-lock");
    ChildProcess child([&] { return CloseInChild(kill_at); });
    const int ended = child.Wait();
    ASSERT_TRUE(ended == -SIGKILL || ended == 0) << ended;
    ExpectWholeWhateverIsTorn();
    if (HasFailure()) return;
    if (ended == 0) {
      ASSERT_GT(kill_at, 20u) << "nothing was cut";
      return;
    }
  }
}

TEST_F(CutTest, DeathAtEveryStepOfTheFirstOpenLosesNothing) {
  ASSERT_NO_FATAL_FAILURE(Close());
  ChildProcess left([&] { return CloseInChild(1); });
  ASSERT_EQ(left.Wait(), -SIGKILL);
  std::filesystem::copy_file(path_, dir_.File("left.eve"));
  for (uint64_t kill_at = 1;; kill_at += kEachOf) {
    SCOPED_TRACE("killed at step " + std::to_string(kill_at));
    std::filesystem::copy_file(
        dir_.File("left.eve"), path_,
        std::filesystem::copy_options::overwrite_existing);
    std::filesystem::remove(path_ + "-lock");
    ChildProcess child([&] {
      SignalSelfAt(kill_at, SIGKILL);
      const auto domain = Domain::Open(path_, Quiet());
      ClearStepHook();
      return domain.ok() ? 0 : 1;
    });
    const int ended = child.Wait();
    ASSERT_TRUE(ended == -SIGKILL || ended == 0) << ended;
    ExpectWholeWhateverIsTorn();
    if (HasFailure()) return;
    if (ended == 0) {
      ASSERT_GT(kill_at, 20u) << "nothing was cut";
      return;
    }
  }
}

TEST_F(CutTest, FileThatAnOutsiderCutsIsReported) {
  MakeTail();
  ASSERT_NO_FATAL_FAILURE(Close());
  std::filesystem::resize_file(path_, FileBytes() - kSegmentBytes);
  const auto opened = Domain::Open(path_, Quiet());
  EXPECT_CODE(opened, absl::StatusCode::kDataLoss);
  EXPECT_NE(opened.status().message().find("truncated"), std::string::npos);
}

TEST_F(CutTest, FailedCallsLeaveAWholeDomain) {
  for (const char* call : {"file.truncate", "file.write"}) {
    SCOPED_TRACE(call);
    ASSERT_NO_FATAL_FAILURE(MakeTail());
    ASSERT_OK(domain_.Reclaim());
    SetFaultHook(
        [call](std::string_view point) { return point == call ? EIO : 0; });
    EXPECT_FALSE(CutAll().ok());
    ClearFaultHook();
    for (int i = 0; i < kRuns; ++i) {
      ASSERT_OK(map_->Put("more" + std::to_string(i), ValueOf('m')));
    }
    testing::ExpectCleanCheck(path_, domain_);
    map_.reset();
    // The failed write of a slot poisons the domain, as in a checkpoint: what
    // came after the last one is lost then.
    const bool is_durable = domain_.Close().ok();
    EXPECT_EQ(is_durable, std::string_view(call) == "file.truncate");
    ASSERT_NO_FATAL_FAILURE(Open());
    EXPECT_TRUE(map_->Get("kept").value() == ValueOf('k'));
    EXPECT_EQ(map_->Get("more0").ok(), is_durable);
    testing::ExpectCleanCheck(path_, domain_);
    for (int i = 0; is_durable && i < kRuns; ++i) {
      ASSERT_OK(map_->Erase("more" + std::to_string(i)));
    }
  }
}

}  // namespace
}  // namespace eve
