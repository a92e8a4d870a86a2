#include "engine/cli/key_range.h"

#include "util/status_macros.h"

namespace eve::cli {
namespace {

absl::StatusOr<std::optional<std::string>> BytesOption(
    const CommandLine& line, const OptionSpec& option) {
  if (line.Count(option.name) == 0) return std::nullopt;
  EVE_ASSIGN_OR_RETURN(std::string bytes,
                       BytesArgument(line, line.Value(option.name, "")));
  return std::optional<std::string>(std::move(bytes));
}

}  // namespace

bool KeyRange::Contains(Bytes key) const {
  return (!prefix.has_value() || std::string_view(key).starts_with(*prefix)) &&
         (!from.has_value() || key >= Bytes(*from)) &&
         (!to.has_value() || key < Bytes(*to));
}

OrderedStrings::Reader::Scan KeyRange::Over(
    const OrderedStrings::Reader& reader) const {
  if (prefix.has_value()) return reader.Prefix(*prefix);
  if (from.has_value() && to.has_value()) return reader.Range(*from, *to);
  if (from.has_value()) return reader.From(*from);
  if (to.has_value()) return reader.Until(*to);
  return reader.All();
}

absl::StatusOr<KeyRange> KeyRangeOption(const CommandLine& line) {
  KeyRange range;
  EVE_ASSIGN_OR_RETURN(range.from, BytesOption(line, kFromOption));
  EVE_ASSIGN_OR_RETURN(range.to, BytesOption(line, kToOption));
  EVE_ASSIGN_OR_RETURN(range.prefix, BytesOption(line, kPrefixOption));
  if (range.prefix.has_value() && (range.from || range.to)) {
    return absl::InvalidArgumentError(
        "--prefix cannot be together with --from or --to");
  }
  return range;
}

}  // namespace eve::cli
