#include "tests/tidy/rules.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace eve::tidy {
namespace {

void Add(Findings& findings, const Source& source, std::string_view rule,
         size_t index, std::string text) {
  findings.push_back(Finding{.rule = std::string(rule),
                             .path = source.path,
                             .line = index + 1,
                             .text = std::move(text)});
}

std::string Quoted(std::string_view text) {
  std::string quoted = "'";
  quoted += text;
  quoted += '\'';
  return quoted;
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

bool IsHeader(const Source& source) { return source.path.ends_with(".h"); }

// EVE_UTIL_CHECK_H_ for util/check.h, EVE_DOMAIN_H_ for include/eve/domain.h.
std::string GuardOf(std::string_view path) {
  constexpr std::string_view kPublic = "include/eve/";
  if (path.starts_with(kPublic)) path.remove_prefix(kPublic.size());
  std::string guard = "EVE_";
  for (char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    guard +=
        std::isalnum(byte) != 0 ? static_cast<char>(std::toupper(byte)) : '_';
  }
  return guard + "_";
}

void CheckGuard(const Source& source, Findings& findings) {
  if (!IsHeader(source)) return;
  const std::string guard = GuardOf(source.path);
  for (size_t i = 0; i < source.code.size(); ++i) {
    const std::string_view line = source.code[i];
    if (Trimmed(line).empty()) continue;
    const bool defined =
        i + 1 < source.code.size() && source.code[i + 1] == "#define " + guard;
    if (line == "#ifndef " + guard && defined) return;
    Add(findings, source, "header-guard", i, "the guard is " + guard);
    return;
  }
  Add(findings, source, "header-guard", 0, "the guard is " + guard);
}

void CheckFileName(const Source& source, Findings& findings) {
  std::string_view name = source.path;
  name.remove_prefix(name.rfind('/') + 1);
  name = name.substr(0, name.find('.'));
  while (!name.empty()) {
    const size_t end = std::min(name.find('_'), name.size());
    const std::string_view part = name.substr(0, end);
    const bool number = part.size() == 1 && std::isdigit(part[0]) != 0;
    if (number || part == "misc" || part == "common" || part == "helper" ||
        part == "helpers") {
      Add(findings, source, "file-name", 0,
          "a file name says what is inside, not " + Quoted(part));
    }
    name.remove_prefix(std::min(end + 1, name.size()));
  }
}

bool IsPrintable(char c) { return c >= ' ' && c <= '~'; }

// Neither a link nor an include can be broken.
bool MayBeLong(std::string_view line) {
  return line.find("http://") != std::string_view::npos ||
         line.find("https://") != std::string_view::npos ||
         line.starts_with("#include") || line.starts_with("#ifndef EVE_") ||
         line.starts_with("#define EVE_") || line.starts_with("#endif  //");
}

struct WordRule {
  std::string_view rule;
  std::string_view word;
  // Only under this folder; "" everywhere.
  std::string_view under;
  std::string_view instead;
};

constexpr WordRule kWordRules[] = {
    {"banned-word", "using namespace", "", "name what you use"},
    {"banned-word", "goto", "", "return a status"},
    {"banned-word", "volatile", "", "use std::atomic"},
    {"banned-word", "assert(", "", "use EVE_CHECK or EVE_DCHECK"},
    {"banned-word", "<cassert>", "", "use util/check.h"},
    {"banned-word", "<assert.h>", "", "use util/check.h"},
    {"banned-word", "#pragma once", "", "use a header guard"},
    {"hash", "std::hash", "engine/", "differs between builds"},
    {"hash", "absl::Hash", "engine/", "differs between processes"},
    {"hash", "absl::HashOf", "engine/", "differs between processes"},
    {"reinterpret-cast", "reinterpret_cast", "", "belongs to format and file"},
    {"sleep", "sleep(", "tests/", "script the interleaving"},
    {"sleep", "usleep", "tests/", "script the interleaving"},
    {"sleep", "nanosleep", "tests/", "script the interleaving"},
    {"sleep", "sleep_for", "tests/", "script the interleaving"},
    {"sleep", "sleep_until", "tests/", "script the interleaving"},
    {"sleep", "SleepFor", "tests/", "script the interleaving"},
};

// Marks of unfinished work are looked for in comments, where they are; the
// pieces keep this file from finding itself.
void CheckMarks(const Source& source, size_t i, Findings& findings) {
  const std::string_view line = source.lines[i];
  const std::string comment_only = [&] {
    std::string text(line);
    for (size_t c = 0; c < text.size(); ++c) {
      if (source.code[i][c] != ' ') text[c] = ' ';
    }
    return text;
  }();
  constexpr std::string_view kFix =
      "FIX"
      "ME";
  constexpr std::string_view kToDo =
      "TO"
      "DO";
  if (HasWord(comment_only, kFix)) {
    Add(findings, source, "todo", i, Quoted(kFix) + ": mend it");
  }
  const size_t at = FindWord(comment_only, kToDo);
  if (at == std::string::npos) return;
  const std::string_view rest = std::string_view(line).substr(at + 4);
  const size_t close = rest.find(')');
  if (!rest.starts_with('(') || close == std::string_view::npos || close < 2) {
    Add(findings, source, "todo", i, Quoted(kToDo) + ": name owner or issue");
  }
}

// `catch (...) {}`, over lines too.
void CheckEmptyCatches(const Source& source, Findings& findings) {
  std::string text;
  std::vector<size_t> line_of;
  for (size_t i = 0; i < source.code.size(); ++i) {
    for (char c : source.code[i]) {
      if (c == ' ') continue;
      text += c;
      line_of.push_back(i);
    }
  }
  for (size_t at = text.find("catch("); at != std::string::npos;
       at = text.find("catch(", at + 1)) {
    const size_t close = text.find(')', at);
    if (close == std::string::npos) return;
    // A comment inside does not make it less empty.
    if (text.compare(close, 3, "){}") == 0) {
      Add(findings, source, "empty-catch", line_of[at],
          "handle what you catch");
    }
  }
}

bool Matches(const Allowance& allowance, const Finding& finding) {
  if (allowance.rule != finding.rule) return false;
  if (finding.text.find(allowance.what) == std::string::npos) return false;
  const std::string_view path = finding.path;
  if (!path.starts_with(allowance.path)) return false;
  const std::string_view rest = path.substr(allowance.path.size());
  return allowance.path.ends_with('/') || rest.empty() || rest.starts_with('.');
}

}  // namespace

std::string Finding::ToString() const {
  return path + ":" + std::to_string(line) + ": [" + rule + "] " + text;
}

Findings CheckShape(const Source& source) {
  Findings findings;
  const size_t lines = source.lines.size();
  if (lines > kFileLinesSoftMax) {
    Add(findings, source, "file-length", lines - 1,
        std::to_string(lines) + " lines");
    findings.back().warning = lines <= kFileLinesMax;
  }
  for (size_t i = 0; i < lines; ++i) {
    const std::string& line = source.lines[i];
    if (line.size() > kColumnsMax && !MayBeLong(line)) {
      Add(findings, source, "columns", i,
          std::to_string(line.size()) + " columns");
    }
    if (!std::all_of(line.begin(), line.end(), IsPrintable)) {
      Add(findings, source, "ascii", i, "printable ASCII only");
    }
  }
  CheckFileName(source, findings);
  CheckGuard(source, findings);
  return findings;
}

Findings CheckWords(const Source& source) {
  Findings findings;
  for (size_t i = 0; i < source.code.size(); ++i) {
    const std::string& line = source.code[i];
    for (const WordRule& rule : kWordRules) {
      if (!source.path.starts_with(rule.under)) continue;
      if (!HasWord(line, rule.word)) continue;
      Add(findings, source, rule.rule, i,
          Quoted(rule.word) + ": " + std::string(rule.instead));
    }
    // Any spelling: memory_order_acquire, memory_order::acquire.
    if (line.find("memory_order") != std::string::npos) {
      Add(findings, source, "memory-order", i,
          "an ordered access outside the file that owns the word");
    }
    CheckMarks(source, i, findings);
  }
  CheckEmptyCatches(source, findings);
  return findings;
}

Findings CheckSource(const Source& source,
                     std::span<const Allowance> allowances) {
  Findings kept;
  for (auto* check : {&CheckLayers, &CheckShape, &CheckFunctionLengths,
                      &CheckWords, &CheckLayouts}) {
    for (Finding& finding : check(source)) {
      const bool allowed =
          std::any_of(allowances.begin(), allowances.end(),
                      [&](const Allowance& a) { return Matches(a, finding); });
      if (!allowed) kept.push_back(std::move(finding));
    }
  }
  return kept;
}

}  // namespace eve::tidy
