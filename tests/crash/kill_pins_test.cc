// A process that dies while it takes a slot, gets more cells, or drops pins
// leaves nothing that anybody honours: not while its slot is free, not when
// somebody else has it, and not in the region that is made anew (P7, I3, I4).
//
// Method: a child takes and drops snapshots, and dies at an early, a middle
// or a late passing of a step; alone, or beside a survivor, who does not wait
// for it. Each death is in a domain of its own: cells that a slot once had stay
// with it.

#include <signal.h>

#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/timed_waits.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::ChildProcess;
using testing::Quiet;
using testing::SharedValue;
using testing::SignalSelfAt;
using testing::TempDir;
using Numbers = Map<std::string, int64_t>;

constexpr int64_t kCommits = 150;  // each is held: cells for more than a page
constexpr const char* kSteps[] = {"process.locked",  "process.generation",
                                  "process.swept",   "process.counted",
                                  "cells.cleared",   "cells.counted",
                                  "cells.set_aside", "pin.dropped"};

// Holds a snapshot of each of its commits, drops half of them, collects.
int HoldAndDrop(const std::string& path, std::atomic<int64_t>& acknowledged) {
  absl::StatusOr<Domain> domain = Domain::Open(path, Quiet());
  if (!domain.ok()) return 1;
  const absl::StatusOr<Numbers> map = domain->Collection<Numbers>("n");
  if (!map.ok()) return 2;
  std::vector<Snapshot> held;
  for (int64_t n = 1; n <= kCommits; ++n) {
    if (!map->Put("n", n).ok()) return 3;
    acknowledged = n;
    absl::StatusOr<Snapshot> now = domain->Now();
    if (!now.ok()) return 4;
    held.push_back(*std::move(now));
  }
  held.erase(held.begin(), held.begin() + kCommits / 2);
  return domain->Reclaim().ok() ? 0 : 5;
}

// How often each step is passed.
std::map<std::string, uint64_t> CountSteps() {
  std::map<std::string, uint64_t> counts;
  for (const char* step : kSteps) {
    const TempDir dir;
    SharedValue<std::atomic<int64_t>> acknowledged;
    SharedValue<std::atomic<uint64_t>> count;
    ChildProcess child([&] {
      SetStepHook([&](std::string_view passed) { *count += passed == step; });
      return HoldAndDrop(dir.File("d.eve"), *acknowledged);
    });
    EXPECT_EQ(child.Wait(), 0);
    EXPECT_GT(*count, 0u) << step;
    counts[step] = *count;
  }
  return counts;
}

void ExpectPins(Domain& domain, uint64_t pins, uint64_t processes) {
  ASSERT_OK_AND_ASSIGN(const DomainStats stats, domain.Stats());
  EXPECT_EQ(stats.pins, pins);
  EXPECT_EQ(stats.processes, processes);
  EXPECT_LE(stats.segments_claimed, 4u * processes);
}

// Of what the dead one has left; `domain` is the only one that is attached.
void ExpectNothingLeft(const std::string& path, Domain& domain,
                       int64_t acknowledged) {
  ASSERT_OK_AND_ASSIGN(const Numbers map, domain.Collection<Numbers>("n"));
  const int64_t found = map.Get("n").value_or(0);
  EXPECT_TRUE(found == acknowledged || found == acknowledged + 1) << found;
  ASSERT_OK(domain.Reclaim());
  ASSERT_NO_FATAL_FAILURE(ExpectPins(domain, 0, 1));
  // More of them than there were: each is seen, and no other.
  std::vector<Snapshot> held;
  for (int64_t i = 0; i < 2 * kCommits; ++i) {
    ASSERT_OK_AND_ASSIGN(Snapshot now, domain.Now());
    held.push_back(std::move(now));
    ASSERT_OK(map.Put("n", found + i));
  }
  ASSERT_OK(domain.Reclaim());
  ASSERT_NO_FATAL_FAILURE(ExpectPins(domain, held.size(), 1));
  held.clear();
  ASSERT_NO_FATAL_FAILURE(ExpectPins(domain, 0, 1));
  testing::ExpectCleanCheck(path, domain);
}

// In the slot of the dead, with no pin of its own: a stopped one that is alive.
void ExpectNoPinsOfTheHeir(const std::string& path, Domain& survivor) {
  ChildProcess heir([&] {
    const absl::StatusOr<Domain> domain = Domain::Open(path, Quiet());
    if (!domain.ok()) return 1;
    ::raise(SIGSTOP);
    return 0;
  });
  heir.AwaitStopped();
  ExpectPins(survivor, 0, 2);
  heir.Signal(SIGCONT);
  EXPECT_EQ(heir.Wait(), 0);
}

void DieAt(const char* step, uint64_t nth, bool has_survivor) {
  SCOPED_TRACE(absl::StrCat("at ", step, " ", nth,
                            has_survivor ? " beside a survivor" : " alone"));
  const TempDir dir;
  const std::string path = dir.File("d.eve");
  Domain domain;
  if (has_survivor) {
    ASSERT_OK_AND_ASSIGN(domain, Domain::Open(path, Quiet()));
  }
  SharedValue<std::atomic<int64_t>> acknowledged;
  ChildProcess child([&] {
    SignalSelfAt(nth, SIGKILL, step);
    return HoldAndDrop(path, *acknowledged);
  });
  ASSERT_EQ(child.Wait(), -SIGKILL);
  if (has_survivor) {
    const uint64_t waits = testing::TimedWaits();
    ASSERT_NO_FATAL_FAILURE(ExpectNoPinsOfTheHeir(path, domain));
    ASSERT_NO_FATAL_FAILURE(ExpectNothingLeft(path, domain, *acknowledged));
    EXPECT_EQ(testing::TimedWaits(), waits) << "it has waited";
  } else {
    ASSERT_OK_AND_ASSIGN(domain, Domain::Open(path, Quiet()));
    ASSERT_NO_FATAL_FAILURE(ExpectNothingLeft(path, domain, *acknowledged));
  }
}

TEST(KillPinsTest, DeathsLeaveNoPin) {
  if (!kFailpointsEnabled) GTEST_SKIP() << "needs steps";
  for (const auto& [step, count] : CountSteps()) {
    for (const uint64_t nth :
         std::set<uint64_t>{1, (count + 1) / 2, count - count / 10}) {
      for (const bool has_survivor : {false, true}) {
        ASSERT_NO_FATAL_FAILURE(DieAt(step.c_str(), nth, has_survivor));
        if (HasFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace eve
