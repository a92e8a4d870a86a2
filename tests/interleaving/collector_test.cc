// What a collector must not miss while others go on (P5, P6, I8, I9).

#include <string>

#include "engine/domain/registry.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/held_thread.h"
#include "tests/testing/power_loss.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace eve {
namespace {

using testing::HeldThread;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

DomainOptions Quiet() {
  DomainOptions options;
  options.background = false;
  options.durability = Durability::kNone;
  return options;
}

class CollectorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
  }
  void TearDown() override { ClearStepHook(); }

  // Large enough for segments of its own, which are dead once it is replaced.
  static std::string Run(char fill) { return std::string(3 << 20, fill); }
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

// P6: a checkpoint of an older root ends between the scan of the pins and the
// look at the durable versions. Read the other way round, its root would be
// missed in both, and it is what the next power failure brings back.
TEST_F(CollectorTest, CheckpointThatEndsBetweenTwoScansKeepsItsRoot) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", Run('a')));
  const uint64_t version = domain_.Now().value().version();
  HeldThread checkpointer(
      [&] { EXPECT_OK(domain_.Sync()); },
      // Pinned and not announced yet.
      HeldThread::AtAfter("checkpoint.slot_taken", "pin.exact"));
  ASSERT_TRUE(checkpointer.AwaitHeld());
  ASSERT_OK(map.Put("k", "small"));
  HeldThread collector(
      [&] { EXPECT_OK(domain_.Reclaim()); },
      HeldThread::At("collect.pins_scanned", "collect.durable_read"));
  ASSERT_TRUE(collector.AwaitHeld());
  checkpointer.LetGo();
  ASSERT_EQ(domain_.durable_version(), version);
  collector.LetGo();
  UseFreeSegments(map);
  ExpectInCopy(testing::CopyAfterPowerLoss(path_, dir_.File("copy.eve")), "k",
               Run('a'));
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
  testing::TearNewestSlot(copy);
  ExpectInCopy(copy, "k", Run('a'));
}

}  // namespace
}  // namespace eve
