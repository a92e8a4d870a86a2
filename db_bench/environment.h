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

struct DirectorySize {
  uint64_t file_bytes = 0;  // st_size: LMDB's counts its whole map
  uint64_t disk_bytes = 0;  // st_blocks * 512: what the file system gave
};

// Of all files below `dir`. Files that vanish meanwhile count as nothing.
DirectorySize MeasureDirectory(const std::string& dir);

// kResourceExhausted if the file system of `dir` lacks the space that a run of
// `config` may need at its peak.
absl::Status CheckFreeSpace(const RunConfig& config, const std::string& dir);

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_ENVIRONMENT_H_
