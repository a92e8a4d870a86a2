#ifndef EVE_DB_BENCH_ENVIRONMENT_H_
#define EVE_DB_BENCH_ENVIRONMENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "db_bench/workload.h"

namespace eve::bench {

// What the numbers of a run depend on.
struct Environment {
  struct Fact {
    std::string name;
    std::string text;
  };
  std::vector<Fact> versions;  // of the engines, in RocksDB's form
  std::vector<Fact> machine;   // and its build, and the database's sizes
  std::vector<Fact> engines;   // durability, settings
  std::vector<Fact> sizes;     // those that LevelDB prints
  std::vector<std::string> warnings;
};

Environment DescribeEnvironment(const RunConfig& config,
                                const std::string& db_dir,
                                const std::vector<const EngineInfo*>& engines);

// The block of lines above the results. Its end is LevelDB's: keys, values,
// entries, sizes, warnings, dashes.
void PrintEnvironment(const Environment& environment);

// kResourceExhausted if the file system of `dir` lacks the space that a run of
// `config` may need at its peak.
absl::Status CheckFreeSpace(const RunConfig& config, const std::string& dir);

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_ENVIRONMENT_H_
