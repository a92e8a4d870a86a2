#include "engine/cli/open.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/cli/output.h"
#include "util/status_macros.h"

namespace eve::cli {
namespace {

// Opens a collection with the types that it has; the handle speaks bytes.
struct AnyMap {
  static constexpr std::string_view kKind = Strings::kKind;
  static std::string KeyTypeName() { return key_type; }
  static std::string ValueTypeName() { return value_type; }
  explicit AnyMap(internal::CollectionRef ref) : map(std::move(ref)) {}

  Strings map;
  // Of the collection that is being opened; Domain asks for them by type.
  static thread_local std::string key_type;
  static thread_local std::string value_type;
};
thread_local std::string AnyMap::key_type;
thread_local std::string AnyMap::value_type;

}  // namespace

absl::StatusOr<Domain> OpenToRead(const std::string& path) {
  DomainOptions options;
  options.create = false;
  options.read_only = true;
  options.background = false;
  return Domain::Open(path, options);
}

absl::StatusOr<Domain> OpenToWrite(const std::string& path, bool create,
                                   Durability durability) {
  DomainOptions options;
  options.create = create;
  options.durability = durability;
  options.background = false;
  return Domain::Open(path, options);
}

absl::StatusOr<std::optional<Strings>> FindCollection(Domain& domain,
                                                      const std::string& name) {
  EVE_ASSIGN_OR_RETURN(const std::vector<CollectionInfo> infos,
                       domain.Collections());
  for (const CollectionInfo& info : infos) {
    if (info.name != name) continue;
    AnyMap::key_type = info.key_type;
    AnyMap::value_type = info.value_type;
    EVE_ASSIGN_OR_RETURN(AnyMap opened, domain.Collection<AnyMap>(name));
    return std::optional<Strings>(std::move(opened.map));
  }
  return std::optional<Strings>();
}

absl::StatusOr<Durability> DurabilityOption(const CommandLine& line) {
  const std::string mode = line.Value(kDurabilityOption.name, "sync");
  if (mode == "none") return Durability::kNone;
  if (mode == "checkpoint") return Durability::kCheckpoint;
  if (mode == "sync") return Durability::kSync;
  return absl::InvalidArgumentError(absl::StrCat(
      "--durability is none, checkpoint or sync, not '", mode, "'"));
}

absl::StatusOr<std::string> BytesArgument(const CommandLine& line,
                                          const std::string& word) {
  if (line.Count(kHexOption.name) == 0) return word;
  return FromHex(word);
}

}  // namespace eve::cli
