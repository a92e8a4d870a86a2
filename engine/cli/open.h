// Opening domains and collections the way the verbs need them.
//
// Threads:    one.
// Processes:  as Domain.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     as Domain::Open. kNotFound of a collection is the caller's to
//             tell from that of a file.
// Cost:       as Domain::Open.
#ifndef EVE_ENGINE_CLI_OPEN_H_
#define EVE_ENGINE_CLI_OPEN_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/cli/command_line.h"
#include "eve/eve.h"

namespace eve::cli {

using Strings = Map<std::string, std::string>;
using OrderedStrings = OrderedMap<std::string, std::string>;

// A collection of any kind and types, by its stored bytes.
struct AnyCollection {
  CollectionInfo info;
  internal::CollectionRef ref;

  bool IsOrdered() const { return info.kind != Strings::kKind; }
  // Only walking one needs to know which; the rest goes by what is stored. A
  // set has empty values, and so has a multimap, whose keys are its pairs.
  Strings hashed() const { return Strings(ref); }
  OrderedStrings ordered() const { return OrderedStrings(ref); }
};

// All collections of a snapshot, by name, for walking and counting.
absl::StatusOr<std::vector<internal::CollectionView>> CollectionsAt(
    const Snapshot& snapshot);

// "ordered_map", "map", "sorted_set" and "multi_map".
const std::vector<std::string_view>& CollectionKinds();

// Domain::Open(), but a domain that only begins like none is kDataLoss, with
// what to do about it.
absl::StatusOr<Domain> OpenDomain(const std::string& path,
                                  const DomainOptions& options);
absl::StatusOr<Domain> OpenToRead(const std::string& path);
// Creates the file if `create` and it is missing.
absl::StatusOr<Domain> OpenToWrite(const std::string& path, bool create,
                                   Durability durability);

// The collection of that name. Nothing if there is none.
absl::StatusOr<std::optional<AnyCollection>> FindCollection(
    Domain& domain, const std::string& name);
// The collection with the name, kind and types of `wanted`, created if it is
// missing.
//   kFailedPrecondition  it exists with another kind or other types
absl::StatusOr<AnyCollection> OpenCollection(Domain& domain,
                                             const CollectionInfo& wanted);
// Removes a collection unless somebody has put a record into it.
absl::Status DropIfEmpty(Domain& domain, const AnyCollection& collection);
// FindCollection() for verbs that take one key: multimaps are refused, since
// their stored keys are not what one types.
absl::StatusOr<std::optional<OrderedStrings>> FindMap(Domain& domain,
                                                      const std::string& name);

// --durability=none|checkpoint|sync; sync without it: what a command line has
// said to be done is on disk.
absl::StatusOr<Durability> DurabilityOption(const CommandLine& line);
inline constexpr OptionSpec kDurabilityOption = {
    "--durability", "MODE",
    "none, checkpoint or sync (default): on disk when eve returns"};

// A key or value from the command line, in hexadecimal with --hex.
absl::StatusOr<std::string> BytesArgument(const CommandLine& line,
                                          const std::string& word);
inline constexpr OptionSpec kHexOption = {"--hex", "",
                                          "keys and values are in hexadecimal"};
inline constexpr OptionSpec kJsonOption = {"--json", "",
                                           "print JSON, one object a line"};

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_OPEN_H_
