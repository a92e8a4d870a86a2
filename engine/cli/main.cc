// eve: the command line of Eve.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "engine/cli/command_line.h"
#include "engine/cli/output.h"
#include "engine/cli/verbs.h"
#include "engine/format/constants.h"
#include "eve/version.h"

namespace eve::cli {
namespace {

void PrintHelp() {
  Print("usage: eve VERB [OPTION...] ARGUMENT...\n\n");
  for (const Verb* verb : Verbs()) {
    std::printf("  %-11s %-30s %s\n", std::string(verb->name).c_str(),
                std::string(verb->arguments).c_str(),
                std::string(verb->summary).c_str());
  }
  Print(
      "  help        [VERB]                         explain a verb\n"
      "  version                                    print the version\n\n"
      "Exit codes: 0 done, 1 absent, 2 usage, 3 damage, 4 input, output, "
      "permission\nor a full disk, 130 interrupted. '--' ends the options.\n");
}

void PrintHelpOn(const Verb& verb) {
  std::printf(
      "usage: eve %s [OPTION...] %s\n\n%s\n\n", std::string(verb.name).c_str(),
      std::string(verb.arguments).c_str(), std::string(verb.help).c_str());
  for (const OptionSpec& option : verb.options) {
    std::string left(option.name);
    if (!option.value_name.empty()) {
      left += option.name.starts_with("--") ? '=' : ' ';
      left += option.value_name;
    }
    std::printf("  %-20s %s\n", left.c_str(), std::string(option.help).c_str());
  }
}

int Help(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    PrintHelp();
    return kFine;
  }
  const Verb* verb = FindVerb(arguments[0]);
  if (verb == nullptr) {
    return UsageError("", "unknown verb '" + arguments[0] + "'");
  }
  PrintHelpOn(*verb);
  return kFine;
}

bool AsksForHelp(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    if (argument == "--") return false;
    if (argument == "-h" || argument == "--help") return true;
  }
  return false;
}

int RunVerb(const Verb& verb, const std::vector<std::string>& arguments) {
  if (AsksForHelp(arguments)) {
    PrintHelpOn(verb);
    return kFine;
  }
  const absl::StatusOr<CommandLine> line =
      CommandLine::Parse(arguments, verb.options);
  if (!line.ok()) return UsageError(verb.name, line.status().message());
  const size_t words = line->words().size();
  if (words < verb.words_min || words > verb.words_max) {
    return UsageError(verb.name, "expected " + std::string(verb.arguments));
  }
  return verb.run(*line);
}

int Run(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    return UsageError("", "which verb?");
  }
  const std::string& name = arguments[0];
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (name == "help" || name == "-h" || name == "--help") return Help(rest);
  if (name == "version" || name == "-V" || name == "--version") {
    std::printf("eve %s (file format %u)\n", EVE_VERSION, kFormatVersion);
    return kFine;
  }
  const Verb* verb = FindVerb(name);
  if (verb == nullptr) {
    return UsageError("", "unknown verb '" + name + "'");
  }
  return RunVerb(*verb, rest);
}

}  // namespace
}  // namespace eve::cli

int main(int argc, char** argv) {
  // `eve scan | head` ends without a word.
  std::signal(SIGPIPE, SIG_DFL);
  int code = eve::cli::kFailure;
  try {
    code = eve::cli::Run({argv + 1, argv + argc});
  } catch (const std::bad_alloc&) {
    // A value may be as large as memory; what was committed is committed.
    std::fprintf(stderr, "eve: out of memory\n");
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    std::fprintf(stderr, "eve: writing to stdout: %s\n", std::strerror(errno));
    code = eve::cli::kFailure;
  }
  return code;
}
