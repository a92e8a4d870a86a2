// eve collections: what collections a domain has.
#include <cstdio>
#include <vector>

#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/verbs.h"

namespace eve::cli {
namespace {

int RunCollections(const CommandLine& line) {
  const std::string& path = line.words()[0];
  const absl::StatusOr<Domain> domain = OpenToRead(path);
  if (!domain.ok()) return Fail(domain.status());
  const absl::StatusOr<std::vector<CollectionInfo>> infos =
      domain->Collections();
  if (!infos.ok()) return Fail(infos.status());
  if (line.Count(kJsonOption.name) == 0) {
    for (const CollectionInfo& info : *infos) {
      std::printf("%s\t%s\t%llu\n", Escaped(info.name).c_str(),
                  TypeOf(info).c_str(),
                  static_cast<unsigned long long>(info.count));
    }
    return kFine;
  }
  JsonObject all;
  all.Add("schema", uint64_t{1})
      .Add("path", std::string_view(path))
      .AddJson("collections", CollectionsToJson(*infos));
  Print(all.ToString() + "\n");
  return kFine;
}

}  // namespace

const Verb& CollectionsVerb() {
  static const auto* const kVerb = new Verb{
      .name = "collections",
      .arguments = "DOMAIN",
      .summary = "list collections: name, kind, types, records",
      .help =
          "One collection a line: its name, its kind and types, and how many "
          "records it has,\nwith tabs between them; what is not printable "
          "ASCII in a name is escaped as \\xNN.",
      .words_min = 1,
      .words_max = 1,
      .options = {kJsonOption},
      .run = RunCollections};
  return *kVerb;
}

}  // namespace eve::cli
