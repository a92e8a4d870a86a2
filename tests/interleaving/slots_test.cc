// Checkpoints of more processes than there are commit slots.

#include <fcntl.h>

#include <atomic>
#include <string>
#include <string_view>

#include "engine/checkpoint/checkpointer.h"
#include "engine/domain/registry.h"
#include "engine/file/file_lock.h"
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
    for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
      ASSERT_TRUE(
          TryLockByte(locks_, kCommitSlotLockBase + slot, LockKind::kExclusive)
              .value());
    }
  }
  void TearDown() override { ClearStepHook(); }
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
  WhenInUse(3, [this] {
    for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
      UnlockByte(locks_, kCommitSlotLockBase + slot);
    }
  });
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
  for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
    UnlockByte(locks_, kCommitSlotLockBase + slot);
  }
  EXPECT_OK(checkpointer.Run());
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

}  // namespace eve
