// What a collector must not miss while others go on (P5, P6, I8, I9).

#include "engine/reclaim/collector.h"

#include <fcntl.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/checkpoint/durable_state.h"
#include "engine/domain/registry.h"
#include "engine/file/file.h"
#include "engine/reclaim/poison.h"
#include "engine/root/pinned_root.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/held_thread.h"
#include "tests/testing/power_loss.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::HeldThread;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

using testing::Quiet;

class CollectorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
  }
  void TearDown() override { ClearStepHook(); }

  // Large enough for segments of its own, which are dead once it is replaced.
  static std::string Run(char fill) { return std::string(3 << 20, fill); }
  void ExpectRefilledSegmentIsNotFreed(
      std::optional<uint64_t> tags_left = std::nullopt);
  // Where its value lies, which the snapshot does not keep any more.
  Bytes Look(const Strings& map, Bytes key) {
    const Snapshot now = domain_.Now().value();
    return map.At(now).Find(key).value();
  }
  // A checkpoint of an older root ends when a collector is at one of these
  // steps: whichever comes first.
  void ExpectCheckpointKeepsItsRoot(const char* step, const char* or_this);
  // Whatever is free is written over.
  void UseFreeSegments(Strings& map) {
    for (int i = 0; i < 4; ++i) {
      ASSERT_OK(map.Put("other" + std::to_string(i), Run('o')));
    }
  }
  // Opens a copy that has only what reached the disk.
  void ExpectInCopy(const std::string& copy, Bytes key, Bytes value) {
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(copy, Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings map, domain.Collection<Strings>("m"));
    EXPECT_TRUE(Bytes(map.Get(key).value()) == value);
    testing::ExpectCleanCheck(copy, domain);
  }

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
};

void CollectorTest::ExpectCheckpointKeepsItsRoot(const char* step,
                                                 const char* or_this) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", Run('a')));
  const uint64_t version = domain_.Now().value().version();
  HeldThread checkpointer(
      [&] { EXPECT_OK(domain_.Sync()); },
      // Pinned and not announced yet.
      HeldThread::AtAfter("checkpoint.slot_taken", "pin.exact"));
  ASSERT_TRUE(checkpointer.AwaitHeld());
  ASSERT_OK(map.Put("k", "small"));
  HeldThread collector([&] { EXPECT_OK(domain_.Reclaim()); },
                       HeldThread::At(step, or_this));
  ASSERT_TRUE(collector.AwaitHeld());
  checkpointer.LetGo();
  ASSERT_EQ(domain_.durable_version(), version);
  collector.LetGo();
  UseFreeSegments(map);
  ExpectInCopy(testing::CopyAfterPowerLoss(path_, dir_.File("copy.eve")), "k",
               Run('a'));
}

// P6: a checkpoint of an older root ends between the scan of the pins and the
// look at the durable versions. Read the other way round, its root would be
// missed in both, and it is what the next power failure brings back.
TEST_F(CollectorTest, CheckpointThatEndsBetweenTwoScansKeepsItsRoot) {
  ExpectCheckpointKeepsItsRoot("collect.pins_scanned", "collect.durable_read");
}

// P6: it ends between the first look and the scan, which is too late for both.
TEST_F(CollectorTest, CheckpointThatEndsBeforeTheScanKeepsItsRoot) {
  ExpectCheckpointKeepsItsRoot("collect.durable_read_first",
                               "collect.durable_read_first");
}

