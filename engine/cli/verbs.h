// The verbs of `eve`. One file each: cmd_<verb>.cc.
//
// Threads:    one.
// Processes:  every verb works while other processes read and write.
// Owns:       nothing.
// Lifetime:   the program's.
// Errors:     messages go to stderr; see output.h for the exit codes.
// Cost:       none.
#ifndef EVE_ENGINE_CLI_VERBS_H_
#define EVE_ENGINE_CLI_VERBS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/cli/command_line.h"

namespace eve::cli {

// Of a verb that takes any number of words.
inline constexpr size_t kWordsMax = SIZE_MAX;

struct Verb {
  std::string_view name;
  std::string_view arguments;  // "DOMAIN COLLECTION KEY"
  std::string_view summary;    // one line
  std::string_view help;       // what the summary does not say
  size_t words_min;
  size_t words_max;
  std::vector<OptionSpec> options;
  int (*run)(const CommandLine& line);
};

const Verb& PutVerb();
const Verb& GetVerb();
const Verb& DelVerb();
const Verb& ScanVerb();
const Verb& CountVerb();
const Verb& WatchVerb();
const Verb& CollectionsVerb();
const Verb& DumpVerb();
const Verb& LoadVerb();
const Verb& StatVerb();
const Verb& ReadersVerb();
const Verb& TopVerb();
const Verb& CheckVerb();
const Verb& RecoverVerb();
const Verb& CompactVerb();
const Verb& CopyVerb();
const Verb& CompletionVerb();
const Verb& HelpVerb();
const Verb& VersionVerb();

// All of them, in the order in which help lists them.
const std::vector<const Verb*>& Verbs();
const Verb* FindVerb(std::string_view name);

// What eve help VERB prints, to stdout.
void PrintHelpOn(const Verb& verb);

// "DOMAIN COLLECTION KEY" as words.
std::vector<std::string_view> ArgumentsOf(const Verb& verb);

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_VERBS_H_
