// The rules of the house style that a program can check. Each is a function
// from a source to findings, and has a test that shows it a bad snippet.
//
// Threads:    pure functions.
// Processes:  none.
// Owns:       none.
// Lifetime:   findings own their text.
// Errors:     none.
// Cost:       one pass over the lines per rule.
#ifndef EVE_TESTS_TIDY_RULES_H_
#define EVE_TESTS_TIDY_RULES_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/tidy/allow_list.h"
#include "tests/tidy/source.h"

namespace eve::tidy {

inline constexpr size_t kFileLinesSoftMax = 500;
inline constexpr size_t kFileLinesMax = 800;
inline constexpr size_t kFunctionLinesMax = 70;
inline constexpr size_t kColumnsMax = 80;

struct Finding {
  std::string rule;
  std::string path;
  size_t line = 0;  // from 1
  std::string text;
  bool warning = false;

  // "path:line: [rule] text"
  std::string ToString() const;
};

using Findings = std::vector<Finding>;

// layers: who includes whom.
Findings CheckLayers(const Source& source);
// file-length (soft: a warning), columns, ascii, file-name, header-guard.
Findings CheckShape(const Source& source);
// function-length.
Findings CheckFunctionLengths(const Source& source);
// banned-word, hash, reinterpret-cast, memory-order, sleep, todo, empty-catch.
Findings CheckWords(const Source& source);
// layout: structs marked PERSISTED or SHARED have an EVE_LAYOUT line.
Findings CheckLayouts(const Source& source);

// All of the above, without what `allowances` permits.
Findings CheckSource(const Source& source,
                     std::span<const Allowance> allowances = kAllowances);

}  // namespace eve::tidy

#endif  // EVE_TESTS_TIDY_RULES_H_
