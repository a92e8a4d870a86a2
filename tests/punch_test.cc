// Giving disk space back: who is punched, who waits, and what a death or a stop
// in the middle costs (P12, and 3.10 of the failure scenarios).

#include "engine/reclaim/punch.h"

#include <signal.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "engine/domain/registry.h"
#include "engine/reclaim/poison.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/held_thread.h"
#include "tests/testing/power_loss.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using internal::DomainImpl;
using testing::ChildProcess;
using testing::HeldThread;
using testing::SignalSelfAt;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

constexpr uint64_t kAll = 1 << 20;

using testing::Quiet;

std::string ValueOf(char fill) { return std::string(3 << 20, fill); }

class PunchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(impl_, internal::OpenInstance(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(map_, domain_.Collection<Strings>("m"));
    ASSERT_OK(map_->Put("kept", ValueOf('k')));
  }
  void TearDown() override {
    ClearStepHook();
    SetPoisonFreedSegments(false);
  }
  Core& core() { return impl_->core(); }
  SegmentTable& table() { return *core().table; }

  void PutRuns(const std::string& prefix, int count, char fill) {
    for (int i = 0; i < count; ++i) {
      ASSERT_OK(map_->Put(prefix + std::to_string(i), ValueOf(fill)));
    }
  }
  // Two segments a run, written once and free now: no durable root has them.
  void FreeRuns(int count) {
    PutRuns("run", count, 'r');
    ASSERT_OK(domain_.Sync());
    for (int i = 0; i < count; ++i) {
      ASSERT_OK(map_->Erase("run" + std::to_string(i)));
    }
    for (int i = 0; i < 2; ++i) {
      ASSERT_OK(map_->Put("n", std::to_string(i)));
      ASSERT_OK(domain_.Sync());
    }
    ASSERT_OK(domain_.Reclaim());
  }
  // Free ones that were allocated and never written; costs next to nothing.
  void GrowFree(uint32_t count) {
    ASSERT_OK_AND_ASSIGN(const uint32_t first, core().source->ClaimRun(count));
    for (uint32_t i = 0; i < count; ++i) table().ReleaseFree(first + i);
  }
  // As if small values had been there.
  void MarkFreeBacked() {
    for (uint32_t i = kSteppedSegments; i < table().capacity(); ++i) {
      if (!table().TryClaimFree(i)) continue;
      ASSERT_OK(core().file.Allocate(SegmentOffset(i).bytes(), kSegmentBytes));
      table().MarkBacked(i);
      table().ReleaseFree(i);
    }
  }
  struct Counts {
    uint64_t used = 0, with_space = 0, holes = 0, claimed = 0;
  };
  Counts Count() {
    Counts counts;
    for (uint32_t i = 0; i < table().capacity(); ++i) {
      const SegmentWord word = table().Load(i);
      counts.used += word.is_free() ? 0 : 1;
      counts.claimed += word.state() == SegmentState::kClaimed ? 1 : 0;
      if (!word.is_free()) continue;
      ++(word.backing() == Backing::kHole ? counts.holes : counts.with_space);
    }
    return counts;
  }
  uint64_t DiskBytes() { return core().file.DiskBytes().value(); }
  // Everything that is free is written over, and read.
  void UseAllFree() {
    const uint64_t runs = (Count().with_space + Count().holes) / 2 + 2;
    PutRuns("used", static_cast<int>(runs), 'u');
    for (uint64_t i = 0; i < runs; ++i) {
      EXPECT_TRUE(map_->Get("used" + std::to_string(i)).value() ==
                  ValueOf('u'));
    }
    ExpectWhole();
  }
  void ExpectWhole() {
    EXPECT_TRUE(map_->Get("kept").value() == ValueOf('k'));
    testing::ExpectCleanCheck(path_, domain_);
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::shared_ptr<DomainImpl> impl_;
  std::optional<Strings> map_;
};

TEST_F(PunchTest, SpaceGoesBackAndComesAgain) {
  FreeRuns(10);
  const uint64_t before = DiskBytes();
  ASSERT_OK_AND_ASSIGN(const uint64_t punched, PunchFree(core(), 0, kAll));
  EXPECT_GE(punched, 16u);
  EXPECT_LE(DiskBytes() + punched * kSegmentBytes, before);
  EXPECT_EQ(core().slots->own().bytes_punched.load(), before - DiskBytes());
  EXPECT_EQ(PunchFree(core(), 0, kAll).value(), 0u) << "holes are left alone";
  ExpectWhole();
  UseAllFree();
  map_.reset();
  impl_.reset();
  ASSERT_OK(domain_.Close());
  ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
  ASSERT_OK_AND_ASSIGN(map_, domain_.Collection<Strings>("m"));
  ExpectWhole();
}

TEST_F(PunchTest, TheHighestGoFirstAndTheBudgetIsKept) {
  GrowFree(40);
  const uint32_t capacity = table().capacity();
  EXPECT_EQ(PunchFree(core(), 0, 5).value(), 5u);
  for (uint32_t i = 1; i <= 5; ++i) {
    EXPECT_EQ(table().Load(capacity - i).backing(), Backing::kHole) << i;
  }
  EXPECT_NE(table().Load(capacity - 6).backing(), Backing::kHole);
  ASSERT_OK(PunchFree(core(), 20, kAll));
  EXPECT_EQ(Count().with_space, 20u);
}

// A claim that is given back has touched the hole: nobody knows how far.
TEST_F(PunchTest, ClaimedHolesAreNoLongerHoles) {
  GrowFree(10);
  ASSERT_OK(PunchFree(core(), 0, kAll));
  const uint32_t last = table().capacity() - 1;
  ASSERT_EQ(table().Load(last).backing(), Backing::kHole);
  ASSERT_TRUE(table().TryClaimFree(last));
  EXPECT_EQ(table().Load(last).backing(), Backing::kUnknown);
  table().ReleaseFree(last);
  EXPECT_EQ(PunchFree(core(), 0, kAll).value(), 1u);
}

// After the region was rebuilt nobody knows what is a hole.
TEST_F(PunchTest, SpaceOfAFormerRegionIsGivenBackToo) {
  PutRuns("run", 10, 'r');
  // Live at the end, or the file would be cut.
  ASSERT_OK(map_->Put("end", ValueOf('e')));
  for (int i = 0; i < 10; ++i) {
    ASSERT_OK(map_->Put("run" + std::to_string(i), "small"));
  }
  ASSERT_OK(domain_.Sync());
  const std::string copy =
      testing::CopyAfterPowerLoss(path_, dir_.File("copy.eve"));
  ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(copy, Quiet()));
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(copy, Quiet()));
  ASSERT_OK(domain.Reclaim());
  const uint64_t before = impl->core().file.DiskBytes().value();
  ASSERT_OK_AND_ASSIGN(const uint64_t punched,
                       PunchFree(impl->core(), 0, kAll));
  EXPECT_GE(punched, 16u);
  const uint64_t after = impl->core().file.DiskBytes().value();
  EXPECT_LE(after + 16 * kSegmentBytes, before);
  testing::ExpectCleanCheck(copy, domain);
}

