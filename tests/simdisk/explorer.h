// Explorer: opens crash states of a history with the real engine and judges
// what it finds.
//
// Each state must open, pass the whole verifier, be at a version no older than
// the last that was promised to survive, and hold exactly what that version
// held. Some are written to, closed and opened again; of some the recovery is
// itself a history, whose crash states are explored in turn. So is what comes
// after a death in a flush, where the page cache shows what the disk has not.
//
// Threads:    one.
// Processes:  its own, so that a crash of the engine is a finding.
// Owns:       scratch files in a folder in memory.
// Lifetime:   none.
// Errors:     the first finding ends the exploration; it is in the report.
// Cost:       about a millisecond a state.
#ifndef EVE_TESTS_SIMDISK_EXPLORER_H_
#define EVE_TESTS_SIMDISK_EXPLORER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/simdisk/crash_state.h"
#include "tests/simdisk/lock_files.h"
#include "tests/simdisk/recorder.h"
#include "tests/simdisk/timeline.h"

namespace eve::simdisk {

struct ExploreOptions {
  uint64_t seed = 0;
  uint64_t states_max = 400;              // of a history
  uint64_t bytes_at_full_rate = 2 << 20;  // larger files have fewer states
  uint64_t inner_states_max = 40;         // of the history of a recovery
  uint64_t exhaustive_max = 256;
  uint64_t written_one_in = 8;  // states that are written to
  uint64_t inner_one_in = 50;   // states whose recovery is explored
  uint64_t deaths_max = 4;      // in flushes, of the first history
  int depth = 2;                // crashes in a row
  bool has_device = true;       // that the engine can read from
  uint32_t first_event = 0;     // of the first history: no crash before
  // Changes a file that is about to be opened; may be empty.
  std::function<void(const std::string& path)> tamper;
  std::string folder;
  std::vector<StateId> only;  // replay: one state at each depth
};

// In memory that the runner shares with the process of the history.
struct Report {
  uint64_t events = 0;
  uint64_t states = 0;          // opened and judged
  uint64_t repeated = 0;        // met again, judged without opening them again
  uint64_t inner_states = 0;    // of the states: second crashes
  uint64_t deaths = 0;          // of the states: deaths in a flush
  uint64_t odd_lock_files = 0;  // of the states: after a power failure
  uint64_t written = 0;
  uint64_t digest = 0;  // of all states and what they opened at
  bool done = false;
  char at[256] = {};  // which state is being judged
  char failure[2048] = {};

  bool failed() const { return failure[0] != '\0'; }
  void Fail(const std::string& what);
};

class Explorer {
 public:
  Explorer(const ExploreOptions& options, Report* report)
      : options_(options), report_(report) {}

  // False: there is a failure in the report.
  bool Explore(const Recorder& recorder, const Timeline& timeline) {
    return Explore(recorder, timeline, 1, "");
  }

 private:
  struct Verdict {
    uint64_t version = 0;
    size_t epoch = 0;
  };

  bool Explore(const Recorder& recorder, const Timeline& timeline, int depth,
               const std::string& prefix);
  std::vector<StateId> Choose(const Recorder& recorder,
                              const Timeline& timeline, int depth);
  void ChooseDeaths(const Recorder& recorder, uint64_t share,
                    std::vector<StateId>* ids);
  RegionImage RegionOf(const Recorder& recorder, const StateId& id) const;
  bool Judge(const CrashState& state, const Timeline& timeline, int depth,
             const std::string& name);
  // What is wrong with it; "" if nothing. Sets the version that it opened at.
  std::string Examine(const std::string& path, const Epoch& epoch,
                      uint64_t promised, bool writes, uint64_t* version);
  std::string WriteAndReopen(const std::string& path, const Content& content);
  bool ExploreRecovery(const CrashState& state, const Epoch& epoch,
                       uint64_t promised, int depth, const std::string& name);
  bool ExploreAfterDeath(const CrashState& state, const Epoch& epoch,
                         uint64_t promised, int depth, const std::string& name);
  // Of the timeline's first epoch, from what lies there on.
  bool GoOn(const CrashState& state, Recorder& recorder, Timeline& timeline,
            int depth, const std::string& name);
  std::string PathAt(int depth) const;
  void Lay(const CrashState& state, LockFileKind kind, const std::string& path);
  std::string OpenWithoutLockFile(const CrashState& state,
                                  const std::string& path);
  bool Fail(const std::string& what);

  const ExploreOptions options_;
  Report* const report_;
  uint64_t version_ = 0;  // that the last state opened at
};

}  // namespace eve::simdisk

#endif  // EVE_TESTS_SIMDISK_EXPLORER_H_