// P6: who wants to read a durable root pins it, and believes the pin if it is a
// candidate still. Whatever the collector has read by then, it must not free.
TEST_F(CollectorTest, PinOfADurableRootThatIsOneStillHolds) {
  for (const char* step : {"collect.durable_read_first", "collect.pins_scanned",
                           "collect.durable_read"}) {
    SCOPED_TRACE(step);
    ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
    ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path_, Quiet()));
    Core& core = impl->core();
    ASSERT_OK(map.Put("k", Run('a')));
    ASSERT_OK_AND_ASSIGN(
        PinnedRoot root,
        PinnedRoot::PinNewest(*core.root, core.cells.get(), core.view));
    const uint64_t version = root.version();
    const Offset record = root.offset();
    const Bytes value = Look(map, "k");
    root.Reset();
    ASSERT_OK(domain_.Sync());
    ASSERT_EQ(domain_.durable_version(), version);
    ASSERT_OK(map.Put("k", "small"));
    HeldThread collector([&] { EXPECT_OK(domain_.Reclaim()); },
                         HeldThread::At(step));
    ASSERT_TRUE(collector.AwaitHeld());
    ASSERT_OK_AND_ASSIGN(
        root,
        PinnedRoot::PinVersion(core.cells.get(), core.view, record, version));
    ASSERT_EQ(ReadDurableCandidates(core.region).newest, version);
    for (int n = 0; n < 2; ++n) {
      ASSERT_OK(domain_.Sync());
      ASSERT_OK(map.Put("n", std::to_string(n)));
    }
    collector.LetGo();
    ClearStepHook();
    ASSERT_OK(domain_.Reclaim());
    UseFreeSegments(map);
    EXPECT_TRUE(value == Bytes(Run('a')));
  }
}

// P6: the same of one that neither read meets, nor the pin of who made it
// durable: it is made durable behind the first, and superseded before the last.
TEST_F(CollectorTest, PinOfARootThatWasDurableBetweenTwoReadsHolds) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path_, Quiet()));
  Core& core = impl->core();
  ASSERT_OK(map.Put("k", Run('a')));
  const uint64_t version = domain_.Now().value().version();
  const Offset record = core.root->Load();
  const Bytes value = Look(map, "k");
  HeldThread checkpointer(
      [&] { EXPECT_OK(domain_.Sync()); },
      // Pinned and not announced yet.
      HeldThread::AtAfter("checkpoint.slot_taken", "pin.exact"));
  ASSERT_TRUE(checkpointer.AwaitHeld());
  ASSERT_OK(map.Put("k", "small"));
  HeldThread collector([&] { EXPECT_OK(domain_.Reclaim()); },
                       [&](std::string_view step) {
                         if (step == "collect.durable_read_first") {
                           checkpointer.LetGo();
                         }
                         return step == "collect.pins_scanned";
                       });
  ASSERT_TRUE(collector.AwaitHeld());
  ASSERT_OK_AND_ASSIGN(
      const PinnedRoot root,
      PinnedRoot::PinVersion(core.cells.get(), core.view, record, version));
  ASSERT_EQ(ReadDurableCandidates(core.region).newest, version);
  for (int n = 0; n < 2; ++n) {
    ASSERT_OK(domain_.Sync());
    ASSERT_OK(map.Put("n", std::to_string(n)));
  }
  ASSERT_GT(ReadDurableCandidates(core.region).second, version);
  collector.LetGo();
  ClearStepHook();
  ASSERT_OK(domain_.Reclaim());
  UseFreeSegments(map);
  EXPECT_TRUE(value == Bytes(Run('a')));
}

// I10: the newest slot may turn out to be torn, and then the one before it is
// all there is.
TEST_F(CollectorTest, SecondNewestDurableRootIsKept) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", Run('a')));
  ASSERT_OK(domain_.Sync());
  ASSERT_OK(map.Put("k", "small"));
  ASSERT_OK(domain_.Sync());
  ASSERT_OK(domain_.Reclaim());
  UseFreeSegments(map);
  const std::string copy =
      testing::CopyAfterPowerLoss(path_, dir_.File("copy.eve"));
  testing::TearNewestSlots(copy, 1);
  ExpectInCopy(copy, "k", Run('a'));
}

// P16: while a slot is written the two newest roots keep theirs, so that even
// one that turns out damaged in that moment costs a checkpoint and no more.
TEST_F(CollectorTest, CheckpointsSpareTheSlotsOfTheTwoNewestRoots) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  for (int n = 1; n <= 6; ++n) {
    ASSERT_OK(map.Put("k", std::to_string(n)));
    const std::string copy = dir_.File("copy" + std::to_string(n));
    SetStepHook([&](std::string_view step) {
      if (step != "checkpoint.slot_written") return;
      testing::CopyAfterPowerLoss(path_, copy);
    });
    ASSERT_OK(domain_.Sync());
    ClearStepHook();
    if (n < 3) continue;
    testing::TearNewestSlots(copy, 2);
    ExpectInCopy(copy, "k", std::to_string(n - 2));
  }
}

