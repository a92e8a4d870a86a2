#include "engine/cli/command_line.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "util/status_macros.h"

namespace eve::cli {
namespace {

absl::StatusOr<const OptionSpec*> FindOption(
    const std::vector<OptionSpec>& options, const std::string& name) {
  const auto spec =
      std::find_if(options.begin(), options.end(),
                   [&](const OptionSpec& o) { return o.name == name; });
  if (spec != options.end()) return &*spec;
  return absl::InvalidArgumentError(
      absl::StrCat("unknown option '", name, "' ('--' ends the options)"));
}

}  // namespace

absl::StatusOr<CommandLine> CommandLine::Parse(
    const std::vector<std::string>& arguments,
    const std::vector<OptionSpec>& options) {
  CommandLine line;
  bool options_ended = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (options_ended || argument.size() < 2 || argument[0] != '-') {
      line.words_.push_back(argument);
    } else if (argument == "--") {
      options_ended = true;
    } else if (argument[1] == '-') {
      EVE_RETURN_IF_ERROR(line.TakeLong(arguments, options, &i));
    } else {
      EVE_RETURN_IF_ERROR(line.TakeLetters(arguments, options, &i));
    }
  }
  return line;
}

absl::Status CommandLine::TakeLong(const std::vector<std::string>& arguments,
                                   const std::vector<OptionSpec>& options,
                                   size_t* index) {
  const std::string& argument = arguments[*index];
  const size_t equals = argument.find('=');
  const std::string name = argument.substr(0, equals);
  EVE_ASSIGN_OR_RETURN(const OptionSpec* spec, FindOption(options, name));
  if (!spec->value_name.empty()) {
    if (equals == std::string::npos) return TakeNext(arguments, name, index);
    options_[name].push_back(argument.substr(equals + 1));
    return absl::OkStatus();
  }
  if (equals != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("option '", name, "' takes no value"));
  }
  options_[name].emplace_back();
  return absl::OkStatus();
}

absl::Status CommandLine::TakeLetters(const std::vector<std::string>& arguments,
                                      const std::vector<OptionSpec>& options,
                                      size_t* index) {
  const std::string& argument = arguments[*index];
  for (size_t at = 1; at < argument.size(); ++at) {
    const std::string name = {'-', argument[at]};
    EVE_ASSIGN_OR_RETURN(const OptionSpec* spec, FindOption(options, name));
    if (spec->value_name.empty()) {
      options_[name].emplace_back();
      continue;
    }
    if (at + 1 == argument.size()) return TakeNext(arguments, name, index);
    options_[name].push_back(argument.substr(at + 1));
    break;
  }
  return absl::OkStatus();
}

absl::Status CommandLine::TakeNext(const std::vector<std::string>& arguments,
                                   const std::string& name, size_t* index) {
  if (++*index == arguments.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("option '", name, "' needs a value"));
  }
  options_[name].push_back(arguments[*index]);
  return absl::OkStatus();
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
