#ifndef EVE_DB_BENCH_WORKER_H_
#define EVE_DB_BENCH_WORKER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <type_traits>

#include "absl/status/status.h"
#include "db_bench/engine_adapter.h"
#include "db_bench/latency_histogram.h"
#include "db_bench/workload.h"

namespace eve::bench {

// A figure of a workload beside its speed. The name is that in the JSON output
// and tells the unit: "_bytes", "_seconds", "_us", "_ratio", or a number.
struct NamedFigure {
  char name[40];
  double value;
};

inline constexpr size_t kFiguresMax = 40;

// What one worker thread measured. Lives in memory shared with the parent, as
// bytes: no pointers, and written only before the worker reports that it ended.
struct WorkerResult {
  uint64_t start_nanos;  // CLOCK_MONOTONIC, so comparable between processes
  uint64_t end_nanos;
  uint64_t operations;  // keys, not transactions
  uint64_t lookups;     // of them, those that look for a key
  uint64_t found;
  uint64_t bytes;  // of the keys and values written or found
  uint64_t verify_failures;
  // Of all values that a scan passed: or the compiler would leave out the
  // loads, and an engine that keeps values apart would not have to fetch them.
  uint64_t touched;
  LatencyHistogram latencies;  // of transactions or calls, not of keys
  uint64_t figure_count;
  NamedFigure figures[kFiguresMax];
};

static_assert(std::is_trivially_copyable_v<WorkerResult>);

uint64_t NowNanos();

// What lets a worker close the database and open it again.
//
// Threads:    for the only worker.
// Processes:  for the only process.
// Owns:       none.
// Lifetime:   as long as the worker's task.
// Errors:     absl::Status.
// Cost:       not its own.
class Reopener {
 public:
  virtual ~Reopener() = default;
  virtual void Close() = 0;
  virtual absl::Status Open() = 0;
};

// One thread's part of one workload.
struct WorkerTask {
  const RunConfig* config;
  const Workload* workload;
  const ValueMaker* values;
  Session* session;
  Engine* engine;          // that of the session
  const EngineInfo* info;  // to open another one
  WorkerResult* result;
  std::atomic<uint64_t>* write_clock;  // when the next write may begin
  std::atomic<uint64_t>* operations;   // if config->CountsWhileRunning()
  Reopener* reopener;                  // only where the worker may use it
  int phase;                           // position in the list of benchmarks
  int worker;                          // in [0, config->Workers())
};

// Untimed: takes the worker's snapshot and touches every 16th key, so that all
// engines start their reads from a warm cache. Nothing for writes.
absl::Status WarmUp(const WorkerTask& task);

// Timed: performs the worker's part of the operations.
absl::Status RunTask(const WorkerTask& task);

// Beside readers, until `*readers_left` is 0: overwrites random keys one by
// one, or scans all entries again and again.
absl::Status AccompanyReaders(const WorkerTask& task,
                              const std::atomic<uint32_t>* readers_left);

// Before and after swapcounter: creates the counter; reads it back.
absl::Status ResetCounter(const RunConfig& config, Session& session);
absl::Status CheckCounter(const RunConfig& config, Session& session,
                          uint64_t expected);

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_WORKER_H_
