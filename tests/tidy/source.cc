#include "tests/tidy/source.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace eve::tidy {
namespace {

bool IsIdentifierChar(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// Copies a text, with comments and the insides of literals as spaces. Newlines
// stay, so positions in both texts are the same.
class Blanker {
 public:
  explicit Blanker(std::string_view text) : text_(text), out_(text) {}

  std::string Run() {
    while (at_ < text_.size()) {
      if (StartsWith("//")) {
        BlankLineComment();
      } else if (StartsWith("/*")) {
        BlankThrough("*/", 0);
      } else if (text_[at_] == '"') {
        BlankString();
      } else if (text_[at_] == '\'') {
        BlankCharacter();
      } else {
        ++at_;
      }
    }
    return std::move(out_);
  }

 private:
  bool StartsWith(std::string_view prefix) const {
    return text_.substr(at_).starts_with(prefix);
  }

  void BlankOne() {
    if (at_ < text_.size() && text_[at_] != '\n') out_[at_] = ' ';
    ++at_;
  }

  void BlankLineComment() {
    while (at_ < text_.size() && text_[at_] != '\n') BlankOne();
  }

  // Blanks up to the end of the next `end`, but its last `keep` characters.
  void BlankThrough(std::string_view end, size_t keep) {
    const size_t found = text_.find(end, at_ + 2);
    const size_t stop =
        found == std::string_view::npos ? text_.size() : found + end.size();
    while (at_ < stop - keep) BlankOne();
    at_ = stop;
  }

  void BlankString() {
    // An include keeps its path: rules read it.
    const size_t newline = text_.rfind('\n', at_);
    const size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    if (text_.substr(line).starts_with("#include")) {
      at_ = std::min(text_.find('\n', at_), text_.size());
      return;
    }
    if (at_ > 0 && text_[at_ - 1] == 'R') {
      const size_t open = std::min(text_.find('(', at_), text_.size());
      std::string end = ")";
      end += text_.substr(at_ + 1, open - at_ - 1);
      end += '"';
      ++at_;
      BlankThrough(end, 1);
      return;
    }
    BlankQuoted('"');
  }

  void BlankCharacter() {
    // A digit separator is no literal: 1'000.
    if (at_ > 0 && IsIdentifierChar(text_[at_ - 1])) {
      ++at_;
      return;
    }
    BlankQuoted('\'');
  }

  void BlankQuoted(char quote) {
    ++at_;
    while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\n') {
      if (text_[at_] == '\\') BlankOne();
      BlankOne();
    }
    ++at_;
  }

  const std::string_view text_;
  std::string out_;
  size_t at_ = 0;
};

std::vector<std::string> SplitLines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace

Source MakeSource(std::string path, std::string_view text) {
  return Source{.path = std::move(path),
                .lines = SplitLines(text),
                .code = SplitLines(Blanker(text).Run())};
}

size_t FindWord(std::string_view line, std::string_view word, size_t from) {
  for (size_t at = line.find(word, from); at != std::string_view::npos;
       at = line.find(word, at + 1)) {
    const size_t end = at + word.size();
    const bool starts = at == 0 || !IsIdentifierChar(word.front()) ||
                        !IsIdentifierChar(line[at - 1]);
    const bool ends = end == line.size() || !IsIdentifierChar(word.back()) ||
                      !IsIdentifierChar(line[end]);
    if (starts && ends) return at;
  }
  return std::string_view::npos;
}

bool HasWord(std::string_view line, std::string_view word) {
  return FindWord(line, word) != std::string_view::npos;
}

}  // namespace eve::tidy
