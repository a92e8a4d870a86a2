// eve top: what the processes of a domain are doing, again and again.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/reader_table.h"
#include "engine/cli/verbs.h"
#include "util/status_macros.h"

namespace eve::cli {
namespace {

using Wide = unsigned long long;  // what printf takes

constexpr size_t kReadersShown = 10;
constexpr absl::Duration kIntervalMax = absl::Hours(24);

constexpr OptionSpec kIntervalOption = {"--interval", "TIME",
                                        "between two looks: 1s, 500ms"};
constexpr OptionSpec kTimesOption = {"--count", "N", "end after N looks"};

struct Sample {
  absl::Time at;
  DomainStats stats;
  std::vector<ReaderInfo> readers;  // the slowest first
};

// Opens and closes the domain each time: between two looks nothing is pinned,
// no slot is taken, and a domain that nobody has open stays so. A look at one
// that all have closed would otherwise hold back those who come (P25).
absl::StatusOr<Sample> Look(const std::string& path) {
  EVE_ASSIGN_OR_RETURN(const Domain domain, OpenToRead(path));
  Sample sample;
  EVE_ASSIGN_OR_RETURN(sample.stats, domain.Stats());
  EVE_ASSIGN_OR_RETURN(sample.readers, domain.Readers());
  sample.at = absl::Now();
  RemoveThisProcess(sample.readers);
  sample.stats.processes = static_cast<uint64_t>(
      std::count_if(sample.readers.begin(), sample.readers.end(),
                    [](const ReaderInfo& r) { return !r.is_unpinned; }));
  std::stable_sort(sample.readers.begin(), sample.readers.end(),
                   [](const ReaderInfo& a, const ReaderInfo& b) {
                     if (a.is_unpinned != b.is_unpinned) return a.is_unpinned;
                     if (a.alone_bytes != b.alone_bytes) {
                       return a.alone_bytes > b.alone_bytes;
                     }
                     return a.lag > b.lag;
                   });
  return sample;
}

// What happened a second, on average since the look before.
struct Rate {
  const char* name;
  uint64_t DomainStats::*counter;
};
constexpr Rate kRates[] = {
    {"commits", &DomainStats::commits},
    {"conflicts", &DomainStats::conflicts},
    {"restamps", &DomainStats::restamps},
    {"replays", &DomainStats::replays},
    {"waits", &DomainStats::waits},
    {"bytes_committed", &DomainStats::bytes_committed},
    {"blocks_moved", &DomainStats::blocks_moved},
    {"bytes_moved", &DomainStats::bytes_moved},
    {"segments_freed", &DomainStats::segments_freed},
    {"bytes_punched", &DomainStats::bytes_punched},
    {"checkpoints", &DomainStats::checkpoints},
};

uint64_t RateOf(const Rate& rate, const Sample& before, const Sample& now) {
  const uint64_t from = before.stats.*rate.counter;
  const uint64_t to = now.stats.*rate.counter;
  const double seconds = absl::ToDoubleSeconds(now.at - before.at);
  // Counters begin anew when all have closed the domain.
  if (to < from || seconds <= 0) return 0;
  return static_cast<uint64_t>(static_cast<double>(to - from) / seconds + 0.5);
}

const Rate kLevels[] = {
    {"version", &DomainStats::version},
    {"durable_version", &DomainStats::durable_version},
    {"live_bytes", &DomainStats::live_bytes},
    {"dead_bytes", &DomainStats::dead_bytes},
    {"free_bytes", &DomainStats::free_bytes},
    {"pinned_bytes", &DomainStats::pinned_bytes},
    {"durable_held_bytes", &DomainStats::durable_held_bytes},
    {"file_bytes", &DomainStats::file_bytes},
    {"disk_bytes", &DomainStats::disk_bytes},
    {"processes", &DomainStats::processes},
    {"pins", &DomainStats::pins},
    {"oldest_pin_lag", &DomainStats::oldest_pin_lag},
};

void PrintJson(const Sample* before, const Sample& now) {
  JsonObject all;
  all.Add("schema", uint64_t{1});
  all.Add("time_ns", static_cast<uint64_t>(absl::ToUnixNanos(now.at)));
  for (const Rate& level : kLevels) {
    all.Add(level.name, now.stats.*level.counter);
  }
  all.Add("write_amplification", now.stats.write_amplification);
  if (before != nullptr) {
    all.Add("elapsed_ns", static_cast<uint64_t>(
                              absl::ToInt64Nanoseconds(now.at - before->at)));
    for (const Rate& rate : kRates) {
      all.Add(std::string(rate.name) + "_per_second",
              RateOf(rate, *before, now));
    }
  }
  all.AddJson("readers", ReadersToJson(now.readers));
  Print(all.ToString() + "\n");
}

void PrintText(const std::string& path, const Sample* before,
               const Sample& now) {
  std::printf(
      "%s  %s\n", path.c_str(),
      absl::FormatTime("%H:%M:%S", now.at, absl::LocalTimeZone()).c_str());
  for (const Rate& level : kLevels) {
    std::printf("%-19s %llu\n", level.name,
                static_cast<Wide>(now.stats.*level.counter));
  }
  std::printf("%-19s %.2f\n", "write_amplification",
              now.stats.write_amplification);
  for (const Rate& rate : kRates) {
    if (before == nullptr) continue;
    std::printf("%-19s %llu/s\n", rate.name,
                static_cast<Wide>(RateOf(rate, *before, now)));
  }
  if (!now.readers.empty()) PrintReaderHeading();
  for (size_t i = 0; i < std::min(now.readers.size(), kReadersShown); ++i) {
    PrintReader(now.readers[i]);
  }
  if (now.readers.size() > kReadersShown) {
    std::printf("and %zu more\n", now.readers.size() - kReadersShown);
  }
}

// Returns false at once when nobody reads stdout any more.
bool Wait(absl::Duration interval) {
  pollfd out{STDOUT_FILENO, 0, 0};
  const int ready =
      ::poll(&out, 1, static_cast<int>(absl::ToInt64Milliseconds(interval)));
  return ready <= 0 || (out.revents & (POLLERR | POLLHUP)) == 0;
}

int RunTop(const CommandLine& line) {
  const std::string& path = line.words()[0];
  absl::Duration interval = absl::Seconds(1);
  const std::string text = line.Value(kIntervalOption.name, "1s");
  if (!absl::ParseDuration(text, &interval) ||
      interval < absl::Milliseconds(1) || interval > kIntervalMax) {
    return UsageError(
        "top", "--interval is a time like 1s or 500ms, not '" + text + "'");
  }
  const absl::StatusOr<uint64_t> count =
      line.Number(kTimesOption.name, UINT64_MAX);
  if (!count.ok()) return UsageError("top", count.status().message());
  const bool is_json = line.Count(kJsonOption.name) > 0;
  const bool is_terminal = ::isatty(STDOUT_FILENO) == 1 && !is_json;
  absl::StatusOr<Sample> before = absl::UnknownError("no look yet");
  for (uint64_t i = 0; i < *count; ++i) {
    if (i > 0 && !Wait(interval)) break;
    absl::StatusOr<Sample> now = Look(path);
    if (!now.ok()) return Fail(now.status());
    const Sample* const last = before.ok() ? &*before : nullptr;
    if (is_terminal) Print("\x1b[H\x1b[J");
    if (is_json) {
      PrintJson(last, *now);
    } else {
      if (!is_terminal && i > 0) Print("\n");
      PrintText(path, last, *now);
    }
    // What could not be written is told at exit.
    if (std::fflush(stdout) != 0) break;
    before = std::move(now);
  }
  return kFine;
}

}  // namespace

const Verb& TopVerb() {
  static const auto* const kVerb = new Verb{
      .name = "top",
      .arguments = "DOMAIN",
      .summary = "show what goes on in a domain, again and again",
      .help =
          "Rates are averages since the look before, so the first has none; "
          "below them the\nprocesses whose pins hold the most. Nothing is "
          "pinned between two looks. On a\nterminal the screen is drawn anew; "
          "--json prints an object a line.",
      .words_min = 1,
      .words_max = 1,
      .options = {kIntervalOption, kTimesOption, kJsonOption},
      .run = RunTop};
  return *kVerb;
}

}  // namespace eve::cli
