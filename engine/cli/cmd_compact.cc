// eve compact: makes a domain small while others use it.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/verbs.h"
#include "util/status_macros.h"

namespace eve::cli {
namespace {

constexpr char kVerbName[] = "compact";
constexpr OptionSpec kShareOption = {
    "--share", "X", "empty segments with less than X live; 0.95"};
constexpr OptionSpec kQuietOption = {"--quiet", "",
                                     "print neither sizes nor progress"};
constexpr OptionSpec kProgressOption = {
    "--progress", "WHEN",
    "auto (on a terminal, after a second), always or never"};

constexpr double kDefaultShare = 0.95;
constexpr double kMiB = 1048576.0;
constexpr int kSignalCodeBase = 128;
constexpr absl::Duration kQuietTime = absl::Seconds(1);
constexpr absl::Duration kRedrawTime = absl::Milliseconds(100);

// The signal that asked to stop; 0: none.
std::atomic<int> stop_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);

void AskToStop(int number) { stop_signal = number; }

// The first one stops the work between two steps, a second one ends the process
// at once: nothing is lost by that either.
void CatchSignals() {
  struct sigaction action = {};
  action.sa_handler = AskToStop;
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
  sigset_t caught;
  sigemptyset(&caught);
  for (const int number : {SIGINT, SIGTERM}) {
    sigaction(number, &action, nullptr);
    sigaddset(&caught, number);
  }
  // Whoever started this may have blocked them.
  sigprocmask(SIG_UNBLOCK, &caught, nullptr);
}

// One line on stderr, drawn again and again.
class ProgressLine {
 public:
  enum class When { kAuto, kAlways, kNever };

  explicit ProgressLine(When when) : when_(when), start_(absl::Now()) {
    if (when == When::kAuto && ::isatty(STDERR_FILENO) != 1) {
      when_ = When::kNever;
    }
  }
  ~ProgressLine() {
    if (is_drawn_) std::fputc('\n', stderr);
  }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Show(const CompactProgress& now) {
    if (when_ == When::kNever) return;
    const absl::Time at = absl::Now();
    used_start_ = std::max(used_start_, now.used_bytes);
    if (when_ == When::kAuto && at - start_ < kQuietTime) return;
    if (is_drawn_ && at - drawn_ < kRedrawTime) return;
    Draw(now, absl::ToDoubleSeconds(at - start_));
    is_drawn_ = true;
    drawn_ = at;
  }

  // Nothing is left to be done.
  void ShowEnd(const CompactProgress& now) {
    share_ = 1;
    if (is_drawn_) Draw(now, absl::ToDoubleSeconds(absl::Now() - start_));
  }

 private:
  // What has been given up of what there is to give up. Others may write
  // meanwhile: it does not go back for that.
  void Draw(const CompactProgress& now, double seconds) {
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
    std::string line =
        absl::StrFormat("%3.0f %%  %.1f MB/s freed, file %.1f MB", share_ * 100,
                        rate, static_cast<double>(now.file_bytes) / kMiB);
    if (share_ > 0 && share_ < 1) {
      absl::StrAppendFormat(&line, ", %.0f s left",
                            std::ceil(seconds * (1 - share_) / share_));
    }
    // Blanks over what was longer before.
    std::fprintf(stderr, "\r%-60s", line.c_str());
    std::fflush(stderr);
  }

  When when_;
  const absl::Time start_;
  absl::Time drawn_;
  bool is_drawn_ = false;
  uint64_t used_start_ = 0;
  double share_ = 0;
};

absl::StatusOr<ProgressLine::When> ProgressArgument(const CommandLine& line) {
  const std::string when = line.Value(kProgressOption.name, "auto");
  const bool is_quiet = line.Count(kQuietOption.name) > 0;
  if (when == "never") return ProgressLine::When::kNever;
  if (when == "always") return ProgressLine::When::kAlways;
  if (when == "auto") {
    return is_quiet ? ProgressLine::When::kNever : ProgressLine::When::kAuto;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--progress is auto, always or never, not '", when, "'"));
}

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
  CatchSignals();
  Outcome outcome;
  const absl::Time start = absl::Now();
  EVE_ASSIGN_OR_RETURN(outcome.before, SizesOf(path));
  {
    ProgressLine progress(when);
    CompactOptions options;
    options.share = share;
    options.progress = [&progress](const CompactProgress& now) {
      progress.Show(now);
      return stop_signal == 0;
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
  } else if (line.Count(kQuietOption.name) == 0) {
    PrintText(path, *outcome);
  }
  if (!outcome->stopped) return kFine;
  std::fprintf(stderr, "eve: stopped; what was done stays done\n");
  return kSignalCodeBase + stop_signal;
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
          "until they go. Interrupted, it\nkeeps what it has done.",
      .words_min = 1,
      .words_max = 1,
      .options = {kShareOption, kProgressOption, kQuietOption, kJsonOption},
      .run = RunCompact};
  return *kVerb;
}

}  // namespace eve::cli
