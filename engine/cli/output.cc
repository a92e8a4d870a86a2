#include "engine/cli/output.h"

#include <cstdio>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace eve::cli {
namespace {

// Length of the UTF-8 sequence at the front; 0: it is none. Follows Unicode
// 3.9, table 3-7: no overlong forms, no surrogates.
size_t Utf8Length(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = at(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
  if (at(1) < low || at(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (at(i) < 0x80 || at(i) > 0xBF) return 0;
  }
  return length;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string JsonString(std::string_view text) {
  std::string json = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F) {
      absl::StrAppendFormat(&json, "\\u%04x", static_cast<uint8_t>(c));
    } else {
      json += c;
    }
  }
  return json + "\"";
}

}  // namespace

int Fail(const absl::Status& status) {
  const std::string text(status.message());
  std::fprintf(stderr, "eve: %s\n",
               text.empty() ? status.ToString().c_str() : text.c_str());
  if (absl::IsDataLoss(status)) return kDamage;
  // kUnavailable is not among these: a flush that failed has that code.
  return absl::IsDeadlineExceeded(status) || absl::IsAborted(status) ? kGaveUp
                                                                     : kFailure;
}

int UsageError(std::string_view verb, Bytes message) {
  const std::string what = message.ToString();
  if (verb.empty()) {
    std::fprintf(stderr, "eve: %s; see 'eve help'\n", what.c_str());
  } else {
    const std::string name(verb);
    std::fprintf(stderr, "eve %s: %s; see 'eve help %s'\n", name.c_str(),
                 what.c_str(), name.c_str());
  }
  return kUsage;
}

void Print(std::string_view text) {
  // An error shows again when stdout is flushed at exit.
  (void)std::fwrite(text.data(), 1, text.size(), stdout);
}

std::string ToHex(std::string_view bytes) {
  return absl::BytesToHexString(Absl(bytes));
}

absl::StatusOr<std::string> FromHex(std::string_view text) {
  const bool is_hex = text.size() % 2 == 0 &&
                      text.find_first_not_of("0123456789abcdefABCDEF") ==
                          std::string_view::npos;
  if (!is_hex) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", Absl(text), "' is not a number of pairs of hexadecimal digits"));
  }
  return absl::HexStringToBytes(Absl(text));
}

std::string Escaped(std::string_view bytes) {
  std::string text;
  for (char c : bytes) {
    if (c == '\\') {
      text += "\\\\";
    } else if (c >= ' ' && c <= '~') {
      text += c;
    } else {
      absl::StrAppendFormat(&text, "\\x%02x", static_cast<uint8_t>(c));
    }
  }
  return text;
}

void JsonObject::Name(std::string_view name) {
  if (text_.size() > 1) text_ += ',';
  text_ += JsonString(name);
  text_ += ':';
}

JsonObject& JsonObject::Add(std::string_view name, uint64_t value) {
  return AddJson(name, std::to_string(value));
}

JsonObject& JsonObject::Add(std::string_view name, double value) {
  return AddJson(name, absl::StrFormat("%.3f", value));
}

JsonObject& JsonObject::Add(std::string_view name, bool value) {
  return AddJson(name, value ? "true" : "false");
}

JsonObject& JsonObject::Add(std::string_view name, std::string_view value) {
  if (IsUtf8(value)) return AddJson(name, JsonString(value));
  return AddJson(std::string(name) + "_b64",
                 JsonString(absl::Base64Escape(Absl(value))));
}

JsonObject& JsonObject::AddJson(std::string_view name, std::string_view json) {
  Name(name);
  text_ += json;
  return *this;
}

JsonArray& JsonArray::Add(std::string_view json) {
  if (text_.size() > 1) text_ += ',';
  text_ += json;
  return *this;
}

JsonObject JsonOfRecord(std::string_view key, std::string_view value,
                        bool is_hex) {
  JsonObject record;
  record.Add("schema", uint64_t{1});
  if (is_hex) {
    record.Add("key_hex", ToHex(key)).Add("value_hex", ToHex(value));
  } else {
    record.Add("key", key).Add("value", value);
  }
  return record;
}

std::string TypeOf(const CollectionInfo& info) {
  return absl::StrCat(info.kind, "<", Escaped(info.key_type),
                      info.value_type.empty() ? "" : ", ",
                      Escaped(info.value_type), ">");
}

std::string CollectionsToJson(const std::vector<CollectionInfo>& infos) {
  JsonArray collections;
  for (const CollectionInfo& info : infos) {
    JsonObject one;
    one.Add("name", std::string_view(info.name))
        .Add("kind", std::string_view(info.kind))
        .Add("key_type", std::string_view(info.key_type))
        .Add("value_type", std::string_view(info.value_type))
        .Add("count", info.count);
    collections.Add(one.ToString());
  }
  return collections.ToString();
}

}  // namespace eve::cli
