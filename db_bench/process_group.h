#ifndef EVE_DB_BENCH_PROCESS_GROUP_H_
#define EVE_DB_BENCH_PROCESS_GROUP_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "db_bench/progress_watch.h"
#include "db_bench/worker.h"

namespace eve::bench {

inline constexpr int kProcessesMax = 256;
inline constexpr int kThreadsMax = 256;

// What the parent asks of one worker process.
enum class Command : uint32_t {
  kOpen,
  kClose,
  kSettle,
  kResetCounter,
  kRun,
  kCheckCounter,
  kPrintStats,
  kExit
};

// Mailbox of one worker process. The parent fills `command` and `phase`, then
// raises `posted`; the worker answers by raising `finished` to the same number.
struct ProcessSlot {
  std::atomic<uint32_t> posted;
  std::atomic<uint32_t> finished;
  std::atomic<uint32_t> failed;  // 1 once `error` is complete
  Command command;
  int phase;
  uint64_t cpu_nanos;  // of all threads, from the start of the last kRun
  char error[500];
};

// SHARED, anonymous: starts as zeros, ends with the last process.
struct SharedState {
  std::atomic<uint32_t> ready;         // threads that wait for `go`
  std::atomic<uint32_t> go;            // phase + 1 that may start
  std::atomic<uint32_t> readers_left;  // beside a writer or a scan
  std::atomic<uint64_t> write_clock;   // of --benchmark_write_rate_limit
  std::atomic<uint64_t> operations;    // done so far, for ProgressWatch
  ProcessSlot slots[kProcessesMax];
  WorkerResult results[];  // one for each worker
};

static_assert(std::atomic<uint32_t>::is_always_lock_free);
static_assert(std::atomic<uint64_t>::is_always_lock_free);

// The worker processes of one engine's run and the memory they share.
//
// Threads:    for one thread of the parent, which has opened no engine.
// Processes:  forks; a worker dies with its parent, and a worker that dies
//             makes the parent's current call return an error.
// Owns:       the processes, killed on destruction if they have not ended.
// Lifetime:   `config`, `engine` and `watch` outlive it.
// Errors:     absl::Status; after one, only destruction is allowed. kCancelled
//             if the program is interrupted.
// Cost:       not measured; polls every half millisecond.
class ProcessGroup {
 public:
  static absl::StatusOr<std::unique_ptr<ProcessGroup>> Start(
      const RunConfig& config, const EngineInfo& engine, ProgressWatch* watch);
  ~ProcessGroup();

  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  // Opens the database in process 0 first, which creates it, then in the rest;
  // with the durability that the workload needs.
  absl::Status Open(int phase);
  absl::Status Close();

  // Runs one workload in all processes; they begin at the same time.
  absl::Status Run(int phase);
  absl::Span<const WorkerResult> results() const;
  // That all threads of the processes took for it, those of the engine's own
  // background work too; user and system.
  double cpu_seconds() const;
  // Waits, in process 0, for what goes on in the background.
  absl::Status Settle();
  // To standard output.
  absl::Status PrintStats();

  // Ends all processes.
  absl::Status Exit();

 private:
  ProcessGroup(const RunConfig& config, const EngineInfo& engine,
               ProgressWatch* watch, SharedState* shared, size_t shared_bytes);

  absl::Status Fork();
  void Post(int process, Command command, int phase);
  absl::Status RunAndWatch(int phase);
  absl::Status WaitFinished(int process);
  absl::Status CallAll(Command command, int phase);
  absl::Status CallFirst(Command command, int phase);
  absl::Status WaitUntil(const std::function<bool()>& done);
  absl::Status CheckAlive();

  const RunConfig& config_;
  const EngineInfo& engine_;
  ProgressWatch* const watch_;
  bool is_watched_ = false;  // a benchmark runs
  SharedState* const shared_;
  const size_t shared_bytes_;
  std::vector<pid_t> pids_;  // -1: has ended
  bool is_settled_ = false;  // nothing was written since
};

// Obeys the parent until told to exit; the body of a worker process.
[[noreturn]] void RunWorkerProcess(const RunConfig& config,
                                   const EngineInfo& engine,
                                   SharedState* shared, int process);

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_PROCESS_GROUP_H_
