// A process that dies, or is stopped, at any step of emptying segments: of
// claiming victims, moving what lives in them, settling, folding, freeing and
// punching (I5, I8, I13, P5, P11).
//
// Method: as kill_points_test. Each round of the scenario is one commit that
// also writes its number; what the maps hold follows from that number. Between
// rounds the domain is compacted, with a slice of moves riding along in the
// commits as well. Of the many steps a sample is taken, with the first and the
// last of each name.

#include <signal.h>

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

using testing::ChildProcess;
using testing::ExitCode;
using testing::SharedValue;
using testing::SignalSelfAt;
using testing::TempDir;
using Hashed = Map<std::string, std::string>;
using Sorted = OrderedMap<std::string, std::string>;
using Numbers = Map<std::string, int64_t>;
using Model = std::map<std::string, std::string>;

constexpr int64_t kRounds = 6;
constexpr int kKeys = 3000;
constexpr uint64_t kSampled = 60;

struct Progress {
  std::atomic<int64_t> acknowledged{0};  // rounds whose commit returned OK
};

using testing::Quiet;

struct Maps {
  Numbers state;
  Hashed hashed;
  Sorted sorted;
};

absl::StatusOr<Maps> OpenAll(Domain& domain) {
  EVE_ASSIGN_OR_RETURN(Numbers state, domain.Collection<Numbers>("state"));
  EVE_ASSIGN_OR_RETURN(Hashed hashed, domain.Collection<Hashed>("hashed"));
  EVE_ASSIGN_OR_RETURN(Sorted sorted, domain.Collection<Sorted>("sorted"));
  return Maps{state, hashed, sorted};
}

bool IsTouched(int key, int64_t round) {
  return round == 1 || (key * 7 + round * 13) % 5 < 2;
}
// Every fiftieth has a block of its own, the first a segment, which it keeps.
std::string ValueOf(int key, int64_t round) {
  const size_t bytes = key == 0 ? 600'000 : key % 50 == 0 ? 5000 : 200;
  return std::to_string(round) + std::string(bytes, 'a' + key % 26);
}

absl::Status WriteRound(Domain& domain, const Maps& maps, int64_t round) {
  absl::StatusOr<Commit> done =
      domain.Swap([&](Transaction& txn) -> absl::Status {
        auto hashed = maps.hashed.In(txn);
        auto sorted = maps.sorted.In(txn);
        for (int key = 0; key < kKeys; ++key) {
          if (!IsTouched(key, round)) continue;
          const std::string name = std::to_string(key);
          EVE_RETURN_IF_ERROR(hashed.Put(name, ValueOf(key, round)));
          EVE_RETURN_IF_ERROR(sorted.Put(name, ValueOf(key, round)));
        }
        return maps.state.In(txn).Put("round", round);
      });
  return done.status();
}

Model ContentOf(int64_t rounds) {
  Model model;
  for (int64_t round = 1; round <= rounds; ++round) {
    for (int key = 0; key < kKeys; ++key) {
      if (!IsTouched(key, round)) continue;
      model[std::to_string(key)] = ValueOf(key, round);
    }
  }
  return model;
}

template <class Reader>
bool Holds(const Reader& reader, const Model& model) {
  if (reader.size() != model.size()) return false;
  for (const auto& [key, value] : model) {
    const auto found = reader.Find(key);
    if (!found.has_value() || *found != Bytes(value)) return false;
  }
  return true;
}

// Goes on where a former process died.
absl::Status RunScenario(const std::string& path, Progress& progress) {
  EVE_ASSIGN_OR_RETURN(Domain domain, Domain::Open(path, Quiet()));
  EVE_ASSIGN_OR_RETURN(const Maps maps, OpenAll(domain));
  EVE_RETURN_IF_ERROR(WriteRound(domain, maps, 1));
  progress.acknowledged = 1;
  EVE_ASSIGN_OR_RETURN(Snapshot held, domain.Now());
  for (int64_t round = 2; round <= kRounds; ++round) {
    EVE_RETURN_IF_ERROR(WriteRound(domain, maps, round));
    progress.acknowledged = round;
    if (round % 2 == 0) EVE_RETURN_IF_ERROR(domain.Compact());
    if (round == 4) {
      if (!Holds(maps.hashed.At(held), ContentOf(1)) ||
          !Holds(maps.sorted.At(held), ContentOf(1))) {
        return absl::DataLossError("the snapshot has changed");
      }
      EVE_ASSIGN_OR_RETURN(held, domain.Now());
    }
  }
  if (!Holds(maps.hashed.At(held), ContentOf(4)) ||
      !Holds(maps.sorted.At(held), ContentOf(4))) {
    return absl::DataLossError("the second snapshot has changed");
  }
  return absl::OkStatus();
}

