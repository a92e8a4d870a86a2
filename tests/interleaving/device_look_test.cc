// Who meets a flush that was announced, and whose owner cannot say how it
// ended, looks at the device before any flush is believed (P22). Here it has
// ended well: the look must find so, whatever is committed and reused beside
// it.

#include <fcntl.h>
#include <signal.h>

#include <cerrno>
#include <optional>
#include <string>
#include <string_view>

#include "engine/domain/registry.h"
#include "engine/epoch/reader_cells.h"
#include "engine/file/file.h"
#include "engine/reclaim/poison.h"
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
using testing::HeldThread;
using testing::Quiet;
using Strings = Map<std::string, std::string>;

constexpr size_t kBig = 8 << 20;

// What the owner of the flush does, and in which step.
struct End {
  int signal;
  const char* step;
};

class DeviceLookTest : public ::testing::TestWithParam<End> {
 protected:
  void SetUp() override {
    if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
    // Nobody finds the domain closed.
    keeper_.emplace([&] {
      const auto domain = Domain::Open(path_, Quiet());
      ::raise(SIGSTOP);
      return 1;
    });
    keeper_->AwaitStopped();
    flusher_.emplace([&] {
      auto domain = Domain::Open(path_, Quiet());
      if (!domain.ok()) return 1;
      auto map = domain->Collection<Strings>("m");
      if (!map.ok() || !domain->Sync().ok()) return 2;
      if (!map->Put("big", std::string(kBig, 'b')).ok()) return 3;
      testing::SignalSelfAt(1, GetParam().signal, GetParam().step);
      return domain->Sync().ok() ? 0 : 4;
    });
    if (GetParam().signal == SIGSTOP) {
      flusher_->AwaitStopped();
    } else {
      ASSERT_EQ(flusher_->Wait(), -SIGKILL);
      flusher_.reset();
    }
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
    map_.emplace(std::move(map));
  }
  void TearDown() override {
    ClearStepHook();
    SetPoisonFreedSegments(false);
  }

  bool HasDirectReads() const {
    File direct;
    return File::Open(path_, O_RDONLY).value().OpenDirect(&direct) == 0;
  }

  testing::TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  std::optional<ChildProcess> keeper_;
  std::optional<ChildProcess> flusher_;
  Domain domain_;
  std::optional<Strings> map_;
};

TEST_P(DeviceLookTest, FindsAllThereOnce) {
  int looks = 0;
  SetStepHook([&](std::string_view step) {
    if (step == "flush_death.compared") ++looks;
  });
  ASSERT_OK(map_->Put("n", "1"));
  EXPECT_OK(domain_.Sync());
  EXPECT_EQ(looks, 1);
  ASSERT_OK(map_->Put("n", "2"));
  EXPECT_OK(domain_.Sync());
  EXPECT_EQ(looks, 1);
  if (!flusher_.has_value()) return;
  flusher_->Signal(SIGCONT);
  EXPECT_EQ(flusher_->Wait(), 0);
  EXPECT_OK(domain_.Sync());
  EXPECT_EQ(looks, 1) << "it has told how it ended";
}

// What is looked at dies meanwhile, and would be reused if nobody kept it.
TEST_P(DeviceLookTest, RunsBesideCommitsAndReuse) {
  // What has been announced is kept for whoever announced it; this is not.
  ASSERT_OK(map_->Put("later", std::string(kBig, 'l')));
  HeldThread looker([&] { EXPECT_OK(domain_.Sync()); },
                    HeldThread::At("flush_death.compared"));
  ASSERT_TRUE(looker.AwaitHeld());
  for (const char fill : {'1', '2', '3'}) {
    ASSERT_OK(map_->Erase("later"));
    ASSERT_OK(domain_.Reclaim());
    ASSERT_OK(map_->Put("later", std::string(kBig, fill)));
    for (int i = 0; i < 3000; ++i) {
      ASSERT_OK(map_->Put(std::to_string(i), std::string(1000, fill)));
    }
  }
  looker.LetGo();
  EXPECT_EQ(map_->Get("later").value(), std::string(kBig, '3'));
  EXPECT_OK(domain_.Sync());
  testing::ExpectCleanCheck(path_, domain_);
}

