// A process that dies at any step harms nobody (I1, P5, P7, P16, P17, P22).
//
// Method: count the steps (EVE_STEP) that a scenario passes, then run it once
// per step in a child that kills itself there. Afterwards a survivor, which in
// half of the scenarios had the domain open all the time, must find every
// acknowledged commit, nothing torn, a clean check, and no leaked space; and it
// must be able to write without waiting: it never asks to be woken later, and
// passes few steps more than beside one that closed in order.

#include <signal.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>

#include "engine/file/file.h"
#include "engine/verify/verifier.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/power_loss.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/timed_waits.h"
#include "util/random.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::SharedValue;
using testing::SignalSelfAt;
using testing::TempDir;
using Numbers = Map<std::string, int64_t>;
using Ordered = OrderedMap<std::string, int64_t>;

struct Progress {
  std::atomic<int64_t> acknowledged{0};  // commits that returned OK
  std::atomic<uint64_t> steps{0};
};

using testing::Quiet;

// What a survivor does in its scope, in steps of its own.
class Effort {
 public:
  Effort()
      : waits_(testing::TimedWaits()),
        hook_([this](std::string_view) { ++steps_; }) {}
  uint64_t steps() const { return steps_; }
  // A first opener may have looked for the byte of the region that is freed an
  // instant after its process is gone (AwaitNoOtherRegion): that is no wait.
  void Opened() { waits_ = testing::TimedWaits(); }
  // Claims of the dead are taken over and released, one by one; slots that they
  // were writing are finished.
  void ExpectLittleMoreThan(uint64_t steps) const {
    EXPECT_EQ(testing::TimedWaits(), waits_) << "it has waited";
    EXPECT_LE(steps_, steps + kStepsMore);
  }

 private:
  static constexpr uint64_t kStepsMore = 40;
  uint64_t waits_;
  std::atomic<uint64_t> steps_{0};
  const ScopedStepHook hook_;
};

// Every commit sets "last" and one key of its own, in a hash map and a tree.
absl::Status CommitOne(Domain& domain, Numbers& a, Ordered& b, int64_t i,
                       Progress& progress) {
  absl::StatusOr<Commit> done = domain.Swap([&](Transaction& txn) {
    absl::Status put = a.In(txn).Put("key" + std::to_string(i), i);
    if (put.ok()) put = a.In(txn).Put("last", i);
    if (put.ok()) put = b.In(txn).Put("last", i);
    return put;
  });
  if (done.ok()) progress.acknowledged = i;
  return done.status();
}

absl::Status OpenBoth(Domain& domain, std::optional<Numbers>& a,
                      std::optional<Ordered>& b) {
  absl::StatusOr<Numbers> opened = domain.Collection<Numbers>("a");
  if (!opened.ok()) return opened.status();
  a = *std::move(opened);
  absl::StatusOr<Ordered> ordered = domain.Collection<Ordered>("b");
  if (!ordered.ok()) return ordered.status();
  b = *std::move(ordered);
  return absl::OkStatus();
}

// Some tens of leaves, of which the erased range has whole ones.
constexpr uint64_t kTreeKeys = 2000;
constexpr uint64_t kTreeKeysErased =
    1 + 10 + 100 + 1000;  // "bulk1", "bulk1x"..

absl::Status FillTree(Ordered::Writer writer) {
  for (uint64_t i = 0; i < kTreeKeys; ++i) {
    absl::Status put = writer.Put("bulk" + std::to_string(i), 1);
    if (!put.ok()) return put;
  }
  return writer.Put("bulk", 40000);
}

// All of the tree's bulk, or all but the range, or nothing.
void ExpectWholeTree(const Ordered::Reader& tree, bool has_bulk) {
  uint64_t seen = 0;
  for (auto [key, value] : tree.Prefix("bulk")) {
    EXPECT_EQ(value, key == "bulk" ? 40000 : 1);
    ++seen;
  }
  ASSERT_OK_AND_ASSIGN(const uint64_t count, tree.Prefix("bulk").Count());
  EXPECT_EQ(seen, count);
  const bool is_cut = !tree.Contains("bulk1");
  const uint64_t expected = 1 + kTreeKeys - (is_cut ? kTreeKeysErased : 0);
  EXPECT_EQ(seen, has_bulk ? expected : 0u) << "a torn range";
}

