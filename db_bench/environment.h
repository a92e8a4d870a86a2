#ifndef EVE_DB_BENCH_ENVIRONMENT_H_
#define EVE_DB_BENCH_ENVIRONMENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "db_bench/workload.h"

namespace eve::bench {

// Prints what the numbers below it depend on: the machine, the file system of
// `db_dir`, the build, the sizes, and what each engine was told.
void PrintEnvironment(const RunConfig& config, const std::string& db_dir,
                      const std::vector<const EngineInfo*>& engines);

// kResourceExhausted if the file system of `dir` lacks the space that a run of
// `config` may need at its peak.
absl::Status CheckFreeSpace(const RunConfig& config, const std::string& dir);

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_ENVIRONMENT_H_