// The durable root that it compares with is durable no more meanwhile: nobody
// but its own pin keeps it.
TEST_P(DeviceLookTest, ReadsADurableRootThatOthersReplace) {
  SetPoisonFreedSegments(true);
  ASSERT_OK_AND_ASSIGN(const auto impl, internal::OpenInstance(path_, Quiet()));
  const Core& core = impl->core();
  ASSERT_OK(map_->Put("n", "1"));
  HeldThread looker([&] { EXPECT_OK(domain_.Sync()); },
                    HeldThread::At("flush_death.durable_pinned"));
  ASSERT_TRUE(looker.AwaitHeld());
  RangePinMemory memory;
  EXPECT_THAT(ScanPins(core.region, *core.slots, memory).exact,
              ::testing::Contains(domain_.durable_version()));
  ChildProcess other([&] {
    auto domain = Domain::Open(path_, Quiet());
    if (!domain.ok()) return 1;
    auto map = domain->Collection<Strings>("m");
    for (const char fill : {'1', '2', '3', '4', '5', '6'}) {
      const std::string value(400'000, fill);
      for (const char* key : {"a", "b", "c", "d", "e", "f", "g", "h"}) {
        if (!map.ok() || !map->Put(key, value).ok()) return 2;
      }
      if (!domain->Sync().ok() || !domain->Reclaim().ok()) return 3;
    }
    return 0;
  });
  EXPECT_EQ(other.Wait(), 0);
  looker.LetGo();
  ClearStepHook();
  EXPECT_OK(domain_.Sync());
  testing::ExpectCleanCheck(path_, domain_);
}

// By the time that it matters one may have no right to open the file any more,
// or no descriptor left.
TEST_P(DeviceLookTest, NeedsNothingThatWasThereWhenItWasOpened) {
  if (!HasDirectReads()) GTEST_SKIP() << "no direct reads here";
  const ScopedFaultHook hook([](std::string_view point) {
    return point == "file.open_device" ? EMFILE : 0;
  });
  ASSERT_OK(map_->Put("n", "1"));
  EXPECT_OK(domain_.Sync());
}

// Who never had the right believes the cache, as where there are no direct
// reads.
TEST_P(DeviceLookTest, WithoutTheRightToAskTheCacheIsBelieved) {
  map_.reset();
  const int denied = [&] {
    const ScopedFaultHook hook([](std::string_view point) {
      return point == "file.open_device" ? EACCES : 0;
    });
    ChildProcess child([&] {
      auto domain = Domain::Open(path_, Quiet());
      if (!domain.ok()) return 1;
      auto map = domain->Collection<Strings>("m");
      if (!map.ok() || !map->Put("n", "1").ok()) return 2;
      return domain->Sync().ok() ? 0 : 3;
    });
    return child.Wait();
  }();
  EXPECT_EQ(denied, 0);
}

// A device that cannot read what it was given has not kept it: the flush counts
// as failed for all, and nobody is ended by it.
TEST_P(DeviceLookTest, WhatCannotBeReadIsLost) {
  const bool is_direct = HasDirectReads();
  for (const std::string_view call : {"file.read_device", "file.read_ahead"}) {
    SCOPED_TRACE(call);
    if (call == "file.read_device" && !is_direct) continue;
    const ScopedFaultHook hook(
        [call](std::string_view point) { return point == call ? EIO : 0; });
    ChildProcess child([&] {
      auto domain = Domain::Open(path_, Quiet());
      if (!domain.ok()) return 1;
      auto map = domain->Collection<Strings>("m");
      if (!map.ok() || !map->Put("n", "1").ok()) return 2;
      if (domain->Sync().code() != absl::StatusCode::kUnavailable) return 3;
      return map->Get("n").value_or("") == "1" ? 0 : 4;
    });
    EXPECT_EQ(child.Wait(), 0);
    if (call == "file.read_device") continue;
    EXPECT_CODE(domain_.Sync(), absl::StatusCode::kUnavailable);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, DeviceLookTest,
    ::testing::Values(End{SIGKILL, "checkpoint.announced"},
                      End{SIGKILL, "checkpoint.slot_written"},
                      End{SIGKILL, "checkpoint.slot_flushed"},
                      End{SIGSTOP, "checkpoint.announced"},
                      End{SIGSTOP, "checkpoint.slot_written"},
                      End{SIGSTOP, "checkpoint.slot_flushed"}),
    [](const auto& info) {
      std::string name = info.param.signal == SIGKILL ? "Killed" : "Stopped";
      for (const char* at = info.param.step; *at != 0; ++at) {
        if (*at != '.' && *at != '_') name += *at;
      }
      return name;
    });

}  // namespace
}  // namespace eve
