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

namespace eve::cli {
namespace {

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
    return UsageError(verb.name,
                      verb.arguments.empty()
                          ? "no argument is expected"
                          : "expected " + std::string(verb.arguments));
  }
  return verb.run(*line);
}

int Run(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    return UsageError("", "which verb?");
  }
  std::string name = arguments[0];
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (name == "-h" || name == "--help") name = HelpVerb().name;
  if (name == "-V" || name == "--version") name = VersionVerb().name;
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
