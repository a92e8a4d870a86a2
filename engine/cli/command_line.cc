#include "engine/cli/command_line.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace eve::cli {

absl::StatusOr<CommandLine> CommandLine::Parse(
    const std::vector<std::string>& arguments,
    const std::vector<OptionSpec>& options) {
  CommandLine line;
  bool options_ended = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (options_ended || argument.size() < 2 || argument[0] != '-') {
      line.words_.push_back(argument);
      continue;
    }
    if (argument == "--") {
      options_ended = true;
      continue;
    }
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    const auto spec =
        std::find_if(options.begin(), options.end(),
                     [&](const OptionSpec& o) { return o.name == name; });
    if (spec == options.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown option '", name, "' ('--' ends the options)"));
    }
    std::string value;
    if (!spec->value_name.empty()) {
      if (equals != std::string::npos) {
        value = argument.substr(equals + 1);
      } else if (++i < arguments.size()) {
        value = arguments[i];
      } else {
        return absl::InvalidArgumentError(
            absl::StrCat("option '", name, "' needs a value"));
      }
    } else if (equals != std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("option '", name, "' takes no value"));
    }
    line.options_[name].push_back(std::move(value));
  }
  return line;
}

int CommandLine::Count(std::string_view option) const {
  const auto found = options_.find(option);
  return found == options_.end() ? 0 : static_cast<int>(found->second.size());
}

std::string CommandLine::Value(std::string_view option,
                               std::string_view otherwise) const {
  const auto found = options_.find(option);
  return found == options_.end() ? std::string(otherwise)
                                 : found->second.back();
}

absl::StatusOr<uint64_t> CommandLine::Number(std::string_view option,
                                             uint64_t otherwise) const {
  const auto found = options_.find(option);
  if (found == options_.end()) return otherwise;
  uint64_t number = 0;
  if (!absl::SimpleAtoi(found->second.back(), &number)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", found->second.back(), "' is not a number of 64 bits"));
  }
  return number;
}

}  // namespace eve::cli