// Opens, commits, syncs, folds, frees, erases a range, closes.
int RunScenario(const std::string& path, Progress& progress,
                const DomainOptions& options = Quiet()) {
  absl::StatusOr<Domain> domain = Domain::Open(path, options);
  if (!domain.ok()) return 10;
  std::optional<Numbers> a;
  std::optional<Ordered> b;
  if (!OpenBoth(*domain, a, b).ok()) return 11;
  int64_t next = progress.acknowledged + 1;
  for (int i = 0; i < 3; ++i) {
    if (!CommitOne(*domain, *a, *b, next++, progress).ok()) return 12;
  }
  if (!domain->Sync().ok()) return 13;
  if (!CommitOne(*domain, *a, *b, next++, progress).ok()) return 14;
  if (!domain->Reclaim().ok()) return 15;
  // Enough to leave the first segment and grow the file.
  absl::StatusOr<Commit> bulk = domain->Swap([&](Transaction& txn) {
    auto writer = a->In(txn);
    for (int i = 0; i < 40000; ++i) {
      absl::Status put = writer.Put("bulk" + std::to_string(i), i);
      if (!put.ok()) return put;
    }
    return FillTree(b->In(txn));
  });
  if (!bulk.ok()) return 16;
  if (!CommitOne(*domain, *a, *b, next++, progress).ok()) return 17;
  absl::StatusOr<Commit> erased = domain->Swap([&](Transaction& txn) {
    return b->In(txn).EraseRange("bulk1", "bulk2").status();
  });
  if (!erased.ok()) return 18;
  if (!domain->Reclaim().ok()) return 19;
  a.reset();
  b.reset();
  return domain->Close().ok() ? 0 : 20;
}

void ExpectConsistent(Domain& domain, Progress& progress, bool lost_power) {
  std::optional<Numbers> a;
  std::optional<Ordered> b;
  ASSERT_OK(OpenBoth(domain, a, b));
  ASSERT_OK_AND_ASSIGN(Snapshot now, domain.Now());
  const auto in_a = a->At(now);
  const auto in_b = b->At(now);
  const int64_t last = in_a.Find("last").value_or(0);
  EXPECT_EQ(in_b.Find("last").value_or(0), last) << "a torn commit";
  // The commit in flight may have been published without being acknowledged.
  if (!lost_power) {
    EXPECT_GE(last, progress.acknowledged) << "an acknowledged commit is lost";
  }
  EXPECT_LE(last, progress.acknowledged + 1);
  for (int64_t i = 1; i <= last; ++i) {
    EXPECT_EQ(in_a.Find("key" + std::to_string(i)).value_or(-1), i);
  }
  const bool has_bulk = in_b.Find("bulk").has_value();
  EXPECT_EQ(in_a.Find("bulk0").has_value(), has_bulk);
  EXPECT_EQ(in_a.Find("bulk39999").has_value(), has_bulk);
  ASSERT_NO_FATAL_FAILURE(ExpectWholeTree(in_b, has_bulk));
  EXPECT_OK(in_a.Find("x").has_value() ? absl::InternalError("x")
                                       : now.status());
  progress.acknowledged = last;
}

void ExpectUsableAndClean(const std::string& path, Domain& domain,
                          Progress& progress) {
  ExpectConsistent(domain, progress, /*lost_power=*/false);
  if (::testing::Test::HasFatalFailure()) return;
  std::optional<Numbers> a;
  std::optional<Ordered> b;
  ASSERT_OK(OpenBoth(domain, a, b));
  const int64_t next = progress.acknowledged + 1;
  ASSERT_OK(CommitOne(domain, *a, *b, next, progress));
  ASSERT_OK(domain.Reclaim());
  ASSERT_OK_AND_ASSIGN(const DomainStats stats, domain.Stats());
  // Only this process is left: a claim of a dead one would be a leak. A writer
  // owns one segment per stream.
  EXPECT_LE(stats.segments_claimed, 4u);
  EXPECT_EQ(stats.processes, 1u);
  testing::ExpectCleanCheck(path, domain);
}

uint64_t CountSteps(const std::function<int()>& run, Progress& progress) {
  ChildProcess child([&] {
    SetStepHook([&](std::string_view) { progress.steps.fetch_add(1); });
    return run();
  });
  EXPECT_EQ(child.Wait(), 0);
  return progress.steps;
}

// Of one that opens what was closed in order.
uint64_t StepsOfOpener(const std::string& path, Progress& progress) {
  const Effort effort;
  absl::StatusOr<Domain> domain = Domain::Open(path, Quiet());
  EXPECT_OK(domain.status());
  ExpectUsableAndClean(path, *domain, progress);
  return effort.steps();
}

TEST(KillPointsTest, DeathAtEveryStepWithNobodyElseAttached) {
  uint64_t steps;
  uint64_t calm;  // steps of who comes after one that has closed
  {
    TempDir dir;
    SharedValue<Progress> progress;
    steps = CountSteps(
        [&] { return RunScenario(dir.File("d.eve"), *progress); }, *progress);
    calm = StepsOfOpener(dir.File("d.eve"), *progress);
  }
  ASSERT_GT(steps, 100u);
  for (uint64_t kill_at = 1; kill_at <= steps; ++kill_at) {
    SCOPED_TRACE("killed at step " + std::to_string(kill_at));
    TempDir dir;
    SharedValue<Progress> progress;
    ChildProcess child([&] {
      SignalSelfAt(kill_at, SIGKILL);
      return RunScenario(dir.File("d.eve"), *progress);
    });
    ASSERT_EQ(child.Wait(), -SIGKILL);
    Effort effort;
    ASSERT_OK_AND_ASSIGN(Domain domain,
                         Domain::Open(dir.File("d.eve"), Quiet()));
    effort.Opened();
    ExpectUsableAndClean(dir.File("d.eve"), domain, *progress);
    effort.ExpectLittleMoreThan(calm);
    ASSERT_OK(domain.Close());
    if (HasFailure()) return;
  }
}

