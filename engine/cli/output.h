// How the command line writes: exit codes, text, hexadecimal and JSON.
//
// Threads:    one.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     writing to stdout is checked once, at exit.
// Cost:       none.
#ifndef EVE_ENGINE_CLI_OUTPUT_H_
#define EVE_ENGINE_CLI_OUTPUT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "eve/bytes.h"
#include "eve/stats.h"

namespace eve::cli {

enum ExitCode : int {
  kFine = 0,
  kAbsent = 1,  // a negative answer: no such key; check: something minor
  kUsage = 2,
  kDamage = 3,
  kFailure = 4,  // I/O, permission, full disk, no such file
  kGaveUp = 5,   // waited for others, in vain
};

// Prints the error to stderr and returns its exit code.
int Fail(const absl::Status& status);
int UsageError(std::string_view verb, Bytes message);

void Print(std::string_view text);  // to stdout, as is

// For Abseil's functions, where its string_view is a type of its own.
inline absl::string_view Absl(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

std::string ToHex(std::string_view bytes);
absl::StatusOr<std::string> FromHex(std::string_view text);
// Printable ASCII as is; backslash, tab and the rest escaped.
std::string Escaped(std::string_view bytes);

// {"a":1,"b":"x"}, built from left to right.
class JsonObject {
 public:
  JsonObject& Add(std::string_view name, uint64_t value);
  JsonObject& Add(std::string_view name, double value);  // finite
  JsonObject& Add(std::string_view name, bool value);
  // Bytes that are no UTF-8 become "name_b64", in base 64.
  JsonObject& Add(std::string_view name, std::string_view value);
  JsonObject& Add(std::string_view name, const char* value) {
    return Add(name, std::string_view(value));
  }
  // `json` is JSON already.
  JsonObject& AddJson(std::string_view name, std::string_view json);
  std::string ToString() const { return text_ + "}"; }

 private:
  void Name(std::string_view name);
  std::string text_ = "{";
};

// {"schema":1,"key":"...","value":"..."}, or key_hex and value_hex.
JsonObject JsonOfRecord(std::string_view key, std::string_view value,
                        bool is_hex);

// ordered_map<string, int64>
std::string TypeOf(const CollectionInfo& info);
// An array with an object a collection.
std::string CollectionsToJson(const std::vector<CollectionInfo>& infos);

// [a,b], of items that are JSON already.
class JsonArray {
 public:
  JsonArray& Add(std::string_view json);
  std::string ToString() const { return text_ + "]"; }

 private:
  std::string text_ = "[";
};

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_OUTPUT_H_
