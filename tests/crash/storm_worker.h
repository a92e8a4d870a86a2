// What the processes of a crash storm do, and what they were promised.
//
// Every worker owns a key. A commit raises it by one, raises a shared total by
// one, and writes both into a hash map and a tree, in one transaction: whatever
// a snapshot shows, the keys add up to the total and the collections agree.
// Between these it logs numbers by puts that read nothing, in both as well,
// each under a key that is used again after kStormLogKeys of them, but not
// before a check has found it: so one that is lost is seen.
//
// Threads:    one per process, beside the engine's own.
// Processes:  Ledger lives in memory shared by all of them and their parent.
// Owns:       nothing.
// Lifetime:   the ledger outlives the processes.
// Errors:     printed; a worker's exit code is then not 0.
// Cost:       small transactions.
#ifndef EVE_TESTS_CRASH_STORM_WORKER_H_
#define EVE_TESTS_CRASH_STORM_WORKER_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "eve/eve.h"

namespace eve::testing {

inline constexpr int kStormWorkersMax = 64;
inline constexpr int64_t kStormLogKeys = 64;
using StormNumbers = Map<std::string, int64_t>;
using StormOrdered = OrderedMap<std::string, int64_t>;

// What a worker may be about.
enum class StormWork {
  kNone,  // it has just been started
  kOpen,
  kRead,
  kWait,  // for a commit
  kCommit,
  kLog,
  kChurn,
  kCompact,
  kClose,
  kCount
};
std::string_view NameOf(StormWork work);

struct Ledger {
  // Per worker, over all its lives: the newest commit it knows to be visible.
  std::atomic<int64_t> acknowledged[kStormWorkersMax];
  // The newest number that it has logged.
  std::atomic<int64_t> logged[kStormWorkersMax];
  // All numbers up to this one were there when a check looked. Those behind it
  // are not written over.
  std::atomic<int64_t> checked[kStormWorkersMax];
  // Whether it may be stopped for long: it holds nothing that openers wait for.
  std::atomic<bool> is_inside[kStormWorkersMax];
  // What it is about; another word for each thing that it begins.
  std::atomic<uint64_t> work[kStormWorkersMax];
  std::atomic<uint64_t> commits;
};

struct StormSetup {
  std::string path;
  Ledger* ledger = nullptr;
  int workers = 0;
  int progress_fd = -1;  // a byte for every commit
  bool hangs = false;    // a planted bug: now and then a wait does not end
};

enum class StormRole { kWriter, kReader, kOpener };

// Of Ledger::work.
void BeginWork(const StormSetup& setup, int index, StormWork work);
StormWork WorkOf(uint64_t word);

// Runs until it is killed. Returns only with what it found wrong.
absl::Status RunStormWorker(const StormSetup& setup, StormRole role, int index,
                            uint64_t seed);

std::string StormKey(int worker);
std::string StormLogKey(int worker, int64_t number);
// The newest number that the worker has logged. kDataLoss: one of the
// kStormLogKeys that end with it is not there, or the collections disagree.
absl::StatusOr<int64_t> CheckStormLog(const Snapshot& snapshot,
                                      const StormNumbers& a,
                                      const StormOrdered& b, int worker);
// Sum and agreement of one snapshot; sets `sum` to the total.
absl::Status CheckStormSums(const StormSetup& setup, const Snapshot& snapshot,
                            const StormNumbers& a, const StormOrdered& b,
                            int64_t* sum);

}  // namespace eve::testing

#endif  // EVE_TESTS_CRASH_STORM_WORKER_H_
