// eve put: writes one record.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/verbs.h"

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
  absl::StatusOr<Strings> map = domain->Collection<Strings>(words[1]);
  absl::Status status = map.ok() ? map->Put(*key, *value) : map.status();
  if (absl::IsInvalidArgument(status)) {
    return UsageError("put", status.message());
  }
  if (!status.ok()) return Fail(status);
  if (status = domain->Close(); !status.ok()) return Fail(status);
  return kFine;
}

}  // namespace

const Verb& PutVerb() {
  static const auto* const kVerb = new Verb{
      .name = "put",
      .arguments = "DOMAIN COLLECTION KEY VALUE|-",
      .summary = "write one record",
      .help =
          "Creates the domain and the collection if they are missing. With "
          "'-' the\nvalue is read from stdin, as it is.",
      .words_min = 4,
      .words_max = 4,
      .options = {kHexOption, kDurabilityOption},
      .run = RunPut};
  return *kVerb;
}

}  // namespace eve::cli
