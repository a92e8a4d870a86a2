// eve help: explains the verbs, from their table.
#include <cstdio>
#include <string>

#include "engine/cli/output.h"
#include "engine/cli/verbs.h"

namespace eve::cli {
namespace {

void PrintVerbs() {
  Print("usage: eve VERB [OPTION...] ARGUMENT...\n\n");
  for (const Verb* verb : Verbs()) {
    std::printf("  %-11s %-30s %s\n", std::string(verb->name).c_str(),
                std::string(verb->arguments).c_str(),
                std::string(verb->summary).c_str());
  }
  Print(
      "\nExit codes: 0 done, 1 absent, 2 usage, 3 damage, 4 input, output, "
      "permission\nor a full disk, 5 gave up waiting, 130 interrupted. '--' "
      "ends the options.\n");
}

int RunHelp(const CommandLine& line) {
  if (line.words().empty()) {
    PrintVerbs();
    return kFine;
  }
  const std::string& name = line.words()[0];
  const Verb* verb = FindVerb(name);
  if (verb == nullptr) return UsageError("", "unknown verb '" + name + "'");
  PrintHelpOn(*verb);
  return kFine;
}

}  // namespace

void PrintHelpOn(const Verb& verb) {
  std::string usage = "usage: eve " + std::string(verb.name) + " [OPTION...]";
  if (!verb.arguments.empty()) usage += " " + std::string(verb.arguments);
  Print(usage + "\n\n" + std::string(verb.help) + "\n\n");
  for (const OptionSpec& option : verb.options) {
    std::string left(option.name);
    if (!option.value_name.empty()) {
      left += option.name.starts_with("--") ? '=' : ' ';
      left += option.value_name;
    }
    std::printf("  %-20s %s\n", left.c_str(), std::string(option.help).c_str());
  }
}

const Verb& HelpVerb() {
  static const auto* const kVerb =
      new Verb{.name = "help",
               .arguments = "[VERB]",
               .summary = "explain a verb",
               .help = "Lists the verbs, or says what one does and takes.",
               .words_min = 0,
               .words_max = 1,
               .options = {},
               .run = RunHelp};
  return *kVerb;
}

}  // namespace eve::cli
