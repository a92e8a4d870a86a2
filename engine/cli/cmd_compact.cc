// eve compact: makes a domain small while others use it.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/progress.h"
#include "engine/cli/stop_signal.h"
#include "engine/cli/verbs.h"
#include "util/status_macros.h"

namespace eve::cli {
namespace {

constexpr char kVerbName[] = "compact";
constexpr OptionSpec kShareOption = {
    "--share", "X", "empty segments with less than X live; 0.95"};
constexpr double kDefaultShare = 0.95;
constexpr double kMiB = 1048576.0;

// What Compact() tells, as one line.
class CompactMeter {
 public:
  explicit CompactMeter(ProgressLine::When when) : line_(when) {}

  void Show(const CompactProgress& now) {
    used_start_ = std::max(used_start_, now.used_bytes);
    if (line_.IsDue()) Draw(now);
  }

  // Nothing is left to be done.
  void ShowEnd(const CompactProgress& now) {
    share_ = 1;
    if (line_.is_drawn()) Draw(now);
  }

 private:
  // What has been given up of what there is to give up. Others may write
  // meanwhile: it does not go back for that.
  void Draw(const CompactProgress& now) {
    const double seconds = line_.seconds();
    const uint64_t goal =
        std::min(used_start_, now.live_bytes + now.pinned_bytes);
    const uint64_t whole = used_start_ - goal;
    const uint64_t done = used_start_ - std::max(goal, now.used_bytes);
    if (whole > 0) {
      share_ = std::max(share_,
                        static_cast<double>(done) / static_cast<double>(whole));
    }
    const double rate =
        seconds > 0 ? static_cast<double>(done) / kMiB / seconds : 0;
    line_.Draw(absl::StrFormat("%3.0f %%  %.1f MB/s freed, file %.1f MB",
                               share_ * 100, rate,
                               static_cast<double>(now.file_bytes) / kMiB) +
               TimeLeft(seconds, share_));
  }

  ProgressLine line_;
  uint64_t used_start_ = 0;
  double share_ = 0;
};

absl::StatusOr<double> ShareArgument(const CommandLine& line) {
  const std::string text = line.Value(kShareOption.name, "");
  if (line.Count(kShareOption.name) == 0) return kDefaultShare;
  double share = 0;
  if (absl::SimpleAtod(text, &share) && share > 0 && share <= 1) return share;
  return absl::InvalidArgumentError(absl::StrCat(
      "--share is a number above 0 and at most 1, not '", text, "'"));
}

struct Sizes {
  uint64_t file_bytes = 0;
  uint64_t disk_bytes = 0;
};

absl::StatusOr<Sizes> SizesOf(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("stat ", path));
  }
  return Sizes{.file_bytes = static_cast<uint64_t>(info.st_size),
               .disk_bytes = static_cast<uint64_t>(info.st_blocks) * 512};
}

struct Outcome {
  Sizes before;
  Sizes after;
  uint64_t live_bytes = 0;
  uint64_t pinned_bytes = 0;
  bool stopped = false;
  absl::Duration elapsed;
};

absl::StatusOr<Outcome> CompactFile(const std::string& path, double share,
                                    ProgressLine::When when) {
  EVE_ASSIGN_OR_RETURN(Domain domain, OpenToWrite(path, /*create=*/false,
                                                  Durability::kCheckpoint));
  CatchStopSignals();
  Outcome outcome;
  const absl::Time start = absl::Now();
  EVE_ASSIGN_OR_RETURN(outcome.before, SizesOf(path));
  {
    CompactMeter progress(when);
    CompactOptions options;
    options.share = share;
    options.progress = [&progress](const CompactProgress& now) {
      progress.Show(now);
      return StopSignal() == 0;
    };
    const absl::Status status = domain.Compact(options);
    outcome.stopped = absl::IsCancelled(status);
    if (!status.ok() && !outcome.stopped) return status;
    EVE_ASSIGN_OR_RETURN(const DomainStats stats, domain.Stats());
    outcome.live_bytes = stats.live_bytes;
    outcome.pinned_bytes = stats.pinned_bytes;
    if (!outcome.stopped) {
      progress.ShowEnd({.live_bytes = stats.live_bytes,
                        .used_bytes = stats.live_bytes + stats.pinned_bytes,
                        .pinned_bytes = stats.pinned_bytes,
                        .file_bytes = stats.file_bytes,
                        .disk_bytes = stats.disk_bytes});
    }
  }
  EVE_RETURN_IF_ERROR(domain.Close());
  EVE_ASSIGN_OR_RETURN(outcome.after, SizesOf(path));
  outcome.elapsed = absl::Now() - start;
  return outcome;
}

