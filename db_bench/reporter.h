#ifndef EVE_DB_BENCH_REPORTER_H_
#define EVE_DB_BENCH_REPORTER_H_

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "db_bench/directory_size.h"
#include "db_bench/environment.h"
#include "db_bench/latency_histogram.h"
#include "db_bench/worker.h"

namespace eve::bench {

// One workload on one engine in one repeat, all workers together.
struct Measurement {
  std::string engine;
  std::string checksum;    // the engine's
  std::string durability;  // its settings for that of the workload
  const Workload* workload = nullptr;
  int phase = 0;
  int repeat = 0;
  uint64_t operations = 0;
  uint64_t lookups = 0;
  uint64_t found = 0;
  uint64_t bytes = 0;
  uint64_t verify_failures = 0;
  double seconds = 0;         // from the first worker's start to the last's end
  double worker_seconds = 0;  // the workers' times added up
  double cpu_seconds = 0;     // see ProcessGroup
  LatencyHistogram latencies;
  std::vector<NamedFigure> figures;  // the only worker's
  DirectorySize size;
  bool comparable = true;  // every engine must have found as much

  double OpsPerSecond() const;
  double MicrosPerOp() const;  // as each worker saw it
  double CpuMicrosPerOp() const;
};

// All repeats of one benchmark on one engine.
struct Result {
  std::string engine;
  std::vector<std::string> conditions;  // where not those of the whole run
  const Workload* workload = nullptr;
  int phase = 0;
  double ops_per_second = 0;         // median
  double micros_per_op = 0;          // median
  double operations = 0;             // of all repeats together
  LatencyHistogram latencies;        // the same
  uint64_t disk_bytes = 0;           // of the last repeat, afterwards
  std::vector<NamedFigure> figures;  // of the last repeat
};

// A benchmark that an engine cannot do.
struct LeftOut {
  std::string engine;
  std::string workload;
  std::string why;
};

// "max_file_bytes", 1048576 -> "max file: 1.0 MB"
std::string InWords(const NamedFigure& figure);

Measurement MergeWorkers(absl::Span<const WorkerResult> results);

// Prints measurements as they come, as RocksDB's db_bench does, writes one JSON
// object per line if asked, and keeps all for the summary.
//
// Threads:    for one thread.
// Processes:  not used across fork().
// Owns:       the JSON file.
// Lifetime:   `config` outlives it.
// Errors:     absl::Status.
// Cost:       not measured.
class Reporter {
 public:
  explicit Reporter(const RunConfig& config) : config_(config) {}
  ~Reporter();

  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;

  absl::Status OpenJson(const std::string& path);
  void Add(const Measurement& measurement);
  // Says so; in later repeats as well, but notes it once.
  void AddLeftOut(const std::string& engine, const Workload& workload,
                  const std::string& why);

  // kDataLoss if engines disagree on what a benchmark found: all were given the
  // same keys in the same order.
  absl::Status CheckAgreement() const;

  // In the order of --benchmarks, then of `engines`; without those that were
  // left out or failed.
  std::vector<Result> Summarize(const std::vector<std::string>& engines) const;
  const std::vector<LeftOut>& left_out() const { return left_out_; }

  // Medians of all repeats, and the ratios of Eve's ops/sec to its rivals'.
  void PrintSummary(const std::vector<std::string>& engines) const;

 private:
  void PrintJson(const Measurement& measurement);
  // In what a measurement differs from what is said above all results.
  std::vector<std::string> ConditionsOf(const Measurement& measurement) const;
  // NaN if there is no such measurement.
  using Figure = double (Measurement::*)() const;
  double MedianOf(Figure figure, const std::string& engine, int phase) const;
  double MedianOps(const std::string& engine, int phase) const {
    return MedianOf(&Measurement::OpsPerSecond, engine, phase);
  }
  double MedianMicros(const std::string& engine, int phase) const {
    return MedianOf(&Measurement::MicrosPerOp, engine, phase);
  }
  void PrintCpu(const std::vector<std::string>& engines) const;

  const RunConfig& config_;
  std::FILE* json_ = nullptr;
  std::vector<Measurement> all_;
  std::vector<LeftOut> left_out_;
};

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_REPORTER_H_
