#include "db_bench/environment.h"

#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
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
  return config.num * (config.key_size + config.value_size);
}

void PrintMachine(const std::string& db_dir) {
  utsname system;
  uname(&system);
  absl::PrintF("CPU:         %d x %s\n", sysconf(_SC_NPROCESSORS_ONLN),
               ProcField("/proc/cpuinfo", "model name"));
  absl::PrintF("Kernel:      %s %s %s\n", system.sysname, system.release,
               system.machine);
  absl::PrintF("Memory:      %s, %s available; huge pages: %s\n",
               ProcField("/proc/meminfo", "MemTotal"),
               ProcField("/proc/meminfo", "MemAvailable"),
               FirstLine("/sys/kernel/mm/transparent_hugepage/enabled"));
  absl::PrintF("File system: %s\n", MountOf(db_dir));
  absl::PrintF("Directory:   %s\n", db_dir);
  absl::PrintF("Build:       %s, %s\n",
#if defined(__clang__)
               absl::StrCat("Clang ", __clang_version__),
#else
               absl::StrCat("GCC ", __VERSION__),
#endif
               BuildMode());
  absl::PrintF("Clock:       %.0f ns, called once per measured latency\n",
               ClockCallNanos());
}

}  // namespace

void PrintEnvironment(const RunConfig& config, const std::string& db_dir,
                      const std::vector<const EngineInfo*>& engines) {
  PrintMachine(db_dir);
  absl::PrintF("Keys:        %d bytes each\n", config.key_size);
  absl::PrintF("Values:      %d bytes each\n", config.value_size);
  absl::PrintF("Entries:     %d\n", config.num);
  absl::PrintF("RawSize:     %.1f MB (estimated)\n",
               static_cast<double>(RawBytes(config)) / kMiB);
  absl::PrintF(
      "Workers:     %d processes x %d threads; --reads=%d and "
      "--writes=%d are shared out\n",
      config.processes, config.threads, config.reads, config.writes);
  absl::PrintF("Durability:  %s%s\n", config.durability_name,
               config.settle ? "; settled before reads" : "");
  const auto durability = static_cast<size_t>(config.durability);
  for (const EngineInfo* engine : engines) {
    absl::PrintF("  %-10s %s: %s; %s\n", engine->name, engine->version,
                 engine->durability[durability], engine->settings);
  }
  absl::PrintF(
      "Percentiles: of whole transactions for batched writes and of whole\n"
      "             calls for multireadrandom, never of their single keys.\n"
      "             Time per operation: what one worker sees; the rate is\n"
      "             that of all workers together.\n"
      "Bytes:       file_bytes is what stat says (LMDB: its whole map),\n"
      "             disk_bytes the blocks the file system gave.\n");
#if !defined(__OPTIMIZE__) || !defined(NDEBUG) || \
    defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  absl::PrintF("WARNING: %s\n", BuildMode());
#endif
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
  absl::PrintF("Disk:        may need %.0f MB in %s, %.0f MB are free\n",
               static_cast<double>(needed) / kMiB, dir,
               static_cast<double>(free) / kMiB);
  if (free >= needed) return absl::OkStatus();
  return absl::ResourceExhaustedError("too little free disk space");
}

}  // namespace eve::bench
