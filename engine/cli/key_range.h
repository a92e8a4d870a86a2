// Which keys a verb is asked for: --from, --to, --prefix.
//
// Threads:    one.
// Processes:  none.
// Owns:       the bounds.
// Lifetime:   none.
// Errors:     kInvalidArgument: bad hexadecimal, or options that exclude each
//             other.
// Cost:       none.
#ifndef EVE_ENGINE_CLI_KEY_RANGE_H_
#define EVE_ENGINE_CLI_KEY_RANGE_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/cli/command_line.h"
#include "engine/cli/open.h"

namespace eve::cli {

struct KeyRange {
  std::optional<std::string> from;
  std::optional<std::string> to;
  std::optional<std::string> prefix;

  bool IsAll() const {
    return !from.has_value() && !to.has_value() && !prefix.has_value();
  }
  bool Contains(Bytes key) const;
  OrderedStrings::Reader::Scan Over(const OrderedStrings::Reader& reader) const;
};

absl::StatusOr<KeyRange> KeyRangeOption(const CommandLine& line);

inline constexpr OptionSpec kFromOption = {"--from", "KEY",
                                           "begin with the first key >= KEY"};
inline constexpr OptionSpec kToOption = {"--to", "KEY",
                                         "end before the first key >= KEY"};
inline constexpr OptionSpec kPrefixOption = {"--prefix", "BYTES",
                                             "only keys that begin with BYTES"};

// What to say when hash maps are asked for a range.
inline constexpr char kNoOrder[] =
    "a map has no order: ranges are those of ordered collections";

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_KEY_RANGE_H_
