// eve put: writes one record.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/progress.h"
#include "engine/cli/verbs.h"
#include "util/status_macros.h"

namespace eve::cli {
namespace {

absl::StatusOr<std::string> ReadStandardInput() {
  std::string bytes;
  char piece[64 << 10];
  while (const size_t n = std::fread(piece, 1, sizeof(piece), stdin)) {
    bytes.append(piece, n);
  }
  if (std::ferror(stdin) != 0) {
    return absl::InternalError(
        absl::StrCat("reading the value from stdin: ", std::strerror(errno)));
  }
  return bytes;
}

// Other types are not written by their bytes: they could be malformed.
absl::StatusOr<OrderedStrings> OpenToPut(Domain& domain,
                                         const std::string& name) {
  EVE_ASSIGN_OR_RETURN(const std::optional<AnyCollection> found,
                       FindCollection(domain, name));
  if (!found.has_value()) return domain.Collection<OrderedStrings>(name);
  if (found->info.kind == Strings::kKind) {
    EVE_RETURN_IF_ERROR(domain.Collection<Strings>(name).status());
    return found->ordered();
  }
  return domain.Collection<OrderedStrings>(name);
}

int RunPut(const CommandLine& line) {
  const std::vector<std::string>& words = line.words();
  const absl::StatusOr<Durability> durability = DurabilityOption(line);
  if (!durability.ok()) {
    return UsageError("put", durability.status().message());
  }
  const absl::StatusOr<std::string> key = BytesArgument(line, words[2]);
  if (!key.ok()) return UsageError("put", key.status().message());
  const bool from_stdin = words[3] == "-";
  const absl::StatusOr<std::string> value =
      from_stdin ? ReadStandardInput() : BytesArgument(line, words[3]);
  if (!value.ok()) {
    return from_stdin ? Fail(value.status())
                      : UsageError("put", value.status().message());
  }
  absl::StatusOr<Domain> domain =
      OpenToWrite(words[0], /*create=*/true, *durability);
  if (!domain.ok()) return Fail(domain.status());
  absl::StatusOr<OrderedStrings> map = OpenToPut(*domain, words[1]);
  absl::Status status = map.ok() ? map->Put(*key, *value) : map.status();
  if (absl::IsInvalidArgument(status)) {
    return UsageError("put", status.message());
  }
  if (!status.ok()) return Fail(status);
  if (status = domain->Close(); !status.ok()) return Fail(status);
  if (line.Count(kJsonOption.name) > 0) {
    JsonObject all;
    all.Add("schema", uint64_t{1})
        .Add("collection", std::string_view(words[1]))
        .Add("key", std::string_view(*key))
        .Add("value_bytes", uint64_t{value->size()});
    Print(all.ToString() + "\n");
  }
  return kFine;
}

}  // namespace

const Verb& PutVerb() {
  static const auto* const kVerb = new Verb{
      .name = "put",
      .arguments = "DOMAIN COLLECTION KEY VALUE|-",
      .summary = "write one record",
      .help =
          "Creates the domain and the collection, an ordered map, if they are "
          "missing.\nWith '-' the value is read from stdin, as it is. Prints "
          "nothing, "
          "but with --json\nan object with the key and the size of the value.",
      .words_min = 4,
      .words_max = 4,
      .options = {kHexOption, kDurabilityOption, kQuietOption,
                  kShortQuietOption, kJsonOption},
      .run = RunPut};
  return *kVerb;
}

}  // namespace eve::cli
