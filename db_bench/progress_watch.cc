#include "db_bench/progress_watch.h"

#include <errno.h>
#include <string.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "db_bench/worker.h"

namespace eve::bench {
namespace {

constexpr uint64_t kNanosPerSecond = 1000000000;

}  // namespace

ProgressWatch::~ProgressWatch() {
  if (file_ != nullptr) std::fclose(file_);
}

absl::Status ProgressWatch::OpenFile(const std::string& path) {
  if (config_.report_interval_nanos == 0) return absl::OkStatus();
  file_ = std::fopen(path.c_str(), "we");
  if (file_ == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("--report_file: ", path, ": ", strerror(errno)));
  }
  std::fputs("secs_elapsed,interval_qps,engine,benchmark\n", file_);
  std::fflush(file_);
  return absl::OkStatus();
}

void ProgressWatch::Begin(const std::string& engine, const Workload& workload) {
  names_ = absl::StrCat(engine, ",", std::string(workload.name));
  start_nanos_ = NowNanos();
  next_row_nanos_ = start_nanos_ + config_.report_interval_nanos;
  next_line_nanos_ = start_nanos_ + kNanosPerSecond;
  operations_in_rows_ = 0;
}

void ProgressWatch::Look(uint64_t operations) {
  if (!config_.CountsWhileRunning()) return;
  const uint64_t now = NowNanos();
  if (file_ != nullptr && now >= next_row_nanos_) WriteRow(now, operations);
  if (config_.shows_progress && now >= next_line_nanos_) {
    // In the form of LevelDB's and RocksDB's db_bench.
    absl::FPrintF(stderr, "... finished %d ops%30s\r", operations, "");
    has_line_ = true;
    next_line_nanos_ += kNanosPerSecond;
  }
}

void ProgressWatch::End() {
  if (has_line_) absl::FPrintF(stderr, "%60s\r", "");
  has_line_ = false;
}

// As in RocksDB the second column is what was done in the interval.
void ProgressWatch::WriteRow(uint64_t now, uint64_t operations) {
  const uint64_t seconds =
      (now - start_nanos_ + kNanosPerSecond / 2) / kNanosPerSecond;
  absl::FPrintF(file_, "%d,%d,%s\n", seconds, operations - operations_in_rows_,
                names_);
  std::fflush(file_);
  operations_in_rows_ = operations;
  next_row_nanos_ += config_.report_interval_nanos;
}

}  // namespace eve::bench
