// What a process leaves to the others when it dies or stops between two steps
// (P3, P5, P6, P7).

#include <signal.h>

#include <string>
#include <thread>

#include "engine/domain/registry.h"
#include "engine/epoch/reader_cells.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/held_thread.h"
#include "tests/testing/power_loss.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/timed_waits.h"

namespace eve {
namespace {

using internal::DomainImpl;
using testing::ChildProcess;
using testing::HeldThread;
using testing::SignalSelfAt;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

using testing::Quiet;

class DeathsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(impl_, internal::OpenInstance(path_, Quiet()));
  }
  void TearDown() override { ClearStepHook(); }
  Core& core() { return impl_->core(); }

  // For a child.
  int SyncAndDieAt(const char* step) {
    auto other = Domain::Open(path_, Quiet());
    if (!other.ok()) return 1;
    SignalSelfAt(1, SIGKILL, step);
    return other->Sync().ok() ? 0 : 2;
  }
  // Writes over whatever is free, then opens what a power failure would leave.
  void ExpectRunAfterPowerLoss(Strings& map) {
    for (int i = 0; i < 4; ++i) {
      ASSERT_OK(map.Put("other" + std::to_string(i), kOtherRun));
    }
    const std::string path =
        testing::CopyAfterPowerLoss(path_, dir_.File("copy.eve"));
    ASSERT_OK_AND_ASSIGN(Domain copy, Domain::Open(path, Quiet()));
    ASSERT_OK_AND_ASSIGN(Strings in_copy, copy.Collection<Strings>("m"));
    EXPECT_TRUE(in_copy.Get("k").value() == kRun);
    testing::ExpectCleanCheck(path, copy);
  }

  // Large enough for segments of its own, which are dead once it is replaced.
  const std::string kRun = std::string(3 << 20, 'r');
  const std::string kOtherRun = std::string(3 << 20, 'o');

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
  std::shared_ptr<DomainImpl> impl_;
};

// P5, P7: what a dead process had claimed and never committed to is free again
// after one pass; the claims of a stopped one are not touched.
TEST_F(DeathsTest, ClaimsOfTheDeadAreTakenOverThoseOfTheStoppedAreNot) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  ChildProcess child([this] {
    auto domain = Domain::Open(path_, Quiet());
    if (!domain.ok()) return 1;
    auto in_child = domain->Collection<Strings>("m");
    if (!in_child.ok()) return 2;
    SetStepHook([](std::string_view step) {
      if (step == "commit.before_cas") ::raise(SIGSTOP);
    });
    return in_child->Put("k", "from the child").ok() ? 0 : 3;
  });
  child.AwaitStopped();
  const auto claims = [&] { return domain_.Stats().value().segments_claimed; };
  const uint64_t while_stopped = claims();
  ASSERT_OK(domain_.Reclaim());
  ASSERT_OK(map.Put("other", "from the parent"));
  ASSERT_OK(domain_.Reclaim());
  EXPECT_GE(claims(), 2u);
  EXPECT_GE(while_stopped, 1u);
  child.Signal(SIGKILL);
  EXPECT_EQ(child.Wait(), -SIGKILL);
  ASSERT_OK(domain_.Reclaim());
  EXPECT_LE(claims(), 2u) << "one segment a stream of this process's writer";
  EXPECT_FALSE(map.Get("k").ok());
  EXPECT_EQ(map.Get("other").value(), "from the parent");
  testing::ExpectCleanCheck(path_, domain_);
}

// A stopped writer's late compare-and-swap finds another root and starts over:
// nothing is lost, nothing doubled.
TEST_F(DeathsTest, StoppedWriterGoesOnCorrectlyAfterManyCommitsOfOthers) {
  using Counters = Map<std::string, int64_t>;
  ASSERT_OK_AND_ASSIGN(Counters map, domain_.Collection<Counters>("n"));
  ASSERT_OK(map.Put("n", 0));
  ChildProcess child([this] {
    auto domain = Domain::Open(path_, Quiet());
    if (!domain.ok()) return 1;
    auto counters = domain->Collection<Counters>("n");
    if (!counters.ok()) return 2;
    bool stopped = false;
    SetStepHook([&stopped](std::string_view step) {
      if (step != "commit.before_cas" || stopped) return;
      stopped = true;
      ::raise(SIGSTOP);
    });
    return counters->Update("n",
                            [](std::optional<int64_t> old) {
                              return old.value_or(0) + 1;
                            })
                   .ok()
               ? 0
               : 3;
  });
  child.AwaitStopped();
  for (int i = 0; i < 5000; ++i) {
    ASSERT_OK(map.Update(
        "n", [](std::optional<int64_t> old) { return old.value_or(0) + 1; }));
    if (i % 500 == 0) ASSERT_OK(domain_.Reclaim());
  }
  child.Signal(SIGCONT);
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_EQ(map.Get("n").value(), 5001);
  testing::ExpectCleanCheck(path_, domain_);
}

