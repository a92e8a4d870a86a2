// eve del: erases one record.
#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/progress.h"
#include "engine/cli/verbs.h"

namespace eve::cli {
namespace {

int Report(const CommandLine& line, const std::string& key, bool erased) {
  if (line.Count(kJsonOption.name) > 0) {
    JsonObject all;
    all.Add("schema", uint64_t{1})
        .Add("collection", std::string_view(line.words()[1]))
        .Add("key", std::string_view(key))
        .Add("erased", erased);
    Print(all.ToString() + "\n");
  }
  return erased ? kFine : kAbsent;
}

int RunDel(const CommandLine& line) {
  const std::vector<std::string>& words = line.words();
  const absl::StatusOr<Durability> durability = DurabilityOption(line);
  if (!durability.ok()) {
    return UsageError("del", durability.status().message());
  }
  const absl::StatusOr<std::string> key = BytesArgument(line, words[2]);
  if (!key.ok()) return UsageError("del", key.status().message());
  absl::StatusOr<Domain> domain =
      OpenToWrite(words[0], /*create=*/false, *durability);
  if (!domain.ok()) return Fail(domain.status());
  const absl::StatusOr<std::optional<OrderedStrings>> map =
      FindMap(*domain, words[1]);
  if (!map.ok()) return Fail(map.status());
  if (!map->has_value()) return Report(line, *key, /*erased=*/false);
  const absl::StatusOr<bool> erased = (*map)->Erase(*key);
  if (!erased.ok()) return Fail(erased.status());
  if (const absl::Status closed = domain->Close(); !closed.ok()) {
    return Fail(closed);
  }
  return Report(line, *key, *erased);
}

}  // namespace

const Verb& DelVerb() {
  static const auto* const kVerb = new Verb{
      .name = "del",
      .arguments = "DOMAIN COLLECTION KEY",
      .summary = "erase one record",
      .help =
          "Prints nothing, but with --json an object that says whether it was "
          "there.\nExit code 1: no such key or collection.",
      .words_min = 3,
      .words_max = 3,
      .options = {kHexOption, kDurabilityOption, kQuietOption,
                  kShortQuietOption, kJsonOption},
      .run = RunDel};
  return *kVerb;
}

}  // namespace eve::cli