TEST_F(PunchTest, WhileWritingOnlyTheExcessGoes) {
  GrowFree(60);
  EXPECT_EQ(GiveBack(core(), /*is_idle=*/false).value(), 0u);
  GrowFree(100);
  uint64_t punched = 1;
  while (punched > 0) {
    punched = GiveBack(core(), /*is_idle=*/false).value();
    EXPECT_LE(punched, 8u);
  }
  EXPECT_EQ(Count().with_space, 64u);
  while (GiveBack(core(), /*is_idle=*/true).value() > 0) {
  }
  EXPECT_EQ(Count().with_space, 8u);
}

// The segment belongs to the puncher until the call has returned, however late
// that is: the others fill everything that they can get meanwhile.
TEST_F(PunchTest, CallThatIsIssuedLateHitsNothing) {
  FreeRuns(6);
  HeldThread puncher([&] { EXPECT_OK(PunchFree(core(), 0, kAll)); },
                     HeldThread::At("punch.claimed"));
  ASSERT_TRUE(puncher.AwaitHeld());
  ASSERT_NO_FATAL_FAILURE(UseAllFree());
  puncher.LetGo();
  for (int i = 0; i < 6; ++i) {
    EXPECT_TRUE(map_->Get("used" + std::to_string(i)).value() == ValueOf('u'));
  }
  ExpectWhole();
}

