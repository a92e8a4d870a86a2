// CommandLine: a verb's arguments, taken apart.
//
// Threads:    value type.
// Processes:  none.
// Owns:       its strings.
// Lifetime:   none.
// Errors:     kInvalidArgument with a sentence for the user.
// Cost:       none.
#ifndef EVE_ENGINE_CLI_COMMAND_LINE_H_
#define EVE_ENGINE_CLI_COMMAND_LINE_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace eve::cli {

// An option of a verb. "--json" or, with a value, "--limit N" or "--limit=N".
// Letters as getopt has them: "-p -s N", "-psN".
struct OptionSpec {
  std::string_view name;        // "--limit"
  std::string_view value_name;  // "N"; empty: takes no value
  std::string_view help;
};

class CommandLine {
 public:
  // `arguments` are those after the verb. "--" ends the options; "-" is no
  // option.
  static absl::StatusOr<CommandLine> Parse(
      const std::vector<std::string>& arguments,
      const std::vector<OptionSpec>& options);

  const std::vector<std::string>& words() const { return words_; }
  // How often a flag was given.
  int Count(std::string_view option) const;
  // The last value of an option, or `otherwise`.
  std::string Value(std::string_view option, std::string_view otherwise) const;
  absl::StatusOr<uint64_t> Number(std::string_view option,
                                  uint64_t otherwise) const;

 private:
  // What begins at `*index` of the arguments; leaves it at the last one that
  // was used.
  absl::Status TakeLong(const std::vector<std::string>& arguments,
                        const std::vector<OptionSpec>& options, size_t* index);
  absl::Status TakeLetters(const std::vector<std::string>& arguments,
                           const std::vector<OptionSpec>& options,
                           size_t* index);
  absl::Status TakeNext(const std::vector<std::string>& arguments,
                        const std::string& name, size_t* index);

  std::vector<std::string> words_;
  std::map<std::string, std::vector<std::string>, std::less<>> options_;
};

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_COMMAND_LINE_H_
