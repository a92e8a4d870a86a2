// At which of a scenario's many steps a process is to die: a sample, with the
// first and the last of each name; and its deaths there.
//
// Threads:    one.
// Processes:  the scenario runs in a child.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     failed expectations.
// Cost:       the scenario, once, and once for each death.
#ifndef EVE_TESTS_CRASH_STEP_SAMPLE_H_
#define EVE_TESTS_CRASH_STEP_SAMPLE_H_

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <initializer_list>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "eve/eve.h"
#include "gtest/gtest.h"
#include "tests/testing/child_process.h"
#include "tests/testing/quiet.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "util/failpoint.h"

namespace eve::testing {

// Of a child.
inline int ExitCode(const absl::Status& status) {
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 10;
}

// Runs `scenario` and returns about `sampled` numbers of its steps, counted
// from
// 1. All in `wanted` must be among them: a scenario without them would prove
// nothing.
inline std::set<uint64_t> ChooseSteps(
    uint64_t sampled, const std::function<absl::Status()>& scenario,
    std::initializer_list<std::string_view> wanted) {
  constexpr uint64_t kMost = 1 << 16;
  struct Log {
    std::atomic<uint64_t> steps{0};
    char names[kMost][40] = {};
  };
  SharedValue<Log> log;
  ChildProcess child([&] {
    SetStepHook([&](std::string_view step) {
      const uint64_t at = log->steps.fetch_add(1);
      if (at < kMost) step.copy(log->names[at], sizeof(log->names[at]) - 1);
    });
    return ExitCode(scenario());
  });
  EXPECT_EQ(child.Wait(), 0);
  const uint64_t steps = log->steps;
  EXPECT_LE(steps, kMost);
  std::map<std::string, uint64_t, std::less<>> first, last;
  std::set<uint64_t> chosen;
  for (uint64_t at = 0; at < std::min(steps, kMost); ++at) {
    first.emplace(log->names[at], at + 1);
    last[log->names[at]] = at + 1;
    if (at % (steps / sampled + 1) == 0) chosen.insert(at + 1);
  }
  for (const auto& named : {first, last}) {
    for (const auto& [name, at] : named) chosen.insert(at);
  }
  for (const std::string_view name : wanted) {
    EXPECT_TRUE(first.contains(name)) << name;
  }
  std::printf("%llu steps, %zu names, %zu deaths\n",
              static_cast<unsigned long long>(steps), first.size(),
              chosen.size());
  return chosen;
}

// A scenario that a child goes through and dies in, and what it leaves behind:
// `Progress` is in memory that both have.
template <class Progress>
struct Deaths {
  std::function<absl::Status(const std::string& path, Progress&)> scenario;
  std::function<void(const std::string& path, Domain&, Progress&)> expect;

  void DieAt(uint64_t step, const std::string& path, Progress& progress) const {
    ChildProcess child([&] {
      SignalSelfAt(step, SIGKILL);
      return ExitCode(scenario(path, progress));
    });
    // A domain draws its hash seed, so it may take a few steps less than the
    // one that was counted.
    const int ended = child.Wait();
    ASSERT_TRUE(ended == -SIGKILL || ended == 0) << ended;
  }
  // With nobody else attached.
  void DieAlone(const std::set<uint64_t>& steps) const {
    for (const uint64_t step : steps) {
      SCOPED_TRACE("killed at step " + std::to_string(step));
      const TempDir dir;
      const std::string path = dir.File("d.eve");
      SharedValue<Progress> progress;
      ASSERT_NO_FATAL_FAILURE(DieAt(step, path, *progress));
      ASSERT_OK_AND_ASSIGN(Domain domain, Domain::Open(path, Quiet()));
      expect(path, domain, *progress);
      ASSERT_OK(domain.Close());
      if (::testing::Test::HasFailure()) return;
    }
  }
  // One after the other in the same domain, beside one that stays.
  void DieBesideASurvivor(const std::set<uint64_t>& steps) const {
    const TempDir dir;
    const std::string path = dir.File("d.eve");
    SharedValue<Progress> progress;
    ASSERT_OK_AND_ASSIGN(Domain survivor, Domain::Open(path, Quiet()));
    uint64_t deaths = 0;
    uint64_t segments = 0;
    for (const uint64_t step : steps) {
      SCOPED_TRACE("killed at step " + std::to_string(step));
      ASSERT_NO_FATAL_FAILURE(DieAt(step, path, *progress));
      expect(path, survivor, *progress);
      if (::testing::Test::HasFailure()) return;
      // The content is the same in every round: what the dead had claimed is
      // used again.
      ASSERT_OK_AND_ASSIGN(const DomainStats stats, survivor.Stats());
      if (++deaths <= steps.size() / 2) {
        segments = std::max(segments, stats.segments);
      } else {
        EXPECT_LE(stats.segments, segments + 8);
      }
    }
  }
};

}  // namespace eve::testing

#endif  // EVE_TESTS_CRASH_STEP_SAMPLE_H_
