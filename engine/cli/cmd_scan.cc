// eve scan: prints the records of a collection or of a range of it.
#include <limits>

#include "engine/cli/key_range.h"
#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/verbs.h"

namespace eve::cli {
namespace {

constexpr OptionSpec kReverseOption = {"--reverse", "",
                                       "from the last key to the first"};

void PrintRecord(const CommandLine& line, std::string_view key,
                 std::string_view value) {
  if (line.Count(kJsonOption.name) > 0) {
    const bool is_hex = line.Count(kHexOption.name) > 0;
    Print(JsonOfRecord(key, value, is_hex).ToString() + "\n");
  } else if (line.Count(kHexOption.name) > 0) {
    Print(ToHex(key) + "\t" + ToHex(value) + "\n");
  } else {
    Print(Escaped(key) + "\t" + Escaped(value) + "\n");
  }
}

void PrintOrdered(const CommandLine& line, const KeyRange& range,
                  uint64_t limit, const OrderedStrings::Reader& reader) {
  auto scan = range.Over(reader).Limit(limit);
  if (line.Count(kReverseOption.name) % 2 == 1) scan = scan.Reverse();
  for (const auto& [key, value] : scan) PrintRecord(line, key, value);
}

void PrintHashed(const CommandLine& line, uint64_t limit,
                 const Strings::Reader& reader) {
  uint64_t printed = 0;
  for (const auto& [key, value] : reader) {
    if (printed++ == limit) break;
    PrintRecord(line, key, value);
  }
}

int RunScan(const CommandLine& line) {
  const std::vector<std::string>& words = line.words();
  const absl::StatusOr<uint64_t> limit =
      line.Number("--limit", std::numeric_limits<uint64_t>::max());
  if (!limit.ok()) return UsageError("scan", limit.status().message());
  const absl::StatusOr<KeyRange> range = KeyRangeOption(line);
  if (!range.ok()) return UsageError("scan", range.status().message());
  absl::StatusOr<Domain> domain = OpenToRead(words[0]);
  if (!domain.ok()) return Fail(domain.status());
  const absl::StatusOr<std::optional<AnyCollection>> found =
      FindCollection(*domain, words[1]);
  if (!found.ok()) return Fail(found.status());
  if (!found->has_value()) return kAbsent;
  const AnyCollection& collection = **found;
  const absl::StatusOr<Snapshot> now = domain->Now();
  if (!now.ok()) return Fail(now.status());
  if (collection.IsOrdered()) {
    PrintOrdered(line, *range, *limit, collection.ordered().At(*now));
  } else if (range->IsAll() && line.Count(kReverseOption.name) == 0) {
    PrintHashed(line, *limit, collection.hashed().At(*now));
  } else {
    return UsageError("scan", kNoOrder);
  }
  if (!now->status().ok()) return Fail(now->status());
  return kFine;
}

}  // namespace

const Verb& ScanVerb() {
  static const auto* const kVerb = new Verb{
      .name = "scan",
      .arguments = "DOMAIN COLLECTION",
      .summary = "print the records of one version",
      .help =
          "One record a line: key, tab, value; what is not printable ASCII "
          "is\nescaped as \\xNN. Keys are in the order of their bytes; maps "
          "have no order. The\nkeys of a multi_map are its pairs, as they "
          "are stored. In JSON, bytes that are\nnot UTF-8 become key_b64 "
          "or value_b64. Exit code 1: no such collection.",
      .words_min = 2,
      .words_max = 2,
      .options = {kFromOption,
                  kToOption,
                  kPrefixOption,
                  kReverseOption,
                  {"--limit", "N", "print at most N records"},
                  kHexOption,
                  kJsonOption},
      .run = RunScan};
  return *kVerb;
}

}  // namespace eve::cli