void PrintJson(const std::string& path, const Outcome& outcome) {
  JsonObject all;
  all.Add("schema", uint64_t{1})
      .Add("path", std::string_view(path))
      .Add("complete", !outcome.stopped)
      .Add("file_bytes_before", outcome.before.file_bytes)
      .Add("file_bytes", outcome.after.file_bytes)
      .Add("disk_bytes_before", outcome.before.disk_bytes)
      .Add("disk_bytes", outcome.after.disk_bytes)
      .Add("live_bytes", outcome.live_bytes)
      .Add("pinned_bytes", outcome.pinned_bytes)
      .Add("elapsed_ns",
           static_cast<uint64_t>(absl::ToInt64Nanoseconds(outcome.elapsed)));
  Print(all.ToString() + "\n");
}

void PrintText(const std::string& path, const Outcome& outcome) {
  const auto print = [](const char* what, uint64_t before, uint64_t after) {
    std::printf("%s %.1f MB -> %.1f MB", what,
                static_cast<double>(before) / kMiB,
                static_cast<double>(after) / kMiB);
  };
  std::printf("%s: ", path.c_str());
  print("file", outcome.before.file_bytes, outcome.after.file_bytes);
  print(", on disk", outcome.before.disk_bytes, outcome.after.disk_bytes);
  std::printf(" (%.1f s)\n", absl::ToDoubleSeconds(outcome.elapsed));
  if (outcome.pinned_bytes > 0) {
    std::printf("readers keep %.1f MB of it; see 'eve readers'\n",
                static_cast<double>(outcome.pinned_bytes) / kMiB);
  }
}

int RunCompact(const CommandLine& line) {
  const std::string& path = line.words()[0];
  const absl::StatusOr<double> share = ShareArgument(line);
  if (!share.ok()) return UsageError(kVerbName, share.status().message());
  const absl::StatusOr<ProgressLine::When> when = ProgressArgument(line);
  if (!when.ok()) return UsageError(kVerbName, when.status().message());
  const absl::StatusOr<Outcome> outcome = CompactFile(path, *share, *when);
  if (!outcome.ok()) return Fail(outcome.status());
  if (line.Count(kJsonOption.name) > 0) {
    PrintJson(path, *outcome);
  } else if (!IsQuiet(line)) {
    PrintText(path, *outcome);
  }
  if (!outcome->stopped) return kFine;
  std::fprintf(stderr, "eve: stopped; what was done stays done\n");
  return StoppedExitCode();
}

}  // namespace

const Verb& CompactVerb() {
  static const auto* const kVerb = new Verb{
      .name = kVerbName,
      .arguments = "DOMAIN",
      .summary = "make the file small, while others use it",
      .help =
          "Moves what lives to the low end of the file and gives the rest "
          "back. Others may\nread and write meanwhile; what readers hold stays "
          "until they go. Interrupted, it\nkeeps what it has done. Half-filled "
          "segments of 2 MB, five or so, stay: a domain\nof a few megabytes "
          "may be no smaller afterwards.",
      .words_min = 1,
      .words_max = 1,
      .options = {kShareOption, kProgressOption, kQuietOption,
                  kShortQuietOption, kJsonOption},
      .run = RunCompact};
  return *kVerb;
}

}  // namespace eve::cli