// What a survivor or a later opener finds; then it compacts, too.
void ExpectWholeAndClean(const std::string& path, Domain& domain,
                         const Progress& progress) {
  const uint64_t waits = testing::TimedWaits();
  ASSERT_OK_AND_ASSIGN(const Maps maps, OpenAll(domain));
  {
    ASSERT_OK_AND_ASSIGN(const Snapshot now, domain.Now());
    const int64_t round = maps.state.At(now).Find("round").value_or(0);
    // The death may have come between the commit and its acknowledgement, or in
    // the first round of a run over an older content.
    if (progress.acknowledged > 0) {
      EXPECT_GE(round, progress.acknowledged)
          << "an acknowledged commit is lost";
      EXPECT_LE(round, progress.acknowledged + 1);
    }
    if (round > 0 && progress.acknowledged > 0) {
      EXPECT_TRUE(Holds(maps.hashed.At(now), ContentOf(round)));
      EXPECT_TRUE(Holds(maps.sorted.At(now), ContentOf(round)));
    }
    EXPECT_OK(now.status());
  }
  ASSERT_OK(domain.Compact());
  ASSERT_OK_AND_ASSIGN(const DomainStats stats, domain.Stats());
  EXPECT_EQ(stats.segments_claimed, 0u) << "a claim of the dead is a leak";
  testing::ExpectCleanCheck(path, domain);
  EXPECT_EQ(testing::TimedWaits(), waits) << "it has waited";
}

// A scenario that empties nothing would prove nothing.
std::set<uint64_t> ChooseStepsElsewhere() {
  TempDir dir;
  SharedValue<Progress> progress;
  return testing::ChooseSteps(
      kSampled, [&] { return RunScenario(dir.File("d.eve"), *progress); },
      {"evacuate.claimed", "evacuate.large_kept", "evacuate.settled",
       "evacuate.released", "fold.after_cas"});
}

const testing::Deaths<Progress> kDeaths{RunScenario, ExpectWholeAndClean};

TEST(KillCompactTest, DeathWithNobodyElseAttached) {
  kDeaths.DieAlone(ChooseStepsElsewhere());
}

TEST(KillCompactTest, DeathBesideASurvivor) {
  for (const uint64_t kill_at : ChooseStepsElsewhere()) {
    SCOPED_TRACE("killed at step " + std::to_string(kill_at));
    TempDir dir;
    const std::string path = dir.File("d.eve");
    SharedValue<Progress> progress;
    ASSERT_OK_AND_ASSIGN(Domain survivor, Domain::Open(path, Quiet()));
    ASSERT_NO_FATAL_FAILURE(kDeaths.DieAt(kill_at, path, *progress));
    ExpectWholeAndClean(path, survivor, *progress);
    if (HasFailure()) return;
  }
}

// A process that is stopped anywhere holds nobody up; when it goes on, what it
// had in hand is applied or thrown away, and its snapshots read as before.
TEST(KillCompactTest, StopBesideOneThatCompactsOn) {
  for (const uint64_t stop_at : ChooseStepsElsewhere()) {
    SCOPED_TRACE("stopped at step " + std::to_string(stop_at));
    TempDir dir;
    const std::string path = dir.File("d.eve");
    SharedValue<Progress> progress;
    ASSERT_OK_AND_ASSIGN(Domain other, Domain::Open(path, Quiet()));
    ASSERT_OK_AND_ASSIGN(Sorted own, other.Collection<Sorted>("own"));
    ChildProcess child([&] {
      SignalSelfAt(stop_at, SIGSTOP);
      return ExitCode(RunScenario(path, *progress));
    });
    siginfo_t info{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child.pid()), &info,
                       WEXITED | WSTOPPED | WNOWAIT),
              0);
    if (info.si_code == CLD_STOPPED) {
      child.AwaitStopped();
      for (int i = 0; i < 400; ++i) {
        ASSERT_OK(own.Put(std::to_string(i % 40), std::string(4000, 'o')));
      }
      // Stopped at a slot of a checkpoint, at a fold: nobody waits for that.
      ASSERT_OK(other.Compact());
      ASSERT_OK(other.Reclaim());
      child.Signal(SIGCONT);
    }
    ASSERT_EQ(child.Wait(), 0);
    ASSERT_EQ(progress->acknowledged, kRounds);
    ExpectWholeAndClean(path, other, *progress);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace eve
