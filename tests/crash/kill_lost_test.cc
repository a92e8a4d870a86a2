// A process that dies after it has lost a race harms nobody, whatever it was
// about to do with what it had built: stamp it again, link it into the winner's
// structure, put its puts anew, or run its closure again (P3, P9, I21).
//
// Method: a child stops just before its compare-and-swap, the test commits, and
// the child goes on, loses, and kills itself at the n-th step from there; for
// all n until it gets through. Alone a process has nobody to lose against, so
// kill_points_test does not come by these steps.

#include <signal.h>

#include <atomic>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/timed_waits.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::Quiet;
using testing::SharedValue;
using testing::TempDir;
using Numbers = Map<std::string, int64_t>;
using Sorted = OrderedMap<std::string, int64_t>;

// Of many leaves, so that two puts meet in none of them.
constexpr int kKeys = 2000;
std::string Key(int i) { return absl::StrCat("key", 10'000 + i); }

// What the other commits while the child is stopped, and what that makes the
// child do.
struct Race {
  const char* name;
  const char* rival_collection;
  int rival_key;
  bool reads;
  bool trees_only;   // where keys lie in a trie is another thing each time
  const char* step;  // that the child must come by; "": who knows
};

class KillLostTest : public ::testing::TestWithParam<Race> {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    for (const char* name : {"n", "elsewhere"}) {
      ASSERT_OK_AND_ASSIGN(Numbers map, domain_.Collection<Numbers>(name));
      ASSERT_OK_AND_ASSIGN(Sorted sorted,
                           domain_.Collection<Sorted>(Tree(name)));
      ASSERT_OK(domain_.Swap([&](Transaction& txn) {
        absl::Status put;
        for (int i = 0; i < kKeys && put.ok(); ++i) {
          put = map.In(txn).Put(Key(i), 0);
          if (put.ok()) put = sorted.In(txn).Put(Key(i), 0);
        }
        return put;
      }));
    }
  }
  static std::string Tree(const std::string& name) { return name + ".tree"; }

  // One key of a map and of a tree.
  static absl::Status Put(Domain& domain, const std::string& name, int key,
                          int64_t value, const Race& race) {
    absl::StatusOr<Numbers> map = domain.Collection<Numbers>(name);
    if (!map.ok()) return map.status();
    absl::StatusOr<Sorted> sorted = domain.Collection<Sorted>(Tree(name));
    if (!sorted.ok()) return sorted.status();
    return domain
        .Swap([&](Transaction& txn) {
          auto writer = sorted->In(txn);
          if (race.reads) static_cast<void>(writer.Find(Key(key)));
          absl::Status put = writer.Put(Key(key), value);
          if (!put.ok() || race.trees_only) return put;
          return map->In(txn).Put(Key(key), value);
        })
        .status();
  }
  int64_t ValueOf(const char* name, int key) {
    const Numbers map = domain_.Collection<Numbers>(name).value();
    const Sorted sorted = domain_.Collection<Sorted>(Tree(name)).value();
    const Snapshot now = domain_.Now().value();
    const int64_t value = sorted.At(now).Find(Key(key)).value();
    if (!GetParam().trees_only) {
      EXPECT_EQ(map.At(now).Find(Key(key)).value(), value) << "a torn commit";
    }
    return value;
  }

  // For a child: loses once, then dies at the n-th step from there. Whether it
  // came by `step` is said in `has_come`.
  int LoseAndDie(uint64_t nth, int64_t value, std::atomic<bool>& has_come) {
    auto other = Domain::Open(path_, Quiet());
    if (!other.ok()) return 1;
    bool has_stopped = false;
    bool has_lost = false;
    uint64_t passed = 0;
    SetStepHook([&](std::string_view step) {
      if (!has_stopped && step == "commit.before_cas") {
        has_stopped = true;
        ::raise(SIGSTOP);
        return;
      }
      has_lost = has_lost || step == "commit.lost";
      if (!has_lost) return;
      const std::string_view wanted = GetParam().step;
      if (wanted.empty() || step == wanted) has_come = true;
      if (++passed == nth) ::kill(::getpid(), SIGKILL);
    });
    const absl::Status done = Put(*other, "n", kChildsKey, value, GetParam());
    ClearStepHook();
    return done.ok() ? 0 : 2;
  }

  static Race Rival() {
    Race race = GetParam();
    race.reads = false;
    return race;
  }

  static constexpr int kChildsKey = 100;

  TempDir dir_;
  const std::string path_ = dir_.File("d.eve");
  Domain domain_;
};

TEST_P(KillLostTest, DeathAtEveryStepAfterIt) {
  SharedValue<std::atomic<bool>> has_come;
  bool has_got_through = false;
  int64_t round = 0;
  uint64_t segments = 0;
  while (!has_got_through) {
    ++round;
    ASSERT_LT(round, 200);
    SCOPED_TRACE(absl::StrCat("killed at step ", round, " after the loss"));
    const int64_t before = ValueOf("n", kChildsKey);
    ChildProcess child([&] {
      return LoseAndDie(static_cast<uint64_t>(round), round, *has_come);
    });
    child.AwaitStopped();
    const uint64_t waits = testing::TimedWaits();
    ASSERT_OK(Put(domain_, GetParam().rival_collection, GetParam().rival_key,
                  round, Rival()));
    child.Signal(SIGCONT);
    const int ended = child.Wait();
    ASSERT_TRUE(ended == -SIGKILL || ended == 0) << ended;
    has_got_through = ended == 0;
    // Published whole or not at all; the rival's is there in any case.
    const int64_t after = ValueOf("n", kChildsKey);
    EXPECT_TRUE(after == round || (after == before && !has_got_through))
        << after;
    if (GetParam().rival_key != kChildsKey) {
      EXPECT_EQ(ValueOf(GetParam().rival_collection, GetParam().rival_key),
                round);
    }
    ASSERT_OK(domain_.Reclaim());
    ASSERT_OK(Put(domain_, "n", kChildsKey + 1, round, GetParam()));
    EXPECT_EQ(testing::TimedWaits(), waits) << "the survivor has waited";
    ASSERT_OK_AND_ASSIGN(const DomainStats stats, domain_.Stats());
    EXPECT_EQ(stats.pins, 0u);
    EXPECT_EQ(stats.processes, 1u);
    EXPECT_LE(stats.segments_claimed, 4u) << "a claim of the dead is left";
    if (round == 1) segments = stats.segments;
    EXPECT_LE(stats.segments, segments + 4) << "space of the dead is lost";
    testing::ExpectCleanCheck(path_, domain_);
    if (HasFailure()) return;
  }
  EXPECT_TRUE(has_come->load()) << "the race was about something else";
  EXPECT_GT(round, 5) << "a commit has so many steps";
}

INSTANTIATE_TEST_SUITE_P(
    All, KillLostTest,
    ::testing::Values(
        Race{"Restamped", "elsewhere", 900, false, false, "commit.lost"},
        Race{"Rebased", "n", 1900, false, true, "commit.rebased"},
        Race{"RebasedOrReplayed", "n", 1900, false, false, ""},
        Race{"Replayed", "n", 100, false, false, "commit.replayed"},
        Race{"RunAgain", "n", 100, true, false, "commit.lost"}),
    [](const ::testing::TestParamInfo<Race>& info) { return info.param.name; });

}  // namespace
}  // namespace eve