// The pins of a killed reader are ignored at once, without any timer.
TEST_F(DeathsTest, PinsOfTheDeadAreIgnored) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", "v"));
  ChildProcess child([this] {
    auto domain = Domain::Open(path_, Quiet());
    if (!domain.ok()) return 1;
    auto now = domain->Now();
    if (!now.ok()) return 2;
    ::raise(SIGSTOP);
    return 0;
  });
  child.AwaitStopped();
  RangePinMemory memory;
  EXPECT_EQ(ScanPins(core().region, *core().slots, memory).exact.size(), 1u);
  child.Signal(SIGKILL);
  EXPECT_EQ(child.Wait(), -SIGKILL);
  EXPECT_TRUE(ScanPins(core().region, *core().slots, memory).exact.empty());
}

// P17, P6: a slot page that a dead checkpointer wrote may land at any time, so
// what it leads to is kept until somebody has finished it.
TEST_F(DeathsTest, RootThatADeadCheckpointerAnnouncedIsKept) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", kRun));
  ChildProcess announcer(
      [&] { return SyncAndDieAt("checkpoint.slot_written"); });
  ASSERT_EQ(announcer.Wait(), -SIGKILL);
  ASSERT_OK(map.Put("k", "small"));
  ASSERT_OK(domain_.Reclaim());
  ExpectRunAfterPowerLoss(map);
}

// P6: its announcement is all that protects the root of a dead checkpointer:
// its pin is ignored. Whoever finishes the slot turns the announcement into a
// durable version; a collector that read durable[] before pending[] would see
// neither. Its first look comes too early for both.
TEST_F(DeathsTest, SlotFinishedBetweenTwoScansKeepsItsRoot) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  ASSERT_OK(map.Put("k", kRun));
  const uint64_t version = domain_.Now().value().version();
  ChildProcess announcer([&] {
    auto other = Domain::Open(path_, Quiet());
    if (!other.ok()) return 1;
    SetStepHook([has_slot = false](std::string_view step) mutable {
      has_slot |= step == "checkpoint.slot_taken";
      if (has_slot && step == "pin.exact") ::raise(SIGSTOP);
      if (step == "checkpoint.slot_written") ::raise(SIGKILL);
    });
    return other->Sync().ok() ? 0 : 2;
  });
  announcer.AwaitStopped();
  ChildProcess finisher([&] {  // forked before there is a second thread
    ::raise(SIGSTOP);
    return SyncAndDieAt("checkpoint.slot_taken");
  });
  finisher.AwaitStopped();
  ASSERT_OK(map.Put("k", "small"));
  bool is_last_look = false;
  HeldThread collector([&] { EXPECT_OK(domain_.Reclaim()); },
                       [&](std::string_view step) {
                         if (step == "collect.durable_read_first") {
                           announcer.Signal(SIGCONT);
                           EXPECT_EQ(announcer.Wait(), -SIGKILL);
                         }
                         is_last_look |= step == "collect.pins_scanned";
                         return is_last_look &&
                                step == "candidates.pending_read";
                       });
  ASSERT_TRUE(collector.AwaitHeld());
  finisher.Signal(SIGCONT);
  ASSERT_EQ(finisher.Wait(), -SIGKILL);
  ASSERT_EQ(domain_.durable_version(), version);
  collector.LetGo();
  ExpectRunAfterPowerLoss(map);
}

