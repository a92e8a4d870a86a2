#include "engine/cli/mdb_text.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace eve::cli {
namespace {

constexpr char kDigits[] = "0123456789abcdef";
// What is no digit has bits above those of a byte, so that one look tells
// whether there is any among many.
constexpr uint16_t kNoDigit = 0x1000;

constexpr std::array<uint16_t, 256> MakeDigitValues(int shift) {
  std::array<uint16_t, 256> values{};
  for (uint16_t& value : values) value = kNoDigit;
  for (int i = 0; i < 16; ++i) {
    const char digit = kDigits[i];
    const auto value = static_cast<uint16_t>(i << shift);
    values[static_cast<uint8_t>(digit)] = value;
    if (i >= 10) values[static_cast<uint8_t>(digit - 'a' + 'A')] = value;
  }
  return values;
}
constexpr std::array<uint16_t, 256> kHighDigits = MakeDigitValues(4);
constexpr std::array<uint16_t, 256> kLowDigits = MakeDigitValues(0);

// Above 255 unless both are digits.
unsigned FromDigits(const char* two) {
  return kHighDigits[static_cast<uint8_t>(two[0])] |
         kLowDigits[static_cast<uint8_t>(two[1])];
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
  // Eight at a time, with one look at whether all are digits; those that are
  // not are found by the loop behind it.
  constexpr size_t kGroup = 8;
  size_t i = 0;
  for (; i + 2 * kGroup <= size; i += 2 * kGroup) {
    char bytes[kGroup];
    unsigned all = 0;
    for (size_t j = 0; j < kGroup; ++j) {
      const unsigned byte = FromDigits(text + i + 2 * j);
      all |= byte;
      bytes[j] = static_cast<char>(byte);
    }
    if (all > 255) break;
    std::memcpy(text + i / 2, bytes, kGroup);
  }
  for (; i < size; i += 2) {
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
  size_t to = 0;
  for (size_t from = 0; from < size;) {
    if (text[from] != '\\') {
      const void* const escape = std::memchr(text + from, '\\', size - from);
      const size_t end =
          escape == nullptr
              ? size
              : static_cast<size_t>(static_cast<const char*>(escape) - text);
      // Up to the first escape all is where it belongs.
      if (to != from) std::memmove(text + to, text + from, end - from);
      to += end - from;
      from = end;
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