// Synchronous commits, of which no acknowledged one may be missing after a
// power failure either.
TEST(KillPointsTest, SynchronousDeathAtEveryStep) {
  const DomainOptions options = testing::Synchronous();
  uint64_t steps;
  uint64_t calm;
  {
    TempDir dir;
    SharedValue<Progress> progress;
    steps = CountSteps(
        [&] { return RunScenario(dir.File("d.eve"), *progress, options); },
        *progress);
    calm = StepsOfOpener(dir.File("d.eve"), *progress);
  }
  ASSERT_GT(steps, 100u);
  for (uint64_t kill_at = 1; kill_at <= steps; ++kill_at) {
    SCOPED_TRACE("killed at step " + std::to_string(kill_at));
    TempDir dir;
    const std::string path = dir.File("d.eve");
    SharedValue<Progress> progress;
    ChildProcess child([&] {
      SignalSelfAt(kill_at, SIGKILL);
      return RunScenario(path, *progress, options);
    });
    ASSERT_EQ(child.Wait(), -SIGKILL);
    if (std::filesystem::exists(path)) {
      SharedValue<Progress> of_copy;
      of_copy->acknowledged = progress->acknowledged.load();
      const std::string copy =
          testing::CopyAfterPowerLoss(path, dir.File("copy.eve"));
      ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(copy, Quiet()));
      ExpectUsableAndClean(copy, domain, *of_copy);
    }
    Effort effort;
    ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
    effort.Opened();
    ExpectUsableAndClean(path, domain, *progress);
    effort.ExpectLittleMoreThan(calm);
    ASSERT_OK(domain.Close());
    if (HasFailure()) return;
  }
}

TEST(KillPointsTest, DeathAtEveryStepBesideASurvivor) {
  TempDir dir;
  const std::string path = dir.File("d.eve");
  SharedValue<Progress> progress;
  const uint64_t steps =
      CountSteps([&] { return RunScenario(path, *progress); }, *progress);
  ASSERT_OK_AND_ASSIGN(Domain survivor, Domain::Open(path, Quiet()));
  uint64_t calm = 0;
  {
    const Effort effort;
    ExpectUsableAndClean(path, survivor, *progress);
    calm = effort.steps();
  }
  uint64_t segments = 0;
  for (uint64_t kill_at = 1; kill_at <= steps; ++kill_at) {
    SCOPED_TRACE("killed at step " + std::to_string(kill_at));
    ChildProcess child([&] {
      SignalSelfAt(kill_at, SIGKILL);
      return RunScenario(path, *progress);
    });
    const int ended = child.Wait();
    ASSERT_TRUE(ended == -SIGKILL || ended == 0) << ended;
    const Effort effort;
    ExpectUsableAndClean(path, survivor, *progress);
    effort.ExpectLittleMoreThan(calm);
    if (HasFailure()) return;
    ASSERT_OK_AND_ASSIGN(const DomainStats stats, survivor.Stats());
    if (kill_at == steps / 2) segments = stats.segments;
    // The content is the same in every round, so the file must not grow
    // without bound: what the dead had claimed is used again.
    if (segments != 0) {
      EXPECT_LE(stats.segments, segments + 8);
    }
  }
}

// With a background thread the steps come in another order every time, so the
// one to die at is drawn. Every other round somebody else is attached.
TEST(KillPointsTest, DeathAtARandomStepWithABackgroundThread) {
  DomainOptions busy;
  busy.durability = Durability::kCheckpoint;
  busy.checkpoint_every = absl::Milliseconds(1);
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const uint64_t kill_at = 1 + Random(seed).Uniform(500);
    SCOPED_TRACE("seed " + std::to_string(seed) + ", killed at step " +
                 std::to_string(kill_at));
    TempDir dir;
    const std::string path = dir.File("d.eve");
    SharedValue<Progress> progress;
    Domain domain;
    if (seed % 2 == 0) {
      ASSERT_OK_AND_ASSIGN(domain, Domain::Open(path, Quiet()));
    }
    ChildProcess child([&] {
      SignalSelfAt(kill_at, SIGKILL);
      return RunScenario(path, *progress, busy);
    });
    const int ended = child.Wait();
    ASSERT_TRUE(ended == -SIGKILL || ended == 0) << ended;
    // This may wait until the kernel has done with the ring of the dead.
    if (!domain.is_open()) {
      ASSERT_OK_AND_ASSIGN(domain, Domain::Open(path, Quiet()));
    }
    const uint64_t waits = testing::TimedWaits();
    ExpectUsableAndClean(path, domain, *progress);
    EXPECT_EQ(testing::TimedWaits(), waits) << "it has waited";
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace eve
