#include "db_bench/environment.h"

#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "absl/algorithm/container.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "db_bench/worker.h"

namespace eve::bench {
namespace {

constexpr double kMiB = 1048576.0;

// The value of the first line "name : value" of a /proc file.
std::string ProcField(const char* file, const std::string& name) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    if (line.compare(0, name.size(), name) != 0) continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const size_t start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return "unknown";
}

std::string FirstLine(const char* file) {
  std::ifstream stream(file);
  std::string line;
  return std::getline(stream, line) ? line : "unknown";
}

// Type and options of the mount that `dir` is on: the longest matching prefix.
std::string MountOf(const std::string& dir) {
  std::ifstream mounts("/proc/mounts");
  std::string device, point, type, options, rest, best = "unknown";
  size_t best_size = 0;
  while (mounts >> device >> point >> type >> options &&
         std::getline(mounts, rest)) {
    const bool prefix =
        point == "/" || dir == point || dir.rfind(point + "/", 0) == 0;
    if (!prefix || point.size() < best_size) continue;
    best_size = point.size();
    best = absl::StrCat(type, " (", options, ") on ", point);
  }
  return best;
}

const char* BuildMode() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return "SANITIZER BUILD: the numbers mean nothing";
#elif !defined(__OPTIMIZE__)
  return "NOT OPTIMIZED: the numbers mean nothing";
#elif !defined(NDEBUG)
  return "optimized, but assertions are on";
#else
  return "optimized, no assertions";
#endif
}

double ClockCallNanos() {
  constexpr int kCalls = 100000;
  const uint64_t start = NowNanos();
  for (int i = 1; i < kCalls; ++i) NowNanos();
  return static_cast<double>(NowNanos() - start) / kCalls;
}

uint64_t RawBytes(const RunConfig& config) {
  return config.num * config.EntryBytes();
}

// The date is in the form of ctime(), as LevelDB and RocksDB print it and
// RocksDB's tools/benchmark.sh reads it.
std::vector<Environment::Fact> DescribeMachine(const std::string& db_dir) {
  utsname system;
  uname(&system);
  return {
      {"Date", absl::FormatTime("%a %b %e %H:%M:%S %Y", absl::Now(),
                                absl::LocalTimeZone())},
      {"CPU", absl::StrFormat("%d x %s", sysconf(_SC_NPROCESSORS_ONLN),
                              ProcField("/proc/cpuinfo", "model name"))},
      {"Memory",
       absl::StrFormat("%s, %s available; huge pages: %s",
                       ProcField("/proc/meminfo", "MemTotal"),
                       ProcField("/proc/meminfo", "MemAvailable"),
                       FirstLine("/sys/kernel/mm/transparent_hugepage/"
                                 "enabled"))},
      {"Kernel", absl::StrFormat("%s %s %s", system.sysname, system.release,
                                 system.machine)},
      {"Filesystem", MountOf(db_dir)},
      {"Directory", db_dir},
      {"Build", absl::StrFormat("%s, %s",
#if defined(__clang__)
                                absl::StrCat("Clang ", __clang_version__),
#else
                                absl::StrCat("GCC ", __VERSION__),
#endif
                                BuildMode())},
      {"Clock", absl::StrFormat("%.0f ns, called once per measured latency",
                                ClockCallNanos())},
  };
}

std::string DescribeKeysDrawn(const RunConfig& config) {
  std::string text = config.distribution_name;
  if (config.exp_range > 0) {
    absl::StrAppendFormat(&text, "; lookups num * exp(-r), r up to %g",
                          config.exp_range);
  }
  return text;
}

std::string DescribePace(const RunConfig& config) {
  std::string text = absl::StrFormat(
      "%d processes x %d threads; --reads=%d and --writes=%d are shared out",
      config.processes, config.threads, config.reads, config.writes);
  if (config.duration_nanos != 0) {
    absl::StrAppendFormat(&text, "; random workloads run for %d s",
                          config.duration_nanos / 1000000000);
  }
  if (config.write_bytes_per_second != 0) {
    absl::StrAppendFormat(&text, "; all together write at most %d bytes/s",
                          config.write_bytes_per_second);
  }
  return text;
}

// What `text` says of the durability of the run or, where benchmarks have
// another one, of that too.
std::string ByDurability(
    const RunConfig& config,
    absl::FunctionRef<std::string(Durability durability)> text) {
  std::vector<std::string> names;
  Durability other = config.durability;
  bool is_used = false;
  for (const Workload* workload : config.workloads) {
    const Durability durability = config.DurabilityOf(*workload);
    if (durability == config.durability) {
      is_used = true;
      continue;
    }
    other = durability;
    const std::string name(workload->name);
    if (!absl::c_linear_search(names, name)) names.push_back(name);
  }
  if (names.empty()) return text(config.durability);
  if (!is_used) return text(other);
  return absl::StrCat(text(config.durability), ", but in ",
                      absl::StrJoin(names, " and "), " ", text(other));
}

std::string DescribeBatches(const RunConfig& config) {
  if (config.batch_size == 0) {
    return "1,000 or 10,000 writes a transaction in fills, 1 in those that "
           "sync, in fill100K and elsewhere";
  }
  return absl::StrFormat("%d writes a transaction", config.batch_size);
}