// P5: state words are read before the root. A collector that was stopped in
// between and read them after would judge the new life of a segment, which
// another one had freed, by the row of its former life.
void CollectorTest::ExpectRefilledSegmentIsNotFreed(
    std::optional<uint64_t> tags_left) {
  ASSERT_OK_AND_ASSIGN(auto impl, internal::OpenInstance(path_, Quiet()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", Run('a')));
  ASSERT_OK(map.Put("k", "small"));
  if (tags_left.has_value()) {
    const SharedRegion& region = impl->core().region;
    for (uint32_t i = 0; i < region.capacity(); ++i) {
      region.segment_state(i) |= SegmentWord{UINT64_MAX}.tag() << 30;
      region.segment_state(i) -= *tags_left << 30;
    }
  }
  HeldThread stopped([&] { EXPECT_OK(domain_.Reclaim()); },
                     HeldThread::AtAfter("collect.taken_over", "pin.exact"));
  ASSERT_TRUE(stopped.AwaitHeld());
  Collector other(&impl->core(), [] { return DurableSet(); });
  ASSERT_GE(other.FreeSegments().value(), 2u);
  ASSERT_OK(map.Put("refilled", Run('r')));
  stopped.LetGo();
  UseFreeSegments(map);
  EXPECT_TRUE(map.Get("refilled").value() == Run('r'));
  testing::ExpectCleanCheck(path_, domain_);
}

TEST_F(CollectorTest, SegmentRefilledBehindAStoppedCollectorIsNotFreed) {
  ExpectRefilledSegmentIsNotFreed();
}

// Nor while the tags begin anew: at each of the transitions.
TEST_F(CollectorTest, SegmentRefilledWhileItsTagsEndIsNotFreed) {
  for (const uint64_t left : {0, 1, 2, 3}) {
    SCOPED_TRACE(left);
    ExpectRefilledSegmentIsNotFreed(left);
  }
}

// The same where freeing takes three steps instead of one.
TEST_F(CollectorTest, SegmentRefilledBehindAStoppedCollectorIsNotPoisoned) {
  SetPoisonFreedSegments(true);
  ExpectRefilledSegmentIsNotFreed();
  SetPoisonFreedSegments(false);
}

// Folds fail for good where the accounting is damaged. Commits go on for a
// while, but stop before the chain of unfolded ones gets too long to open.
TEST_F(CollectorTest, DamagedAccountingStopsCommitsBeforeTheFileIsLost) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", "before"));
  ASSERT_OK(domain_.Reclaim());  // folds
  ASSERT_OK_AND_ASSIGN(auto instance, internal::OpenInstance(path_, Quiet()));
  Core& core = instance->core();
  ASSERT_OK_AND_ASSIGN(
      const PinnedRoot root,
      PinnedRoot::PinNewest(*core.root, core.cells.get(), core.view));
  const Offset rows = root.record().accounting_root;
  ASSERT_FALSE(rows.is_null());
  ASSERT_OK_AND_ASSIGN(const File file, File::Open(path_, O_RDWR));
  ASSERT_OK(file.WriteAt(rows.bytes(), "\0", 1));
  constexpr int kCommitsMax = 70'000;
  int commits = 0;
  absl::Status stopped;
  while (commits < kCommitsMax && stopped.ok()) {
    stopped = map.Put("k", std::to_string(commits));
    if (stopped.ok()) ++commits;
  }
  EXPECT_CODE(stopped, absl::StatusCode::kDataLoss);
  EXPECT_GT(commits, 60'000);
  EXPECT_EQ(map.Get("k").value(), std::to_string(commits - 1));
}

}  // namespace
}  // namespace eve
