// A source file as the tidy rules see it.
//
// Threads:    plain values.
// Processes:  none.
// Owns:       the text.
// Lifetime:   none.
// Errors:     none; text that is not C++ gives odd lines, not a failure.
// Cost:       one pass over the text.
#ifndef EVE_TESTS_TIDY_SOURCE_H_
#define EVE_TESTS_TIDY_SOURCE_H_

#include <string>
#include <string_view>
#include <vector>

namespace eve::tidy {

struct Source {
  // From the root of the repository: "engine/file/mapping.h".
  std::string path;
  // The lines as they are.
  std::vector<std::string> lines;
  // The same lines with comments and the insides of literals blanked, so that
  // a rule about code is not broken by prose about the rule.
  std::vector<std::string> code;
};

Source MakeSource(std::string path, std::string_view text);

// The position of `word` in `line` at or after `from` where it is not part of a
// longer identifier, or npos. `word` may contain punctuation.
size_t FindWord(std::string_view line, std::string_view word, size_t from = 0);
bool HasWord(std::string_view line, std::string_view word);

}  // namespace eve::tidy

#endif  // EVE_TESTS_TIDY_SOURCE_H_
