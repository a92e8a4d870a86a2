#include "engine/cli/progress.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace eve::cli {
namespace {

constexpr absl::Duration kQuietTime = absl::Seconds(1);
constexpr absl::Duration kRedrawTime = absl::Milliseconds(100);

}  // namespace

bool IsQuiet(const CommandLine& line) {
  return line.Count(kQuietOption.name) + line.Count(kShortQuietOption.name) > 0;
}

ProgressLine::ProgressLine(When when) : when_(when), start_(absl::Now()) {
  if (when == When::kAuto && ::isatty(STDERR_FILENO) != 1) {
    when_ = When::kNever;
  }
}

ProgressLine::~ProgressLine() { End(); }

void ProgressLine::End() {
  if (is_drawn_) std::fputc('\n', stderr);
  is_drawn_ = false;
}

bool ProgressLine::IsDue() const {
  if (when_ == When::kNever) return false;
  const absl::Time at = absl::Now();
  if (when_ == When::kAuto && at - start_ < kQuietTime) return false;
  return !is_drawn_ || at - drawn_ >= kRedrawTime;
}

void ProgressLine::Draw(const std::string& text) {
  // Blanks over what was longer before.
  std::fprintf(stderr, "\r%-60s", text.c_str());
  std::fflush(stderr);
  is_drawn_ = true;
  drawn_ = absl::Now();
}

double ProgressLine::seconds() const {
  return absl::ToDoubleSeconds(absl::Now() - start_);
}

absl::StatusOr<ProgressLine::When> ProgressArgument(const CommandLine& line) {
  const std::string when = line.Value(kProgressOption.name, "auto");
  if (when == "never") return ProgressLine::When::kNever;
  if (when == "always") return ProgressLine::When::kAlways;
  if (when == "auto") {
    return IsQuiet(line) ? ProgressLine::When::kNever
                         : ProgressLine::When::kAuto;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--progress is auto, always or never, not '", when, "'"));
}

std::string TimeLeft(double seconds, double share_done) {
  if (share_done <= 0 || share_done >= 1) return "";
  return absl::StrFormat(", %.0f s left",
                         std::ceil(seconds * (1 - share_done) / share_done));
}

}  // namespace eve::cli
