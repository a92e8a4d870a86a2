// eve copy: one version of a domain as another file, while others use it.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "absl/status/status.h"
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

constexpr char kVerbName[] = "copy";
constexpr OptionSpec kCompactOption = {"--compact", "",
                                       "pack what lives into a new domain"};
constexpr OptionSpec kForceOption = {"--force", "",
                                     "replace a file that is there"};
constexpr std::string_view kStdout = "-";
constexpr double kMiB = 1048576.0;

struct CopyRequest {
  std::string from;
  std::string to;
  BackupOptions options;
  ProgressLine::When progress = ProgressLine::When::kAuto;
  bool has_json = false;
  bool is_quiet = false;

  bool is_stream() const { return to == kStdout; }
};

absl::StatusOr<CopyRequest> RequestOf(const CommandLine& line) {
  CopyRequest request;
  request.from = line.words()[0];
  request.to = line.words()[1];
  request.options.compact = line.Count(kCompactOption.name) > 0;
  request.options.overwrite = line.Count(kForceOption.name) > 0;
  request.has_json = line.Count(kJsonOption.name) > 0;
  request.is_quiet = IsQuiet(line);
  EVE_ASSIGN_OR_RETURN(request.progress, ProgressArgument(line));
  if (!request.is_stream()) return request;
  if (request.has_json) {
    return absl::InvalidArgumentError(
        "--json prints to stdout, which gets the copy");
  }
  if (::isatty(STDOUT_FILENO) == 1) {
    return absl::InvalidArgumentError(
        "stdout is a terminal, which is no place for a copy");
  }
  return request;
}

void Show(const BackupProgress& now, bool is_packed, ProgressLine& line) {
  if (!line.IsDue()) return;
  if (now.is_verifying) {
    line.Draw("100 %  verifying");
    return;
  }
  const double seconds = line.seconds();
  const double share = now.total == 0 ? 1
                                      : static_cast<double>(now.done) /
                                            static_cast<double>(now.total);
  std::string text = absl::StrFormat("%3.0f %%", share * 100);
  if (!is_packed && seconds > 0) {
    absl::StrAppendFormat(&text, "  %.1f MB/s",
                          static_cast<double>(now.done) / kMiB / seconds);
  }
  line.Draw(text + TimeLeft(seconds, share));
}

absl::StatusOr<BackupResult> Copy(const CopyRequest& request) {
  EVE_ASSIGN_OR_RETURN(const Domain domain, OpenToRead(request.from));
  CatchStopSignals();
  ProgressLine line(request.progress);
  BackupOptions options = request.options;
  options.progress = [&](const BackupProgress& now) {
    Show(now, options.compact, line);
    return StopSignal() == 0;
  };
  return request.is_stream() ? domain.BackupTo(STDOUT_FILENO, options)
                             : domain.Backup(request.to, options);
}

void PrintJson(const CopyRequest& request, const BackupResult& result,
               absl::Duration elapsed) {
  JsonObject all;
  all.Add("schema", uint64_t{1})
      .Add("path", std::string_view(request.from))
      .Add("copy", std::string_view(request.to))
      .Add("version", result.version)
      .Add("file_bytes", result.file_bytes)
      .Add("written_bytes", result.written_bytes)
      .Add("elapsed_ns",
           static_cast<uint64_t>(absl::ToInt64Nanoseconds(elapsed)));
  Print(all.ToString() + "\n");
}

// To stderr where stdout has the copy.
void PrintText(const CopyRequest& request, const BackupResult& result,
               absl::Duration elapsed) {
  std::fprintf(request.is_stream() ? stderr : stdout,
               "%s: version %llu, %.1f MB in a file of %.1f MB, verified "
               "(%.1f s)\n",
               request.is_stream() ? request.from.c_str() : request.to.c_str(),
               static_cast<unsigned long long>(result.version),
               static_cast<double>(result.written_bytes) / kMiB,
               static_cast<double>(result.file_bytes) / kMiB,
               absl::ToDoubleSeconds(elapsed));
}

int RunCopy(const CommandLine& line) {
  const absl::StatusOr<CopyRequest> request = RequestOf(line);
  if (!request.ok()) return UsageError(kVerbName, request.status().message());
  const absl::Time start = absl::Now();
  const absl::StatusOr<BackupResult> result = Copy(*request);
  if (absl::IsCancelled(result.status()) && StopSignal() != 0) {
    std::fprintf(stderr, "eve: stopped; there is no copy\n");
    return StoppedExitCode();
  }
  if (absl::IsAlreadyExists(result.status())) {
    std::fprintf(stderr, "eve: %s: exists; name another file, or add --force\n",
                 request->to.c_str());
    return kFailure;
  }
  if (!result.ok()) return Fail(result.status());
  const absl::Duration elapsed = absl::Now() - start;
  if (request->has_json) {
    PrintJson(*request, *result, elapsed);
  } else if (!request->is_quiet) {
    PrintText(*request, *result, elapsed);
  }
  return kFine;
}

}  // namespace

const Verb& CopyVerb() {
  static const auto* const kVerb = new Verb{
      .name = kVerbName,
      .arguments = "DOMAIN FILE",
      .summary = "copy one version while others use it",
      .help =
          "All that the newest version has, every block where it is; free "
          "space is a hole. The\nfile gets its name when all is on disk and "
          "has been verified: interrupted, there\nis none. With '-' the copy "
          "goes to stdout: what is read is verified; check what\narrives. "
          "--compact writes a new domain with the same collections, as small "
          "as they\nallow, whose versions begin anew (to stdout by way of a "
          "file in $TMPDIR or /tmp); the\nplain copy is the same domain: do "
          "not let both be written under one name.",
      .words_min = 2,
      .words_max = 2,
      .options = {kCompactOption, kForceOption, kProgressOption, kQuietOption,
                  kShortQuietOption, kJsonOption},
      .run = RunCopy};
  return *kVerb;
}

}  // namespace eve::cli
