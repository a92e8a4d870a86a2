// ProgressLine: one line on stderr, drawn again and again.
//
// Threads:    one.
// Processes:  none.
// Owns:       the line; ends it when it goes.
// Lifetime:   that of the work.
// Errors:     none.
// Cost:       a look at the clock per IsDue().
#ifndef EVE_ENGINE_CLI_PROGRESS_H_
#define EVE_ENGINE_CLI_PROGRESS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/cli/command_line.h"

namespace eve::cli {

inline constexpr OptionSpec kProgressOption = {
    "--progress", "WHEN",
    "auto (on a terminal, after a second), always or never"};
inline constexpr OptionSpec kQuietOption = {
    "--quiet", "", "print neither a summary nor progress"};
inline constexpr OptionSpec kShortQuietOption = {"-q", "", "as --quiet"};

bool IsQuiet(const CommandLine& line);

class ProgressLine {
 public:
  enum class When { kAuto, kAlways, kNever };

  explicit ProgressLine(When when);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // Whether it is time to draw: at most ten times a second, and on a terminal
  // not in the first one.
  bool IsDue() const;
  void Draw(const std::string& text);
  // Ends the line, before something else is printed.
  void End();
  bool is_drawn() const { return is_drawn_; }
  double seconds() const;  // since the start

 private:
  When when_;
  const absl::Time start_;
  absl::Time drawn_;
  bool is_drawn_ = false;
};

// What --progress and --quiet say.
absl::StatusOr<ProgressLine::When> ProgressArgument(const CommandLine& line);

// ", 12 s left", or nothing when that cannot be known.
std::string TimeLeft(double seconds, double share_done);

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_PROGRESS_H_
