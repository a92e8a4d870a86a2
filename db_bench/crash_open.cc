// crash_open [--file=PATH] [--megabytes=N] [--turns=N] [--none=1]: how long it
// takes to open a domain of N megabytes after its process was killed, and after
// the page cache is gone and the lock file is of another boot, as after a power
// failure.
//
// Each turn a child fills, with checkpoints, makes 2,000 commits more and is
// killed; what is timed is Domain::Open and the first Get. Prints milliseconds,
// the median and the most. With --none=1 each turn fills a new file without
// checkpoints, and what a power failure would leave is not timed: nothing.

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "engine/file/file.h"
#include "engine/format/shared_layout.h"
#include "eve/eve.h"
#include "util/clock.h"
#include "util/random.h"

namespace eve {
namespace {

using Strings = Map<std::string, std::string>;

constexpr uint64_t kBatch = 1000;
constexpr uint64_t kLateCommits = 2000;

struct Flags {
  std::string file = "crash_open.eve";
  uint64_t megabytes = 1024;
  uint64_t turns = 5;
  uint64_t none = 0;  // 1: Durability::kNone
};

// Fills up to the size, then commits one by one until it is killed.
int FillAndDie(const Flags& flags, uint64_t turn) {
  DomainOptions options;
  if (flags.none != 0) options.durability = Durability::kNone;
  absl::StatusOr<Domain> domain = Domain::Open(flags.file, options);
  if (!domain.ok()) return 1;
  absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
  if (!map.ok()) return 2;
  Random random(turn);
  const std::string value(1000, 'v');
  const auto put = [&](uint64_t count) {
    return domain
        ->Swap([&](Transaction& txn) -> absl::Status {
          for (uint64_t i = 0; i < count; ++i) {
            const std::string key = absl::StrFormat("%016x", random.Next());
            absl::Status status = map->In(txn).Put(key, value);
            if (!status.ok()) return status;
          }
          return map->In(txn).Put("probe", "there");
        })
        .status();
  };
  while (domain->Stats()->live_bytes < flags.megabytes << 20) {
    for (int i = 0; i < 8; ++i) {
      if (!put(kBatch).ok()) return 3;
    }
  }
  for (uint64_t i = 0; i < kLateCommits; ++i) {
    if (!put(1).ok()) return 4;
  }
  return ::raise(SIGKILL);
}

struct Opened {
  double millis = 0;
  std::string how;
};

std::optional<Opened> TimeOpen(const Flags& flags) {
  DomainOptions options;
  options.background = false;
  const uint64_t begin = MonotonicNanos();
  absl::StatusOr<Domain> domain = Domain::Open(flags.file, options);
  if (!domain.ok()) return std::nullopt;
  absl::StatusOr<Strings> map = domain->Collection<Strings>("m");
  if (!map.ok() || map->Get("probe").value_or("") != "there") {
    return std::nullopt;
  }
  Opened opened;
  opened.millis = static_cast<double>(MonotonicNanos() - begin) / 1e6;
  opened.how = domain->Stats()->recovery;
  return opened;
}

void Print(const char* what, std::vector<double> millis,
           const std::string& how) {
  if (millis.empty()) return;
  std::sort(millis.begin(), millis.end());
  std::printf("%-32s %8.2f %8.2f   %s\n", what, millis[millis.size() / 2],
              millis.back(), how.c_str());
}

int Run(const Flags& flags) {
  std::vector<double> killed;
  std::vector<double> power;
  std::string how_killed;
  std::string how_power;
  for (uint64_t turn = 0; turn < 2 * flags.turns; ++turn) {
    if (flags.none != 0 && turn % 2 == 1) continue;
    if (flags.none != 0) std::filesystem::remove(flags.file);
    const pid_t child = ::fork();
    if (child == 0) ::_exit(FillAndDie(flags, turn));
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!WIFSIGNALED(status)) return 1;
    const bool is_power = turn % 2 == 1;
    if (is_power) {
      const absl::StatusOr<File> lock =
          File::Open(flags.file + "-lock", O_RDWR);
      const uint8_t other[sizeof(RegionHeader::boot_id)] = {1};
      if (!lock.ok() ||
          !lock->WriteAt(offsetof(RegionHeader, boot_id), other, sizeof(other))
               .ok()) {
        return 2;
      }
      const absl::StatusOr<File> file = File::Open(flags.file, O_RDWR);
      // What the machine had in memory only would be lost; here it is written,
      // so that the cache can be dropped.
      if (!file.ok() || !file->Sync().ok()) return 2;
      file->DropCache();
    }
    const std::optional<Opened> opened = TimeOpen(flags);
    if (!opened.has_value()) return 3;
    (is_power ? power : killed).push_back(opened->millis);
    (is_power ? how_power : how_killed) = opened->how;
  }
  std::printf(
      "%ju MB of file, median and most of %ju, ms\n",
      static_cast<uintmax_t>(std::filesystem::file_size(flags.file) >> 20),
      static_cast<uintmax_t>(flags.turns));
  Print("after kill -9", killed, how_killed);
  Print("in another boot, without cache", power, how_power);
  return 0;
}

}  // namespace
}  // namespace eve

int main(int argc, char** argv) {
  eve::Flags flags;
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (absl::ConsumePrefix(&argument, "--file=")) {
      flags.file = std::string(argument);
      continue;
    }
    uint64_t* value =
        absl::ConsumePrefix(&argument, "--megabytes=") ? &flags.megabytes
        : absl::ConsumePrefix(&argument, "--turns=")   ? &flags.turns
        : absl::ConsumePrefix(&argument, "--none=")    ? &flags.none
                                                       : nullptr;
    if (value == nullptr || !absl::SimpleAtoi(argument, value)) {
      std::fprintf(stderr,
                   "usage: crash_open [--file=PATH] [--megabytes=N] "
                   "[--turns=N] [--none=1]\n");
      return 2;
    }
  }
  return eve::Run(flags);
}
