// Group commit and power loss (I19): who is acknowledged is on the disk.

#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "engine/domain/registry.h"
#include "engine/epoch/ticket.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/child_process.h"
#include "tests/testing/flushed_image.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"
#include "util/futex.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::SharedValue;
using testing::Synchronous;
using testing::TempDir;
using Numbers = Map<std::string, int64_t>;

// A group is told when its flush is over and not before: what the one that
// flushes has in its hands is on the disk when another that waits for it is
// acknowledged.
class GroupPowerTest : public ::testing::TestWithParam<bool> {
 protected:
  void TearDown() override { ClearStepHook(); }

  // What both of them know of each other; the other may be a process.
  struct Shared {
    std::atomic<bool> go{false};
    std::atomic<bool> waits{false};
    std::atomic<bool> saved{false};
  };

  // Commits when it is told, and keeps what is on disk when it is acknowledged.
  int Follow(const std::string& copy, const testing::FlushedImage& image) {
    while (!shared_->go) std::this_thread::yield();
    auto domain = Domain::Open(path_, Synchronous());
    if (!domain.ok()) return 1;
    auto map = domain->Collection<Numbers>("m");
    if (!map.ok() || !map->Put("follower", 2).ok()) return 2;
    const bool is_saved = image.SaveTo(copy);
    shared_->saved = true;
    return is_saved ? 0 : 3;
  }

  // The planted bug: the group is told before the flush.
  static void Acknowledge(RegionWords& words) {
    for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
      const uint64_t version = words.pending[i].load();
      if (version != 0) words.durable[i].store(version);
    }
    words.beat.fetch_add(1);
    FutexWakeAll(words.beat);
  }

  // Whether the follower's commit survives from when it was acknowledged on.
  bool Survives(bool early) {
    const bool is_process = GetParam();
    testing::FlushedImage image(path_);
    const std::string copy = dir_.File("copy.eve");
    std::optional<ChildProcess> child;
    // Who passes the steps below without being told to go is the leader.
    SetStepHook([this](std::string_view step) {
      if (step == "flusher.wait") shared_->waits = true;
    });
    if (is_process) child.emplace([&] { return Follow(copy, image); });
    Domain domain = Domain::Open(path_, Synchronous()).value();
    auto impl = internal::OpenInstance(path_, Synchronous()).value();
    const Numbers map = domain.Collection<Numbers>("m").value();
    EXPECT_OK(map.Put("leader", 0));
    std::thread thread;
    SharedWord& ticket = impl->core().region.words().flusher;
    uint64_t leaders = 0;
    SetStepHook([&](std::string_view step) {
      if (step == "flusher.wait") shared_->waits = true;
      if (step == "flusher.before_release" && leaders != 0) {
        ticket = std::exchange(leaders, 0);
      }
      if (step == "flusher.taken" && !shared_->go) {
        // One whose flushes take long: the follower is not to take over, or
        // two would flush at once.
        leaders = ticket;
        ticket = leaders | kTicketUnitsMax << kTicketNanosShift;
        shared_->go = true;
        if (!is_process) thread = std::thread([&] { Follow(copy, image); });
        while (!shared_->waits) std::this_thread::yield();
      }
      if (early && step == "one_flush.slot_written" && !shared_->saved) {
        Acknowledge(impl->core().region.words());
        while (!shared_->saved) std::this_thread::yield();
      }
    });
    EXPECT_OK(map.Put("leader", 1));
    if (thread.joinable()) thread.join();
    if (child.has_value()) {
      EXPECT_EQ(child->Wait(), 0);
    }
    ClearStepHook();
    EXPECT_TRUE(shared_->saved);
    Domain left = Domain::Open(copy, Synchronous()).value();
    return left.Collection<Numbers>("m").value().Get("follower").ok();
  }

  SharedValue<Shared> shared_;
  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
};

TEST_P(GroupPowerTest, WhoIsAcknowledgedSurvives) {
  EXPECT_TRUE(Survives(/*early=*/false));
}

TEST_P(GroupPowerTest, PlantedAcknowledgementBeforeTheFlushIsFound) {
  EXPECT_FALSE(Survives(/*early=*/true));
}

INSTANTIATE_TEST_SUITE_P(Followers, GroupPowerTest, ::testing::Bool(),
                         [](const ::testing::TestParamInfo<bool>& info) {
                           return info.param ? "Process" : "Thread";
                         });

}  // namespace
}  // namespace eve
