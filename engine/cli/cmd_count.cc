// eve count: prints how many records a collection or a range of it has.
#include <utility>

#include "engine/cli/key_range.h"
#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/verbs.h"

namespace eve::cli {
namespace {

int RunCount(const CommandLine& line) {
  const std::vector<std::string>& words = line.words();
  const absl::StatusOr<KeyRange> range = KeyRangeOption(line);
  if (!range.ok()) return UsageError("count", range.status().message());
  absl::StatusOr<Domain> domain = OpenToRead(words[0]);
  if (!domain.ok()) return Fail(domain.status());
  const absl::StatusOr<std::optional<AnyCollection>> found =
      FindCollection(*domain, words[1]);
  if (!found.ok()) return Fail(found.status());
  if (!found->has_value()) return kAbsent;
  const AnyCollection& collection = **found;
  if (!collection.IsOrdered() && !range->IsAll()) {
    return UsageError("count", kNoOrder);
  }
  const absl::StatusOr<Snapshot> now = domain->Now();
  if (!now.ok()) return Fail(now.status());
  const auto reader = collection.ordered().At(*now);
  const absl::StatusOr<uint64_t> count =
      range->IsAll() ? reader.size() : range->Over(reader).Count();
  if (!count.ok()) return Fail(count.status());
  if (line.Count(kJsonOption.name) > 0) {
    JsonObject all;
    all.Add("schema", uint64_t{1})
        .Add("collection", std::string_view(words[1]))
        .Add("count", *count);
    Print(all.ToString() + "\n");
  } else {
    Print(std::to_string(*count) + "\n");
  }
  return kFine;
}

}  // namespace

const Verb& CountVerb() {
  static const auto* const kVerb = new Verb{
      .name = "count",
      .arguments = "DOMAIN COLLECTION",
      .summary = "print the number of records",
      .help =
          "Does not visit them: a range takes as long as two look-ups. Exit "
          "code 1: no\nsuch collection.",
      .words_min = 2,
      .words_max = 2,
      .options = {kFromOption, kToOption, kPrefixOption, kHexOption,
                  kJsonOption},
      .run = RunCount};
  return *kVerb;
}

}  // namespace eve::cli
