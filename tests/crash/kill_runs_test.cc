// A process that dies at any step of what moves whole segments: values that
// take a run of them, clears, drops, graveyards retired in slices, savepoints
// rolled back, all under a held snapshot (I7, P5, P7, P13, P14).
//
// Method: as kill_points_test. Each stage of the scenario is one commit that
// also writes its number, so that the number tells the whole content. Of the
// many steps a sample is taken, with the first and the last of each name.

#include <atomic>
#include <map>
#include <set>
#include <string>

#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/crash/step_sample.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/timed_waits.h"
#include "util/status_macros.h"

namespace eve {
namespace {

using testing::SharedValue;
using testing::TempDir;
using Strings = Map<std::string, std::string>;
using Numbers = Map<std::string, int64_t>;

constexpr int64_t kLastStage = 7;
// With the values in blocks of their own this is more than one slice.
constexpr int kManyKeys = 5000;
constexpr int kFewKeys = 100;
constexpr uint64_t kSampled = 120;

struct Progress {
  std::atomic<int64_t> acknowledged{0};  // commits that returned OK
};

using testing::Quiet;

std::string Run(char fill) { return std::string(3 << 20, fill); }

struct Maps {
  Numbers state;
  Strings runs;
  Strings scratch;
};

absl::StatusOr<Maps> OpenAll(Domain& domain) {
  EVE_ASSIGN_OR_RETURN(Numbers state, domain.Collection<Numbers>("state"));
  EVE_ASSIGN_OR_RETURN(Strings runs, domain.Collection<Strings>("runs"));
  EVE_ASSIGN_OR_RETURN(Strings scratch, domain.Collection<Strings>("scratch"));
  return Maps{state, runs, scratch};
}

absl::Status Refill(Strings::Writer scratch, int keys) {
  EVE_RETURN_IF_ERROR(scratch.Clear());
  for (int i = 0; i < keys; ++i) {
    EVE_RETURN_IF_ERROR(scratch.Put(std::to_string(i), std::string(300, 's')));
  }
  return scratch.Put("run", Run('s'));
}

absl::Status RunStage(Transaction& txn, const Maps& maps, int64_t stage) {
  auto runs = maps.runs.In(txn);
  switch (stage) {
    case 1:  // whatever an earlier round has left
      EVE_RETURN_IF_ERROR(runs.Clear());
      EVE_RETURN_IF_ERROR(runs.Put("k", Run('a')));
      return runs.Put("erased", Run('e'));
    case 2:
      return runs.Put("k", Run('b'));
    case 3:
      return runs.Erase("erased").status();
    case 4: {
      EVE_ASSIGN_OR_RETURN(const Savepoint before, txn.Savepoint());
      EVE_RETURN_IF_ERROR(runs.Put("k", Run('x')));
      EVE_RETURN_IF_ERROR(runs.Clear());
      EVE_RETURN_IF_ERROR(runs.Put("undone", Run('x')));
      EVE_RETURN_IF_ERROR(txn.RollBackTo(before));
      return runs.Put("small", "v");
    }
    case 5:
      return Refill(maps.scratch.In(txn), kManyKeys);
    case 6:
      return maps.scratch.In(txn).Clear();
    default:
      return Refill(maps.scratch.In(txn), kFewKeys);
  }
}

absl::Status CommitStage(Domain& domain, const Maps& maps, int64_t stage,
                         Progress& progress) {
  const int64_t n = progress.acknowledged + 1;
  absl::StatusOr<Commit> done =
      domain.Swap([&](Transaction& txn) -> absl::Status {
        EVE_RETURN_IF_ERROR(RunStage(txn, maps, stage));
        EVE_RETURN_IF_ERROR(maps.state.In(txn).Put("n", n));
        return maps.state.In(txn).Put("stage", stage);
      });
  if (done.ok()) progress.acknowledged = n;
  return done.status();
}

absl::Status RunScenario(const std::string& path, Progress& progress) {
  EVE_ASSIGN_OR_RETURN(Domain domain, Domain::Open(path, Quiet()));
  absl::StatusOr<Maps> maps = OpenAll(domain);
  EVE_RETURN_IF_ERROR(maps.status());
  EVE_RETURN_IF_ERROR(CommitStage(domain, *maps, 1, progress));
  absl::StatusOr<Snapshot> held = domain.Now();
  EVE_RETURN_IF_ERROR(held.status());
  for (int64_t stage = 2; stage <= kLastStage; ++stage) {
    EVE_RETURN_IF_ERROR(CommitStage(domain, *maps, stage, progress));
    if (stage == 4) EVE_RETURN_IF_ERROR(domain.Sync());
    if (stage != 3) EVE_RETURN_IF_ERROR(domain.Reclaim());
  }
  EVE_RETURN_IF_ERROR(domain.Drop("scratch"));
  const auto found = maps->runs.At(*held).Find("k");
  if (!found.has_value() || *found != Bytes(Run('a'))) {
    return absl::DataLossError("the snapshot has changed");
  }
  held = absl::CancelledError();  // lets go
  EVE_RETURN_IF_ERROR(domain.Reclaim());
  maps = absl::CancelledError();
  return domain.Close();
}

void ExpectRuns(const Strings::Reader& runs, int64_t stage) {
  std::map<std::string, std::string> expected;
  if (stage >= 1) expected["k"] = Run(stage == 1 ? 'a' : 'b');
  if (stage == 1 || stage == 2) expected["erased"] = Run('e');
  if (stage >= 4) expected["small"] = "v";
  EXPECT_EQ(runs.size(), expected.size());
  for (const auto& [key, value] : expected) {
    const auto found = runs.Find(key);
    EXPECT_TRUE(found.has_value() && *found == Bytes(value)) << key;
  }
}

void ExpectScratch(const Strings::Reader& scratch, int64_t stage) {
  const auto holds = [&](int keys) {
    bool same = scratch.size() == static_cast<uint64_t>(keys) + 1;
    for (int i = 0; same && i < keys; ++i) {
      same = scratch.Contains(std::to_string(i));
    }
    const auto run = scratch.Find("run");
    return same && run.has_value() && *run == Bytes(Run('s'));
  };
  // What comes after stage 7 is a drop, which is no stage.
  EXPECT_TRUE(stage < 5 || (stage == 5 && holds(kManyKeys)) ||
              (stage >= 6 && scratch.empty()) ||
              (stage == 7 && holds(kFewKeys)));
}

void ExpectUsableAndClean(const std::string& path, Domain& domain,
                          Progress& progress) {
  const uint64_t waits = testing::TimedWaits();
  ASSERT_OK_AND_ASSIGN(const Maps maps, OpenAll(domain));
  {
    ASSERT_OK_AND_ASSIGN(const Snapshot now, domain.Now());
    const int64_t n = maps.state.At(now).Find("n").value_or(0);
    EXPECT_GE(n, progress.acknowledged) << "an acknowledged commit is lost";
    EXPECT_LE(n, progress.acknowledged + 1);
    progress.acknowledged = n;
    const int64_t stage = maps.state.At(now).Find("stage").value_or(0);
    ExpectRuns(maps.runs.At(now), stage);
    ExpectScratch(maps.scratch.At(now), stage);
    EXPECT_OK(now.status());
  }
  ASSERT_OK(maps.runs.Put("survivor", Run('z')));
  ASSERT_OK(maps.runs.Erase("survivor"));
  ASSERT_OK(domain.Reclaim());
  ASSERT_OK_AND_ASSIGN(const DomainStats stats, domain.Stats());
  // Only this process is left: a claim of a dead one would be a leak.
  EXPECT_LE(stats.segments_claimed, 4u);
  EXPECT_EQ(stats.processes, 1u);
  testing::ExpectCleanCheck(path, domain);
  EXPECT_EQ(testing::TimedWaits(), waits) << "it has waited";
}

std::set<uint64_t> ChooseStepsElsewhere() {
  TempDir dir;
  SharedValue<Progress> progress;
  return testing::ChooseSteps(
      kSampled, [&] { return RunScenario(dir.File("d.eve"), *progress); },
      {"commit.after_cas", "fold.after_cas"});
}

const testing::Deaths<Progress> kDeaths{RunScenario, ExpectUsableAndClean};

TEST(KillRunsTest, DeathWithNobodyElseAttached) {
  kDeaths.DieAlone(ChooseStepsElsewhere());
}

TEST(KillRunsTest, DeathBesideASurvivor) {
  kDeaths.DieBesideASurvivor(ChooseStepsElsewhere());
}

}  // namespace
}  // namespace eve
