// The results as one page of HTML that loads nothing: bars for each workload
// and engine, percentiles, and what the figures depend on.
//
// Threads:    for one thread.
// Processes:  none.
// Owns:       none.
// Lifetime:   none.
// Errors:     absl::Status names the file and what failed.
// Cost:       not measured.
#ifndef EVE_DB_BENCH_HTML_REPORT_H_
#define EVE_DB_BENCH_HTML_REPORT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "db_bench/environment.h"
#include "db_bench/reporter.h"

namespace eve::bench {

struct Report {
  Environment environment;
  std::string command_line;
  std::vector<std::string> engines;
  std::vector<std::string> messages;  // engines that did not run, and why
  bool failed = false;
  bool interrupted = false;
  std::vector<Result> results;
  std::vector<LeftOut> left_out;
};

// Whether a report can be written there later; "" always can.
absl::Status CheckReportPath(const std::string& path);

// Does nothing if `path` is empty.
absl::Status WriteHtmlReport(const std::string& path, const Report& report);

// What it writes.
std::string HtmlReport(const Report& report);

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_HTML_REPORT_H_