// As LevelDB's db_bench prints them.
std::vector<Environment::Fact> DescribeSizes(const RunConfig& config) {
  const ValueShape& shape = config.values;
  const double average = static_cast<double>(shape.Average());
  const double shrunk = average * shape.compression_ratio;
  const std::string size =
      shape.IsFixed()
          ? absl::StrFormat("%d bytes each", shape.size)
          : absl::StrFormat("%d bytes on average, %d to %d, %s",
                            shape.Average(), shape.size_min, shape.size_max,
                            shape.distribution == SizeDistribution::kNormal
                                ? "normal"
                                : "uniform");
  const double raw = static_cast<double>(RawBytes(config));
  const double file = config.compress ? raw - static_cast<double>(config.num) *
                                                  (average - shrunk)
                                      : raw;
  const bool has_large = absl::c_any_of(
      config.workloads, [](const Workload* w) { return w->large; });
  return {
      {"Keys", absl::StrFormat("%d bytes each%s", config.keys.size,
                               config.keys.type == KeyType::kInt64
                                   ? " (integers: uint64_t in eve, "
                                     "MDB_INTEGERKEY in lmdb, else big-endian)"
                                   : "")},
      {"Values", absl::StrFormat("%s (%d bytes after compression)%s", size,
                                 static_cast<int64_t>(shrunk + 0.5),
                                 has_large ? absl::StrCat(", but in fill100K ",
                                                          kLargeValueBytes)
                                           : "")},
      {"Entries", absl::StrCat(config.num)},
      {"RawSize", absl::StrFormat("%.1f MB (estimated)", raw / kMiB)},
      {"FileSize", absl::StrFormat("%.1f MB (estimated)", file / kMiB)},
  };
}

void PrintFacts(const std::vector<Environment::Fact>& facts) {
  for (const Environment::Fact& fact : facts) {
    absl::PrintF("%-11s %s\n", fact.name + ":", fact.text);
  }
}

}  // namespace

Environment DescribeEnvironment(const RunConfig& config,
                                const std::string& db_dir,
                                const std::vector<const EngineInfo*>& engines) {
  Environment environment;
  environment.machine = DescribeMachine(db_dir);
  environment.machine.push_back({"Workers", DescribePace(config)});
  environment.machine.push_back({"Random", DescribeKeysDrawn(config)});
  environment.machine.push_back({"Batches", DescribeBatches(config)});
  environment.machine.push_back(
      {"Compression", config.compress ? "Snappy" : "none"});
  environment.machine.push_back(
      {"Durability",
       absl::StrCat(ByDurability(config, NameOf),
                    config.settle ? "; settled before reads" : "")});
  for (const EngineInfo* engine : engines) {
    environment.versions.push_back(
        {engine->product, absl::StrCat("version ", engine->version)});
    const char* compression = !engine->can.compress ? "has no compression"
                              : config.compress     ? "Snappy"
                                                    : "compression off";
    environment.engines.push_back(
        {engine->name, absl::StrFormat("%s; %s; %s",
                                       ByDurability(config,
                                                    [&](Durability durability) {
                                                      return engine->SettingsOf(
                                                          durability);
                                                    }),
                                       engine->settings, compression)});
  }
  environment.sizes = DescribeSizes(config);
#if !defined(__OPTIMIZE__)
  environment.warnings.push_back(
      "Optimization is disabled: benchmarks unnecessarily slow");
#endif
#if !defined(NDEBUG)
  environment.warnings.push_back(
      "Assertions are enabled; benchmarks unnecessarily slow");
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  environment.warnings.push_back("Sanitizers are on: the numbers mean nothing");
#endif
  return environment;
}

void PrintEnvironment(const Environment& environment) {
  PrintFacts(environment.versions);
  PrintFacts(environment.machine);
  PrintFacts(environment.engines);
  absl::PrintF(
      "Latencies:  of whole transactions for batched writes and of whole\n"
      "            calls for multireadrandom, never of their single keys.\n"
      "            Time per operation: what one worker sees; the rate is\n"
      "            that of all workers together.\n"
      "Bytes:      file_bytes is what stat says (LMDB: its whole map),\n"
      "            disk_bytes the blocks the file system gave.\n");
  PrintFacts(environment.sizes);
  for (const std::string& warning : environment.warnings) {
    absl::PrintF("WARNING: %s\n", warning);
  }
  absl::PrintF("------------------------------------------------\n");
}

absl::Status CheckFreeSpace(const RunConfig& config, const std::string& dir) {
  struct statfs info;
  if (statfs(dir.c_str(), &info) != 0) return absl::OkStatus();
  const uint64_t free = static_cast<uint64_t>(info.f_bavail) *
                        static_cast<uint64_t>(info.f_bsize);
  // The database itself up to twice its raw size in pages, and as much again
  // while old and new versions of it exist side by side.
  const uint64_t needed = 4 * RawBytes(config) + (uint64_t{256} << 20);
  absl::PrintF("Disk:       may need %.0f MB in %s, %.0f MB are free\n",
               static_cast<double>(needed) / kMiB, dir,
               static_cast<double>(free) / kMiB);
  if (free >= needed) return absl::OkStatus();
  return absl::ResourceExhaustedError("too little free disk space");
}

}  // namespace eve::bench
