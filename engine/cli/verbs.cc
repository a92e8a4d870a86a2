#include "engine/cli/verbs.h"

namespace eve::cli {

const std::vector<const Verb*>& Verbs() {
  static const auto* const kVerbs = new std::vector<const Verb*>{
      &PutVerb(),        &GetVerb(),     &DelVerb(),         &ScanVerb(),
      &CountVerb(),      &WatchVerb(),   &CollectionsVerb(), &DumpVerb(),
      &LoadVerb(),       &StatVerb(),    &ReadersVerb(),     &TopVerb(),
      &CheckVerb(),      &RecoverVerb(), &CopyVerb(),        &CompactVerb(),
      &CompletionVerb(), &HelpVerb(),    &VersionVerb()};
  return *kVerbs;
}

const Verb* FindVerb(std::string_view name) {
  for (const Verb* verb : Verbs()) {
    if (verb->name == name) return verb;
  }
  return nullptr;
}

std::vector<std::string_view> ArgumentsOf(const Verb& verb) {
  std::vector<std::string_view> words;
  for (std::string_view rest = verb.arguments; !rest.empty();) {
    const size_t blank = rest.find(' ');
    words.push_back(rest.substr(0, blank));
    rest.remove_prefix(blank == rest.npos ? rest.size() : blank + 1);
  }
  return words;
}

}  // namespace eve::cli
