// Tells how many operations are done while a benchmark runs: rows of
// --report_file, and a line on a terminal.
//
// Threads:    for the only thread of the parent.
// Processes:  none; workers count in memory that they share with the parent.
// Owns:       the file.
// Lifetime:   of the run.
// Errors:     absl::Status where it opens the file; a row that cannot be
//             written is lost.
// Cost:       nothing unless it is on; then each worker adds up what it has
//             done once a millisecond.
#ifndef EVE_DB_BENCH_PROGRESS_WATCH_H_
#define EVE_DB_BENCH_PROGRESS_WATCH_H_

#include <cstdint>
#include <cstdio>
#include <string>

#include "absl/status/status.h"
#include "db_bench/workload.h"

namespace eve::bench {

class ProgressWatch {
 public:
  explicit ProgressWatch(const RunConfig& config) : config_(config) {}
  ~ProgressWatch();

  ProgressWatch(const ProgressWatch&) = delete;
  ProgressWatch& operator=(const ProgressWatch&) = delete;

  // Does nothing if there are no rows to write.
  absl::Status OpenFile(const std::string& path);

  // A benchmark begins; so many operations are done; it has ended.
  void Begin(const std::string& engine, const Workload& workload);
  void Look(uint64_t operations);
  void End();

 private:
  void WriteRow(uint64_t now, uint64_t operations);

  const RunConfig& config_;
  std::FILE* file_ = nullptr;
  std::string names_;  // the last columns
  uint64_t start_nanos_ = 0;
  uint64_t next_row_nanos_ = 0;
  uint64_t next_line_nanos_ = 0;
  uint64_t operations_in_rows_ = 0;
  bool has_line_ = false;
};

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_PROGRESS_WATCH_H_