// The same of a process that is stopped there, while collectors look for claims
// of the dead.
TEST_F(PunchTest, StoppedPuncherKeepsItsClaim) {
  FreeRuns(6);
  ChildProcess child([this] {
    auto domain = Domain::Open(path_, Quiet());
    auto impl = internal::OpenInstance(path_, Quiet());
    if (!domain.ok() || !impl.ok()) return 1;
    SignalSelfAt(1, SIGSTOP, "punch.claimed");
    return PunchFree((*impl)->core(), 0, kAll).ok() ? 0 : 2;
  });
  child.AwaitStopped();
  ASSERT_OK(domain_.Reclaim());
  ASSERT_NO_FATAL_FAILURE(UseAllFree());
  ASSERT_OK(domain_.Reclaim());
  child.Signal(SIGCONT);
  EXPECT_EQ(child.Wait(), 0);
  for (int i = 0; i < 6; ++i) {
    EXPECT_TRUE(map_->Get("used" + std::to_string(i)).value() == ValueOf('u'));
  }
  ExpectWhole();
}

// Dead at any step: the survivor gets the segment, does not take it for backed,
// and uses it.
TEST_F(PunchTest, DeathAtEveryStepBesideASurvivor) {
  for (uint64_t kill_at = 1;; ++kill_at) {
    SCOPED_TRACE("killed at step " + std::to_string(kill_at));
    FreeRuns(3);
    MarkFreeBacked();
    ChildProcess child([&] {
      auto domain = Domain::Open(path_, Quiet());
      auto impl = internal::OpenInstance(path_, Quiet());
      if (!domain.ok() || !impl.ok()) return 1;
      SignalSelfAt(kill_at, SIGKILL);
      return PunchFree((*impl)->core(), 0, 2).ok() ? 0 : 2;
    });
    const int ended = child.Wait();
    ASSERT_TRUE(ended == -SIGKILL || ended == 0) << ended;
    const uint32_t capacity = table().capacity();
    for (uint32_t i = 0; i < capacity; ++i) {
      const SegmentWord word = table().Load(i);
      if (!table().IsOwnerDead(word)) continue;
      EXPECT_FALSE(word.backed()) << "segment " << i << " may be a hole";
    }
    ASSERT_OK(domain_.Reclaim());
    EXPECT_LE(Count().claimed, 4u) << "the dead one's claim is left";
    ASSERT_NO_FATAL_FAILURE(PutRuns("used", 4, 'u'));
    ExpectWhole();
    if (HasFailure() || ended == 0) return;
  }
}

TEST_F(PunchTest, DeathAtEveryStepWithNobodyElseAttached) {
  FreeRuns(3);
  map_.reset();
  impl_.reset();
  ASSERT_OK(domain_.Close());
  for (uint64_t kill_at = 1;; ++kill_at) {
    SCOPED_TRACE("killed at step " + std::to_string(kill_at));
    ChildProcess child([&] {
      auto domain = Domain::Open(path_, Quiet());
      auto impl = internal::OpenInstance(path_, Quiet());
      if (!domain.ok() || !impl.ok()) return 1;
      auto first = (*impl)->core().source->ClaimRun(4);
      if (!first.ok()) return 3;
      for (int i = 0; i < 4; ++i) {
        (*impl)->core().table->ReleaseFree(*first + i);
      }
      SignalSelfAt(kill_at, SIGKILL);
      const absl::Status done = PunchFree((*impl)->core(), 0, kAll).status();
      ClearStepHook();
      return done.ok() ? 0 : 2;
    });
    const int ended = child.Wait();
    ASSERT_TRUE(ended == -SIGKILL || ended == 0) << ended;
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(map_, domain_.Collection<Strings>("m"));
    ExpectWhole();
    map_.reset();
    ASSERT_OK(domain_.Close());
    if (HasFailure() || ended == 0) return;
  }
}

