// eve version: prints which program this is.
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/verbs.h"
#include "engine/format/constants.h"
#include "eve/version.h"

namespace eve::cli {
namespace {

int RunVersion(const CommandLine& line) {
  if (line.Count(kJsonOption.name) == 0) {
    Print(absl::StrCat("eve ", EVE_VERSION, " (file format ", kFormatVersion,
                       ")\n"));
    return kFine;
  }
  JsonObject all;
  all.Add("schema", uint64_t{1})
      .Add("version", EVE_VERSION)
      .Add("format_version", uint64_t{kFormatVersion});
  Print(all.ToString() + "\n");
  return kFine;
}

}  // namespace

const Verb& VersionVerb() {
  static const auto* const kVerb =
      new Verb{.name = "version",
               .arguments = "",
               .summary = "print the version",
               .help = "Of the program, and of the files that it makes.",
               .words_min = 0,
               .words_max = 0,
               .options = {kJsonOption},
               .run = RunVersion};
  return *kVerb;
}

}  // namespace eve::cli
