// What a writer that is stopped at a step costs another one (P20): nothing, or
// one bounded wait where the other has let it go first.
//
// Method: a child goes through a scenario and stops itself at a named step, for
// each name that the scenario comes by; the test commits single puts before
// and meanwhile, and counts its timed waits. It prints what the stop has cost,
// in commits per second and the longest of them: figures for people, of which
// only the waits are expected to be something.

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "absl/strings/str_cat.h"
#include "eve/eve.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/check_domain.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/timed_waits.h"
#include "util/clock.h"
#include "util/failpoint.h"

namespace eve {
namespace {

using testing::ChildProcess;
using ::testing::ElementsAreArray;
using testing::Quiet;
using testing::SharedValue;
using testing::TempDir;
using Strings = Map<std::string, std::string>;

absl::Status PutOne(Domain& domain, const Strings& map, const std::string& key,
                    Durability durability) {
  SwapOptions options;
  options.durability = durability;
  return domain
      .Swap([&](Transaction& txn) { return map.In(txn).Put(key, "value"); },
            options)
      .status();
}

// A child's: commits, checkpoints, folds, collects, grows the file.
absl::Status Work(Domain& domain, const Strings& map) {
  for (const Durability durability : {Durability::kNone, Durability::kSync}) {
    absl::Status put = PutOne(domain, map, "child's", durability);
    if (!put.ok()) return put;
  }
  for (const auto& call : {&Domain::Sync, &Domain::Reclaim}) {
    absl::Status done = (domain.*call)();
    if (!done.ok()) return done;
  }
  return map.Put("large", std::string(3 << 20, 'x'));
}

// A child's: loses two runs, the second of which takes 2 ms, and so has the
// turn in the third.
absl::Status LoseTwice(Domain& domain, const Strings& map) {
  int runs = 0;
  return domain
      .Swap([&](Transaction& txn) -> absl::Status {
        const uint64_t end = MonotonicNanos() + 2 * kNanosPerMilli;
        auto writer = map.In(txn);
        writer.Find("child's");  // or the put would be repeated without this
        absl::Status put = writer.Put("child's", "value");
        if (++runs > 2) return put;
        while (MonotonicNanos() < end) std::this_thread::yield();
        std::thread([&] { put.Update(map.Put("rival's", "value")); }).join();
        return put;
      })
      .status();
}

using Scenario = absl::Status (*)(Domain&, const Strings&);

struct Pace {
  double per_second = 0;
  uint64_t longest_micros = 0;
  uint64_t waits = 0;
};

class StoppedWriterTest : public ::testing::Test {
 protected:
  // A new domain, or the file would not grow again.
  void Renew() {
    domain_ = Domain();
    path_ = dir_.File(absl::StrCat("d", ++domains_, ".eve"));
    ASSERT_OK_AND_ASSIGN(domain_, Domain::Open(path_, Quiet()));
    ASSERT_OK_AND_ASSIGN(map_, domain_.Collection<Strings>("m"));
  }

  ChildProcess Start(Scenario scenario, const StepHook& hook) {
    return ChildProcess([this, scenario, hook] {
      absl::StatusOr<Domain> domain = Domain::Open(path_, Quiet());
      if (!domain.ok()) return 1;
      const absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
      if (!map.ok()) return 2;
      SetStepHook(hook);
      const absl::Status done = scenario(*domain, *map);
      ClearStepHook();
      return done.ok() ? 0 : 3;
    });
  }

  std::set<std::string> StepsOf(Scenario scenario) {
    struct Log {
      std::atomic<uint64_t> count{0};
      char names[1 << 12][40] = {};
    };
    Renew();
    SharedValue<Log> log;
    ChildProcess child = Start(scenario, [&](std::string_view step) {
      const uint64_t at = log->count.fetch_add(1);
      if (at < std::size(log->names)) step.copy(log->names[at], 39);
    });
    EXPECT_EQ(child.Wait(), 0);
    EXPECT_LE(log->count, std::size(log->names));
    std::set<std::string> names;
    for (const char* name : log->names) {
      if (*name != '\0') names.emplace(name);
    }
    return names;
  }

