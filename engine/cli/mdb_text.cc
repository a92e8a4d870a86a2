#include "engine/cli/mdb_text.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace eve::cli {
namespace {

constexpr char kDigits[] = "0123456789abcdef";
constexpr uint8_t kNoDigit = 0xFF;

constexpr std::array<uint8_t, 256> kDigitValues = [] {
  std::array<uint8_t, 256> values{};
  for (uint8_t& value : values) value = kNoDigit;
  for (int i = 0; i < 10; ++i) values['0' + i] = static_cast<uint8_t>(i);
  for (int i = 0; i < 6; ++i) {
    values['a' + i] = values['A' + i] = static_cast<uint8_t>(10 + i);
  }
  return values;
}();

// Above 255 unless both are digits.
unsigned FromDigits(const char* two) {
  const unsigned high = kDigitValues[static_cast<uint8_t>(two[0])];
  const unsigned low = kDigitValues[static_cast<uint8_t>(two[1])];
  return (high | low) > 15 ? 256 : high << 4 | low;
}

bool IsPrintable(char c) { return c >= ' ' && c <= '~'; }

}  // namespace

void AppendHex(Bytes bytes, std::string& out) {
  const size_t before = out.size();
  out.resize(before + 2 * bytes.size());
  char* to = out.data() + before;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<uint8_t>(bytes.data()[i]);
    *to++ = kDigits[byte >> 4];
    *to++ = kDigits[byte & 15];
  }
}

void AppendPrintable(Bytes bytes, std::string& out) {
  for (const char c : std::string_view(bytes)) {
    if (IsPrintable(c) && c != '\\') {
      out += c;
      continue;
    }
    out += '\\';
    AppendHex(Bytes(&c, 1), out);
  }
}

absl::StatusOr<size_t> DecodeHex(char* text, size_t size) {
  if (size % 2 != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "an odd number (", size,
        ") of hexadecimal digits; the line was cut off, or the header should "
        "say format=print"));
  }
  for (size_t i = 0; i < size; i += 2) {
    const unsigned byte = FromDigits(text + i);
    if (byte > 255) {
      return absl::InvalidArgumentError(
          absl::StrCat("no hexadecimal digits in columns ", i + 1, " and ",
                       i + 2, " of the data"));
    }
    text[i / 2] = static_cast<char>(byte);
  }
  return size / 2;
}

absl::StatusOr<size_t> DecodePrintable(char* text, size_t size) {
  const char* const first =
      static_cast<const char*>(std::memchr(text, '\\', size));
  if (first == nullptr) return size;
  size_t to = static_cast<size_t>(first - text);
  for (size_t from = to; from < size;) {
    if (text[from] != '\\') {
      text[to++] = text[from++];
      continue;
    }
    if (from + 1 < size && text[from + 1] == '\\') {
      text[to++] = '\\';
      from += 2;
      continue;
    }
    const unsigned byte = from + 2 < size ? FromDigits(text + from + 1) : 256;
    if (byte > 255) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the backslash in column ", from + 1,
          " of the data comes before neither a backslash nor two hexadecimal "
          "digits"));
    }
    text[to++] = static_cast<char>(byte);
    from += 3;
  }
  return to;
}

}  // namespace eve::cli
