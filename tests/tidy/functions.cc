#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/tidy/rules.h"

namespace eve::tidy {
namespace {

// Drops `template <...>` from the front of a declaration.
std::string_view WithoutTemplate(std::string_view head) {
  while (head.starts_with("template")) {
    size_t at = head.find('<');
    if (at == std::string_view::npos) return head;
    int depth = 0;
    for (; at < head.size(); ++at) {
      if (head[at] == '<') ++depth;
      if (head[at] == '>' && --depth == 0) break;
    }
    head.remove_prefix(std::min(at + 1, head.size()));
    while (head.starts_with(' ')) head.remove_prefix(1);
  }
  return head;
}

// Whether a brace after `head`, outside of any function, opens the body of one:
// it has a parameter list and is no class, namespace or initialiser.
bool OpensFunction(std::string_view head) {
  head = WithoutTemplate(head);
  if (head.find('(') == std::string_view::npos) return false;
  constexpr std::array<std::string_view, 6> kScopes = {
      "namespace", "class", "struct", "union", "enum", "extern"};
  for (std::string_view scope : kScopes) {
    if (FindWord(head, scope) == 0) return false;
  }
  return true;
}

// Finds functions by counting braces. Good enough for formatted code.
class FunctionScanner {
 public:
  explicit FunctionScanner(const Source& source) : source_(source) {}

  Findings Run() {
    bool continued = false;
    for (line_ = 0; line_ < source_.code.size(); ++line_) {
      const std::string& line = source_.code[line_];
      // Macros have braces of their own.
      const bool directive = continued || line.starts_with('#');
      continued = directive && line.ends_with('\\');
      if (directive) continue;
      for (char c : line) Take(c);
      Take(' ');
    }
    return findings_;
  }

 private:
  void Take(char c) {
    if (c == '{') {
      Open();
    } else if (c == '}') {
      Close();
    } else if (c == ';') {
      head_.clear();
    } else if (c != ' ' || !head_.empty()) {
      if (head_.empty()) head_line_ = line_;
      head_ += c;
    }
  }

  void Open() {
    const bool outside = function_depth_ == 0;
    if (outside && OpensFunction(head_)) {
      function_depth_ = depth_ + 1;
      function_line_ = head_line_;
      name_ = head_.substr(0, head_.find('('));
    }
    ++depth_;
    head_.clear();
  }

  void Close() {
    if (function_depth_ != 0 && depth_ == function_depth_) {
      const size_t lines = line_ - function_line_ + 1;
      if (lines > kFunctionLinesMax) Report(lines);
      function_depth_ = 0;
    }
    if (depth_ > 0) --depth_;
    head_.clear();
  }

  void Report(size_t lines) {
    findings_.push_back(
        Finding{.rule = "function-length",
                .path = source_.path,
                .line = function_line_ + 1,
                .text = name_ + " has " + std::to_string(lines) + " lines"});
  }

  const Source& source_;
  Findings findings_;
  std::string head_;
  std::string name_;
  size_t line_ = 0;
  size_t head_line_ = 0;
  size_t function_line_ = 0;
  size_t depth_ = 0;
  // The depth inside the function being read; 0 outside of functions.
  size_t function_depth_ = 0;
};

// The name of the struct that `line` begins to define, or "".
std::string StructName(std::string_view line) {
  line = WithoutTemplate(line);
  for (std::string_view keyword : {"struct ", "class "}) {
    if (!line.starts_with(keyword)) continue;
    line.remove_prefix(keyword.size());
    if (line.starts_with("alignas(")) {
      line.remove_prefix(std::min(line.find(')') + 1, line.size()));
      while (line.starts_with(' ')) line.remove_prefix(1);
    }
    size_t end = 0;
    while (end < line.size() &&
           (std::isalnum(line[end]) != 0 || line[end] == '_')) {
      ++end;
    }
    return std::string(line.substr(0, end));
  }
  return "";
}

// Of a struct whose bytes nobody else ever reads.
bool IsPrivateMark(std::string_view line) {
  while (line.starts_with(' ')) line.remove_prefix(1);
  return line.starts_with("// PRIVATE");
}

bool HasLayout(const Source& source, const std::string& name) {
  for (const std::string& line : source.code) {
    const size_t at = FindWord(line, "EVE_LAYOUT(" + name);
    if (at != std::string::npos) return true;
  }
  return false;
}

}  // namespace

Findings CheckFunctionLengths(const Source& source) {
  return FunctionScanner(source).Run();
}

Findings CheckLayouts(const Source& source) {
  Findings findings;
  if (!source.path.starts_with("engine/format/")) return findings;
  bool is_private = false;
  for (size_t i = 0; i < source.lines.size(); ++i) {
    if (IsPrivateMark(source.lines[i])) is_private = true;
    // The mark holds for the first line of code after its comment.
    std::string_view code = source.code[i];
    while (code.starts_with(' ')) code.remove_prefix(1);
    if (code.empty() || code.starts_with("template")) continue;
    const std::string name = StructName(code);
    const bool is_exempt = std::exchange(is_private, false);
    if (is_exempt || name.empty() || code.ends_with(';')) continue;
    if (HasLayout(source, name)) continue;
    findings.push_back(Finding{.rule = "layout",
                               .path = source.path,
                               .line = i + 1,
                               .text = name + " has no EVE_LAYOUT line"});
  }
  return findings;
}

}  // namespace eve::tidy