// P5: a half-full segment is gone on with where the root says that it ends,
// read after the claim. Another process may fill it up to then: one that was
// stopped with an older fill in hand would write over its blocks.
TEST_F(DeathsTest, FillOfAReopenedSegmentIsReadAfterItsClaim) {
  {
    ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
    ASSERT_OK(map.Put("k", "v"));
  }
  impl_.reset();
  ASSERT_OK(domain_.Close());  // releases its segments half-full
  ChildProcess other([&] {
    ::raise(SIGSTOP);
    auto domain = Domain::Open(path_, Quiet());
    if (!domain.ok()) return 1;
    auto in_other = domain->Collection<Strings>("m");
    if (!in_other.ok() || !in_other->Put("other", "o").ok()) return 2;
    return domain->Close().ok() ? 0 : 3;
  });
  other.AwaitStopped();
  ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  int pins = 0;
  HeldThread writer([&] { EXPECT_OK(map.Put("mine", "m")); },
                    [&](std::string_view step) {
                      // The base first, then the root with the fill.
                      return step == "pin.exact" && ++pins == 2;
                    });
  ASSERT_TRUE(writer.AwaitHeld());
  other.Signal(SIGCONT);
  EXPECT_EQ(other.Wait(), 0);
  writer.LetGo();
  EXPECT_EQ(map.Get("other").value(), "o");
  EXPECT_EQ(map.Get("mine").value(), "m");
  testing::ExpectCleanCheck(path_, domain_);
}

// A child whose closure loses two runs to its own puts, and so takes the turn;
// `signal` meets it when it has it.
class TurnTaker {
 public:
  TurnTaker(const std::string& path, int signal)
      : child_([&path, signal] { return Run(path, signal); }) {}
  ChildProcess& child() { return child_; }

 private:
  static int Run(const std::string& path, int signal) {
    auto domain = Domain::Open(path, Quiet());
    if (!domain.ok()) return 1;
    auto map = domain->Collection<Strings>("m");
    if (!map.ok()) return 2;
    SignalSelfAt(1, signal, "turn.taken");
    int runs = 0;
    const auto commit = domain->Swap([&](Transaction& txn) -> absl::Status {
      auto writer = map->In(txn);
      writer.Find("long");  // or the put would be repeated without this
      absl::Status status = writer.Put("long", "v");
      // Short runs: sixteen of them, or a millisecond's.
      if (++runs <= 16 && domain->Stats()->turns == 0) {
        std::thread([&] { map->Put("short", "v").IgnoreError(); }).join();
      }
      return status;
    });
    return commit.ok() ? 0 : 3;
  }
  ChildProcess child_;
};

TEST_F(DeathsTest, TurnOfTheDeadIsThrownAway) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  TurnTaker taker(path_, SIGKILL);
  ASSERT_EQ(taker.child().Wait(), -SIGKILL);
  SharedWord& turn = core().region.words().turn;
  ASSERT_NE(turn.load(), 0u);
  const uint64_t waits = testing::TimedWaits();
  for (int i = 0; i < 10; ++i) ASSERT_OK(map.Put("n", "v"));
  EXPECT_EQ(turn.load(), 0u);
  EXPECT_EQ(ReadCounter(core().slots->own().waits), 1u);
  EXPECT_EQ(testing::TimedWaits(), waits) << "it has looked, and not waited";
  EXPECT_CODE(map.Get("long").status(), absl::StatusCode::kNotFound);
  testing::ExpectCleanCheck(path_, domain_);
}

// P20: a stopped holder costs one bounded wait, and goes on correctly.
TEST_F(DeathsTest, TurnOfTheStoppedIsWaitedForOnce) {
  ASSERT_OK_AND_ASSIGN(Strings map, domain_.Collection<Strings>("m"));
  TurnTaker taker(path_, SIGSTOP);
  taker.child().AwaitStopped();
  ASSERT_NE(core().region.words().turn.load(), 0u);
  const uint64_t waits = testing::TimedWaits();
  for (int i = 0; i < 100; ++i) ASSERT_OK(map.Put("n", "v"));
  EXPECT_EQ(ReadCounter(core().slots->own().waits), 1u);
  EXPECT_GT(testing::TimedWaits(), waits) << "waits are not counted";
  taker.child().Signal(SIGCONT);
  EXPECT_EQ(taker.child().Wait(), 0);
  EXPECT_EQ(map.Get("long").value(), "v");
  EXPECT_EQ(core().region.words().turn.load(), 0u);
  testing::ExpectCleanCheck(path_, domain_);
}

}  // namespace
}  // namespace eve
