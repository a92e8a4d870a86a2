// The rig: histories of a simulated disk, each in a process of its own.
//
// Threads:    one.
// Processes:  forks one for each history, which may die and go on in another.
// Owns:       a folder in memory while it runs.
// Lifetime:   none.
// Errors:     in the report of a history.
// Cost:       see Explorer.
#ifndef EVE_TESTS_SIMDISK_RIG_H_
#define EVE_TESTS_SIMDISK_RIG_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/simdisk/explorer.h"
#include "tests/simdisk/planted_bug.h"
#include "tests/simdisk/workload.h"

namespace eve::simdisk {

struct RigOptions {
  uint64_t seed = 1;
  uint64_t first_history = 0;
  PlantedBug bug = PlantedBug::kNone;
  bool is_cured = false;   // the workloads that suit the bug, without the bug
  ExploreOptions explore;  // folder and seed are the rig's
};

struct RigResult {
  uint64_t histories = 0;
  uint64_t events = 0;
  uint64_t states = 0;
  uint64_t repeated = 0;
  uint64_t inner_states = 0;
  uint64_t deaths = 0;
  uint64_t odd_lock_files = 0;
  uint64_t written = 0;
  uint64_t digest = 0;
  std::string failure;  // "" if there is none
  std::string replay;   // the flags of ./dev powerloss that find it again
};

// Runs histories until `go_on` says no, or one fails.
RigResult RunRig(const RigOptions& options,
                 const std::function<bool(const RigResult&)>& go_on);

}  // namespace eve::simdisk

#endif  // EVE_TESTS_SIMDISK_RIG_H_
