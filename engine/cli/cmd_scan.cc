// eve scan: prints all records of a collection.
#include <limits>

#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/verbs.h"

namespace eve::cli {
namespace {

void PrintRecord(const CommandLine& line, std::string_view key,
                 std::string_view value) {
  if (line.Count(kJsonOption.name) > 0) {
    JsonObject record;
    if (line.Count(kHexOption.name) > 0) {
      record.Add("key_hex", ToHex(key)).Add("value_hex", ToHex(value));
    } else {
      record.Add("key", key).Add("value", value);
    }
    Print(record.ToString() + "\n");
  } else if (line.Count(kHexOption.name) > 0) {
    Print(ToHex(key) + "\t" + ToHex(value) + "\n");
  } else {
    Print(Escaped(key) + "\t" + Escaped(value) + "\n");
  }
}

int RunScan(const CommandLine& line) {
  const std::vector<std::string>& words = line.words();
  const absl::StatusOr<uint64_t> limit =
      line.Number("--limit", std::numeric_limits<uint64_t>::max());
  if (!limit.ok()) return UsageError("scan", limit.status().message());
  absl::StatusOr<Domain> domain = OpenToRead(words[0]);
  if (!domain.ok()) return Fail(domain.status());
  const absl::StatusOr<std::optional<Strings>> map =
      FindCollection(*domain, words[1]);
  if (!map.ok()) return Fail(map.status());
  if (!map->has_value()) return kAbsent;
  const absl::StatusOr<Snapshot> now = domain->Now();
  if (!now.ok()) return Fail(now.status());
  const auto reader = (*map)->At(*now);
  uint64_t printed = 0;
  for (const auto& entry : reader) {
    if (printed++ == *limit) break;
    PrintRecord(line, entry.key, entry.value);
  }
  if (!now->status().ok()) return Fail(now->status());
  return kFine;
}

}  // namespace

const Verb& ScanVerb() {
  static const auto* const kVerb = new Verb{
      .name = "scan",
      .arguments = "DOMAIN COLLECTION",
      .summary = "print all records of one version",
      .help =
          "One record a line: key, tab, value; what is not printable ASCII "
          "is\nescaped as \\xNN. Maps have no order. In JSON, bytes that "
          "are not UTF-8\nbecome key_b64 or value_b64. Exit code 1: no "
          "such collection.",
      .words_min = 2,
      .words_max = 2,
      .options = {{"--limit", "N", "print at most N records"},
                  kHexOption,
                  kJsonOption},
      .run = RunScan};
  return *kVerb;
}

}  // namespace eve::cli