TEST_F(PunchTest, FailedCallLeavesTheSegmentFree) {
  GrowFree(10);
  SetFaultHook([](std::string_view point) {
    return point == "file.punch" ? EOPNOTSUPP : 0;
  });
  EXPECT_FALSE(PunchFree(core(), 0, kAll).ok());
  ClearFaultHook();
  EXPECT_LE(Count().claimed, 4u);
  EXPECT_EQ(PunchFree(core(), 0, 1).value(), 1u);
  UseAllFree();
}

// P1: between its range pin and its exact pin a reader looks at a record that
// may be a hole by now. It must begin again, and neither fail nor believe it.
TEST_F(PunchTest, ReaderWhoseRecordIsPunchedBeginsAgain) {
  std::string seen;
  HeldThread reader(
      [&] {
        auto now = domain_.Now();
        ASSERT_OK(now);
        seen = map_->At(*now).Find("n").value().ToString();
      },
      HeldThread::At("pin.loaded"));
  ASSERT_TRUE(reader.AwaitHeld());
  for (int i = 0; i < 30; ++i) {
    // Over the ends of the writer's segments, so that they are let go.
    for (int k = 0; k < 20; ++k) {
      ASSERT_OK(map_->Put("n", std::string(400'000, 'n')));
    }
    ASSERT_OK(domain_.Sync());
    ASSERT_OK(domain_.Reclaim());
    ASSERT_OK(PunchFree(core(), 0, kAll));
  }
  reader.LetGo();
  EXPECT_TRUE(seen == std::string(400'000, 'n'));
}

// What a pin sees, and what a power failure would bring back, survives poison
// of all that is freed, and punching of all that is free.
TEST_F(PunchTest, SnapshotsAndDurableRootsOutliveFreedSegments) {
  SetPoisonFreedSegments(true);
  PutRuns("old", 3, 'o');
  for (int i = 0; i < 2000; ++i) {
    ASSERT_OK(map_->Put("s" + std::to_string(i), std::to_string(i)));
  }
  ASSERT_OK_AND_ASSIGN(const Snapshot held, domain_.Now());
  const auto hash = [&] {
    uint64_t hash = 0;
    for (auto [key, value] : map_->At(held)) {
      const std::string both = key.ToString() + "=" + value.ToString();
      hash ^= std::hash<std::string>()(both);
    }
    return hash;
  };
  const uint64_t before = hash();
  for (int round = 0; round < 12; ++round) {
    const char fill = static_cast<char>('a' + round);
    ASSERT_NO_FATAL_FAILURE(PutRuns("old", 3, fill));
    for (int i = 0; i < 2000; ++i) {
      ASSERT_OK(map_->Put("s" + std::to_string(i), std::string(200, fill)));
    }
    if (round % 3 == 0) ASSERT_OK(domain_.Sync());
    ASSERT_OK(domain_.Reclaim());
    if (round % 2 == 0) ASSERT_OK(PunchFree(core(), 4, kAll));
    ASSERT_EQ(hash(), before) << "round " << round;
    testing::ExpectCleanCheckAt(path_, held);
    const std::string copy = testing::CopyAfterPowerLoss(
        path_, dir_.File("copy" + std::to_string(round)));
    if (round % 2 == 1) testing::TearNewestSlots(copy, 1);
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(copy, Quiet()));
    testing::ExpectCleanCheck(copy, domain);
    ASSERT_OK(domain.Close());
    std::filesystem::remove(copy);
  }
  ExpectWhole();
}

// A segment is born with the version that first wrote to it, not with the one
// after. Values of this size drift over the segments' ends, so that in some
// rounds the pinned version is the one that begins a segment.
TEST_F(PunchTest, PinOfTheVersionThatBeganASegmentKeepsIt) {
  SetPoisonFreedSegments(true);
  for (int round = 0; round < 48; ++round) {
    const bool is_run = round % 2 == 0;
    const size_t bytes = is_run ? 3 << 20 : 400'000;
    const std::string value(bytes, static_cast<char>('a' + round));
    ASSERT_OK(map_->Put("v", value));
    ASSERT_OK_AND_ASSIGN(const Snapshot held, domain_.Now());
    for (int i = 0; i < 14; ++i) {
      ASSERT_OK(map_->Put("v", std::string(400'000, 'x')));
    }
    for (int i = 0; i < 2; ++i) {
      ASSERT_OK(domain_.Sync());
      ASSERT_OK(domain_.Reclaim());
      ASSERT_OK(map_->Put("n", std::to_string(i)));
    }
    ASSERT_TRUE(map_->At(held).Find("v").value() == value) << round;
  }
}

// I3: a reader's pin against a collector's scan, for real, with everything that
// is freed turned to garbage. Without the barrier in BeginPin the scan now and
// then misses a pin.
TEST_F(PunchTest, ReadersNeverMeetWhatWasFreed) {
  SetPoisonFreedSegments(true);
  constexpr size_t kBytes = 600'000;  // just a run, in one segment
  ASSERT_OK(map_->Put("large", std::string(kBytes, 'a')));
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    while (!stop) {
      auto now = domain_.Now();
      ASSERT_OK(now);
      const Bytes value = map_->At(*now).Find("large").value();
      const char first = value.data()[0];
      ASSERT_EQ(value.size(), kBytes);
      ASSERT_EQ(value.data()[value.size() - 1], first);
      ASSERT_NE(static_cast<unsigned char>(first), kPoisonByte);
    }
  });
  for (int i = 0; i < 2000; ++i) {
    ASSERT_OK(map_->Put("large", std::string(kBytes, 'b')));
    ASSERT_OK(domain_.Reclaim());
    ASSERT_OK(domain_.Reclaim());
  }
  stop = true;
  reader.join();
  ExpectWhole();
}

// Page 0 and the commit slots are in the first segment, free or not.
TEST_F(PunchTest, TheFirstSegmentsAreNeverPunched) {
  map_.reset();
  impl_.reset();
  ASSERT_OK(domain_.Close());  // lets go of the segment being filled
  ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
  ASSERT_OK_AND_ASSIGN(impl_, internal::OpenInstance(path_, Quiet()));
  ASSERT_TRUE(table().TryClaimSealed(0));
  table().ReleaseFree(0);
  ASSERT_OK(PunchFree(core(), 0, kAll));
  std::string page(kPageBytes, '\0');
  ASSERT_OK(core().file.ReadAt(kCommitSlotsOffset, page.data(), page.size()));
  EXPECT_NE(page, std::string(kPageBytes, '\0'));
  ASSERT_OK(core().file.ReadAt(0, page.data(), page.size()));
  EXPECT_NE(page, std::string(kPageBytes, '\0'));
}

TEST_F(PunchTest, DeathWhilePoisoningLeavesAClaimOfTheDead) {
  SetPoisonFreedSegments(true);
  for (const char* step : {"poison.claimed", "poison.filled"}) {
    ASSERT_OK(map_->Put("gone", ValueOf('g')));
    ASSERT_OK(map_->Put("gone", "small"));
    ChildProcess child([&] {
      auto domain = Domain::Open(path_, Quiet());
      if (!domain.ok()) return 1;
      SignalSelfAt(1, SIGKILL, step);
      return domain->Reclaim().ok() ? 0 : 2;
    });
    ASSERT_EQ(child.Wait(), -SIGKILL);
    ASSERT_OK(domain_.Reclaim());
    EXPECT_LE(Count().claimed, 4u);
    ExpectWhole();
  }
}

}  // namespace
}  // namespace eve