  Pace Commit(int count, Durability durability) {
    Pace pace;
    const uint64_t waits = testing::TimedWaits();
    const uint64_t begin = MonotonicNanos();
    uint64_t last = begin;
    for (int i = 0; i < count; ++i) {
      EXPECT_OK(PutOne(domain_, *map_, absl::StrCat(i), durability));
      const uint64_t now = MonotonicNanos();
      pace.longest_micros =
          std::max(pace.longest_micros, (now - last) / kNanosPerMicro);
      last = now;
    }
    pace.per_second = 1e9 * count / static_cast<double>(last - begin);
    pace.waits = testing::TimedWaits() - waits;
    return pace;
  }

  // Returns what another's commits have waited while one was stopped there.
  uint64_t WaitsBesideOneStoppedAt(const std::string& step, Scenario scenario,
                                   int count, Durability durability) {
    Renew();
    const Pace before = Commit(count, durability);
    EXPECT_EQ(before.waits, 0u) << "for nobody";
    const auto stop = [step, has_stopped = std::make_shared<std::atomic<bool>>(
                                 false)](std::string_view passed) {
      if (passed == step && !has_stopped->exchange(true)) ::raise(SIGSTOP);
    };
    ChildProcess child = Start(scenario, stop);
    child.AwaitStopped();
    const Pace beside = Commit(count, durability);
    const Pace after = Commit(count, durability);
    EXPECT_EQ(after.waits, 0u) << "it is waited for more than once";
    std::printf(
        "%-27s %9.0f/s %9.0f/s %9.0f/s  longest %7llu us %7llu us, "
        "%llu timed waits\n",
        step.c_str(), before.per_second, beside.per_second, after.per_second,
        static_cast<unsigned long long>(before.longest_micros),
        static_cast<unsigned long long>(beside.longest_micros),
        static_cast<unsigned long long>(beside.waits));
    std::fflush(stdout);
    child.Signal(SIGCONT);
    EXPECT_EQ(child.Wait(), 0);
    testing::ExpectCleanCheck(path_, domain_);
    return beside.waits;
  }

  TempDir dir_;
  int domains_ = 0;
  std::string path_;
  Domain domain_;
  std::optional<Strings> map_;
};

const std::set<std::string> kWithTheTurn = {"turn.taken",
                                            "turn.before_release"};
// The scenario comes by these first in its synchronous commit.
const std::set<std::string> kWithTheFlushersTicket = {
    "flusher.taken",         "checkpoint.slot_taken",  "checkpoint.durable",
    "one_flush.announced",   "one_flush.slot_written", "one_flush.flushed",
    "flusher.before_release"};

TEST_F(StoppedWriterTest, CostsAnotherNothing) {
  const std::set<std::string> steps = StepsOf(Work);
  EXPECT_GT(steps.size(), 25u);
  for (const std::string& step : steps) {
    SCOPED_TRACE(step);
    EXPECT_EQ(WaitsBesideOneStoppedAt(step, Work, 500, Durability::kNone), 0u);
    if (HasFailure()) return;
  }
}

TEST_F(StoppedWriterTest, CostsASynchronousOneAWaitIfItFlushes) {
  std::set<std::string> waited_for;
  for (const std::string& step : StepsOf(Work)) {
    SCOPED_TRACE(step);
    if (WaitsBesideOneStoppedAt(step, Work, 20, Durability::kSync) > 0) {
      waited_for.insert(step);
    }
    if (HasFailure()) return;
  }
  EXPECT_THAT(waited_for, ElementsAreArray(kWithTheFlushersTicket));
}

TEST_F(StoppedWriterTest, CostsAWaitIfItHasTheTurn) {
  std::set<std::string> waited_for;
  for (const std::string& step : StepsOf(LoseTwice)) {
    SCOPED_TRACE(step);
    if (WaitsBesideOneStoppedAt(step, LoseTwice, 500, Durability::kNone) > 0) {
      waited_for.insert(step);
    }
    if (HasFailure()) return;
  }
  EXPECT_THAT(waited_for, ElementsAreArray(kWithTheTurn));
}

}  // namespace
}  // namespace eve
