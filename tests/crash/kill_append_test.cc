// A process that dies at a sample of the steps of what only ordered maps have:
// runs of sorted records that go to packed leaves, and ranges that are erased
// by whole subtrees, under a held snapshot (I6, I7, P14).
//
// Method: as kill_runs_test. Each stage is one commit that also writes its
// number, and what the map holds follows from that.

#include <atomic>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/crash/step_sample.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/status_macros.h"

namespace eve {
namespace {

using testing::Quiet;
using testing::SharedValue;
using testing::TempDir;
using Sorted = OrderedMap<int64_t, std::string>;
using Numbers = Map<std::string, int64_t>;

// Some segments full.
constexpr int64_t kFirstRun = 30'000;
constexpr int64_t kSecondRun = 45'000;
constexpr int64_t kLastStage = 5;
constexpr uint64_t kSampled = 60;

struct Progress {
  std::atomic<int64_t> acknowledged{0};  // stages whose commit returned OK
};

struct Maps {
  Numbers state;
  Sorted sorted;
};

absl::StatusOr<Maps> OpenAll(Domain& domain) {
  EVE_ASSIGN_OR_RETURN(Numbers state, domain.Collection<Numbers>("state"));
  EVE_ASSIGN_OR_RETURN(Sorted sorted, domain.Collection<Sorted>("sorted"));
  return Maps{state, sorted};
}

// Every thousandth has a block of its own.
std::string ValueOf(int64_t key) {
  return absl::StrCat(key, std::string(key % 1000 == 0 ? 5000 : 150, 'v'));
}

absl::Status Append(Sorted::Writer sorted, int64_t from, int64_t to) {
  for (int64_t key = from; key < to; ++key) {
    EVE_RETURN_IF_ERROR(sorted.Append(key, ValueOf(key)));
  }
  return absl::OkStatus();
}

absl::Status RunStage(Transaction& txn, const Maps& maps, int64_t stage) {
  auto sorted = maps.sorted.In(txn);
  switch (stage) {
    case 1:  // whatever an earlier round has left
      EVE_RETURN_IF_ERROR(sorted.Clear());
      return Append(sorted, 0, kFirstRun);
    case 2:
      return sorted.EraseRange(kFirstRun / 4, kFirstRun / 2).status();
    case 3: {
      EVE_ASSIGN_OR_RETURN(const Savepoint before, txn.Savepoint());
      EVE_RETURN_IF_ERROR(Append(sorted, kFirstRun + 7, kSecondRun));
      EVE_RETURN_IF_ERROR(txn.RollBackTo(before));
      return Append(sorted, kFirstRun, kSecondRun);
    }
    case 4:
      return sorted.EraseRange(0, kFirstRun).status();
    default:
      return Append(sorted, kSecondRun, kSecondRun + 100);
  }
}

bool IsThere(int64_t key, int64_t stage) {
  const bool is_erased =
      stage >= 4 ? key < kFirstRun
                 : stage >= 2 && key >= kFirstRun / 4 && key < kFirstRun / 2;
  const int64_t end = stage >= 5   ? kSecondRun + 100
                      : stage >= 3 ? kSecondRun
                                   : kFirstRun;
  return stage >= 1 && key < end && !is_erased;
}

// In order, and counted by the nodes alike.
bool Holds(const Sorted::Reader& sorted, int64_t stage) {
  uint64_t count = 0;
  auto it = sorted.begin();
  for (int64_t key = 0; key < kSecondRun + 100; ++key) {
    if (!IsThere(key, stage)) continue;
    if (it == sorted.end()) return false;
    const auto entry = *it;
    if (entry.key != key || entry.value != Bytes(ValueOf(key))) return false;
    ++it;
    ++count;
  }
  return it == sorted.end() && sorted.size() == count &&
         sorted.Count(0, kSecondRun + 100).value_or(0) == count;
}

absl::Status CommitStage(Domain& domain, const Maps& maps, int64_t stage,
                         Progress& progress) {
  const absl::StatusOr<Commit> done =
      domain.Swap([&](Transaction& txn) -> absl::Status {
        EVE_RETURN_IF_ERROR(RunStage(txn, maps, stage));
        return maps.state.In(txn).Put("stage", stage);
      });
  if (done.ok()) progress.acknowledged = stage;
  return done.status();
}

absl::Status RunScenario(const std::string& path, Progress& progress) {
  progress.acknowledged = 0;
  EVE_ASSIGN_OR_RETURN(Domain domain, Domain::Open(path, Quiet()));
  EVE_ASSIGN_OR_RETURN(const Maps maps, OpenAll(domain));
  EVE_RETURN_IF_ERROR(CommitStage(domain, maps, 1, progress));
  absl::StatusOr<Snapshot> held = domain.Now();
  EVE_RETURN_IF_ERROR(held.status());
  for (int64_t stage = 2; stage <= kLastStage; ++stage) {
    EVE_RETURN_IF_ERROR(CommitStage(domain, maps, stage, progress));
    if (stage == 3) EVE_RETURN_IF_ERROR(domain.Sync());
    EVE_RETURN_IF_ERROR(domain.Reclaim());
  }
  if (!Holds(maps.sorted.At(*held), 1)) {
    return absl::DataLossError("the snapshot has changed");
  }
  held = absl::CancelledError();  // lets go
  return domain.Reclaim();
}

// What a survivor or a later opener finds, and that it can go on.
void ExpectWholeAndClean(const std::string& path, Domain& domain,
                         const Progress& progress) {
  ASSERT_OK_AND_ASSIGN(const Maps maps, OpenAll(domain));
  {
    ASSERT_OK_AND_ASSIGN(const Snapshot now, domain.Now());
    const int64_t stage = maps.state.At(now).Find("stage").value_or(0);
    // A death before the first commit leaves what an earlier round had.
    if (progress.acknowledged > 0) {
      EXPECT_GE(stage, progress.acknowledged) << "a commit is lost";
      EXPECT_LE(stage, progress.acknowledged + 1);
    }
    EXPECT_TRUE(Holds(maps.sorted.At(now), stage)) << "stage " << stage;
    EXPECT_OK(now.status());
  }
  ASSERT_OK(domain.Reclaim());
  ASSERT_OK_AND_ASSIGN(const DomainStats stats, domain.Stats());
  // Only this process is left: a claim of a dead one would be a leak.
  EXPECT_LE(stats.segments_claimed, 4u);
  testing::ExpectCleanCheck(path, domain);
}

std::set<uint64_t> ChooseStepsElsewhere() {
  TempDir dir;
  SharedValue<Progress> progress;
  return testing::ChooseSteps(
      kSampled, [&] { return RunScenario(dir.File("d.eve"), *progress); },
      {"segment.claimed", "commit.after_cas", "fold.after_cas"});
}

const testing::Deaths<Progress> kDeaths{RunScenario, ExpectWholeAndClean};

TEST(KillAppendTest, DeathWithNobodyElseAttached) {
  kDeaths.DieAlone(ChooseStepsElsewhere());
}

TEST(KillAppendTest, DeathBesideASurvivor) {
  kDeaths.DieBesideASurvivor(ChooseStepsElsewhere());
}

}  // namespace
}  // namespace eve
