// The flags of db_bench, and what they ask for.
//
// Threads:    for one thread, after absl::ParseCommandLine.
// Processes:  before the worker processes are forked.
// Owns:       the flags.
// Lifetime:   none.
// Errors:     kInvalidArgument names the flag and what it takes.
// Cost:       none.
#ifndef EVE_DB_BENCH_FLAGS_H_
#define EVE_DB_BENCH_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "db_bench/engine_adapter.h"
#include "db_bench/workload.h"

namespace eve::bench {

// What the program does beside the workloads.
struct OutputConfig {
  std::string json;         // file for one object per result
  std::string report;       // file for the page with bars
  std::string report_file;  // for rows of what was done in each interval
  std::string db;  // directory of the databases; empty: a temporary one
  int repeat = 1;
};

absl::Status ParseConfig(RunConfig* config, OutputConfig* output);

// The engines that can run, in the order given. Tells in `*messages` which are
// left out, and why.
absl::StatusOr<std::vector<const EngineInfo*>> ParseEngines(
    const RunConfig& config, std::vector<std::string>* messages);

// What --help prints: the benchmarks and all flags.
std::string HelpText();

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_FLAGS_H_
