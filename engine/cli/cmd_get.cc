// eve get: prints the value of one key.
#include <unistd.h>

#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/verbs.h"

namespace eve::cli {
namespace {

int RunGet(const CommandLine& line) {
  const std::vector<std::string>& words = line.words();
  const absl::StatusOr<std::string> key = BytesArgument(line, words[2]);
  if (!key.ok()) return UsageError("get", key.status().message());
  absl::StatusOr<Domain> domain = OpenToRead(words[0]);
  if (!domain.ok()) return Fail(domain.status());
  const absl::StatusOr<std::optional<OrderedStrings>> map =
      FindMap(*domain, words[1]);
  if (!map.ok()) return Fail(map.status());
  if (!map->has_value()) return kAbsent;
  // Through a snapshot: a value of gigabytes is not copied.
  const absl::StatusOr<Snapshot> now = domain->Now();
  if (!now.ok()) return Fail(now.status());
  const auto value = (*map)->At(*now).Get(*key);
  if (absl::IsNotFound(value.status())) return kAbsent;
  if (!value.ok()) return Fail(value.status());
  const bool is_hex = line.Count(kHexOption.name) > 0;
  if (line.Count(kJsonOption.name) > 0) {
    Print(JsonOfRecord(*key, *value, is_hex).ToString() + "\n");
    return kFine;
  }
  if (is_hex) {
    Print(ToHex(*value) + "\n");
    return kFine;
  }
  Print(*value);
  // A prompt behind the value would be confusing; a file must stay exact.
  if (::isatty(STDOUT_FILENO) != 0) Print("\n");
  return kFine;
}

}  // namespace

const Verb& GetVerb() {
  static const auto* const kVerb = new Verb{
      .name = "get",
      .arguments = "DOMAIN COLLECTION KEY",
      .summary = "print the value of a key",
      .help =
          "Prints the bytes as they are stored, and a newline only to a "
          "terminal or\nwith --hex. In JSON, bytes that are not UTF-8 become "
          "key_b64 or value_b64. Exit\ncode 1: no such key or collection.",
      .words_min = 3,
      .words_max = 3,
      .options = {kHexOption, kJsonOption},
      .run = RunGet};
  return *kVerb;
}

}  // namespace eve::cli
