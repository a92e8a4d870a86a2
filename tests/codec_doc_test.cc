// The examples of docs/format.md, of what keys and values become, are what the
// codecs make: somebody may write others by that page.
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "eve/eve.h"
#include "eve/internal/pairs.h"
#include "gtest/gtest.h"

namespace eve {
namespace {

struct Example {
  std::string type;
  std::string value;
  std::string bytes;
  friend bool operator==(const Example&, const Example&) = default;
  friend void PrintTo(const Example& example, std::ostream* out) {
    *out << "| `" << example.type << "` | " << example.value << " | "
         << example.bytes << " |";
  }
};

std::string InHex(Bytes bytes) {
  std::string hex;
  for (const char byte : bytes.ToString()) {
    absl::StrAppend(&hex, hex.empty() ? "" : " ",
                    absl::Hex(static_cast<uint8_t>(byte), absl::kZeroPad2));
  }
  for (char& digit : hex) digit = absl::ascii_toupper(digit);
  return hex;
}

template <class T>
Example Of(const char* text, const T& value) {
  Scratch scratch;
  const Bytes bytes = Codec<T>::Encode(value, scratch);
  EXPECT_TRUE(Codec<T>::IsValid(bytes));
  return {std::string(Codec<T>::TypeName()), text, InHex(bytes)};
}

std::vector<Example> Examples() {
  struct Point {
    uint16_t x;
    uint16_t y;
  };
  Scratch scratch;
  using Nested = std::tuple<std::tuple<std::string, bool>, int16_t>;
  return {
      Of<std::string>("61 00 62", std::string("a\0b", 3)),
      Of<uint8_t>("200", 200),
      Of<uint32_t>("258", 258),
      Of<int8_t>("-1", -1),
      Of<int32_t>("-2", -2),
      Of<int64_t>("1", 1),
      Of<float>("-0.0", -0.0F),
      Of<double>("1.5", 1.5),
      Of<double>("-1.5", -1.5),
      Of<bool>("true", true),
      Of<Point>("{258, 3}", {258, 3}),
      Of<std::tuple<std::string, uint8_t>>("(61, 7)", {"a", 7}),
      Of<std::tuple<std::string, std::string>>("(61 00, nothing)",
                                               {std::string("a\0", 2), ""}),
      Of<Nested>("((61 62, true), -1)", {{"ab", true}, -1}),
      Of<std::tuple<>>("()", {}),
      {"string and string", "6B to 76",
       InHex(internal::JoinPair<std::string, std::string>("k", "v", scratch))},
      {"int8 and uint16", "-1 to 5",
       InHex(internal::JoinPair<int8_t, uint16_t>(-1, 5, scratch))},
  };
}

std::string Trimmed(std::string cell) {
  cell.erase(0, cell.find_first_not_of(" `"));
  cell.erase(cell.find_last_not_of(" `") + 1);
  return cell;
}

// The table whose head is "| Type | Value | Bytes |".
std::vector<Example> DocumentedExamples() {
  std::ifstream file("docs/format.md");
  EXPECT_TRUE(file.is_open());
  std::vector<Example> examples;
  bool in_table = false;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("|")) {
      in_table = false;
    } else if (line == "| Type | Value | Bytes |") {
      in_table = true;
    } else if (in_table && !line.starts_with("|---")) {
      const size_t value = line.find('|', 1);
      const size_t bytes = line.find('|', value + 1);
      const size_t end = line.find('|', bytes + 1);
      EXPECT_NE(end, std::string::npos) << line;
      examples.push_back({Trimmed(line.substr(1, value - 1)),
                          Trimmed(line.substr(value + 1, bytes - value - 1)),
                          Trimmed(line.substr(bytes + 1, end - bytes - 1))});
    }
  }
  return examples;
}

TEST(CodecDocTest, ExamplesAreWhatTheCodecsMake) {
  EXPECT_EQ(DocumentedExamples(), Examples());
}

}  // namespace
}  // namespace eve
