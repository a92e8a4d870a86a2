// eve readers: who is attached, what they have pinned, and what that holds.
#include <cstdio>
#include <vector>

#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/reader_table.h"
#include "engine/cli/verbs.h"

namespace eve::cli {
namespace {

void PrintText(const DomainStats& stats,
               const std::vector<ReaderInfo>& readers) {
  std::printf("version %llu, %llu bytes of garbage pinned by readers\n",
              static_cast<unsigned long long>(stats.version),
              static_cast<unsigned long long>(stats.pinned_bytes));
  if (readers.empty()) {
    Print("nobody is attached\n");
    return;
  }
  PrintReaderHeading();
  for (const ReaderInfo& reader : readers) {
    PrintReader(reader);
    for (const PinInfo& pin : reader.pins) {
      std::printf(
          "      %s %llu: lag %llu, holds %llu bytes, %llu of them alone\n",
          pin.is_range ? "about to pin, at least" : "version",
          static_cast<unsigned long long>(pin.version),
          static_cast<unsigned long long>(pin.lag),
          static_cast<unsigned long long>(pin.held_bytes),
          static_cast<unsigned long long>(pin.alone_bytes));
    }
  }
}

int RunReaders(const CommandLine& line) {
  const std::string& path = line.words()[0];
  absl::StatusOr<Domain> domain = OpenToRead(path);
  if (!domain.ok()) return Fail(domain.status());
  const absl::StatusOr<DomainStats> stats = domain->Stats();
  if (!stats.ok()) return Fail(stats.status());
  absl::StatusOr<std::vector<ReaderInfo>> readers = domain->Readers();
  if (!readers.ok()) return Fail(readers.status());
  RemoveThisProcess(*readers);
  if (line.Count(kJsonOption.name) == 0) {
    PrintText(*stats, *readers);
    return kFine;
  }
  JsonObject all;
  all.Add("schema", uint64_t{1})
      .Add("path", std::string_view(path))
      .Add("version", stats->version)
      .Add("pinned_bytes", stats->pinned_bytes)
      .AddJson("readers", ReadersToJson(*readers));
  Print(all.ToString() + "\n");
  return kFine;
}

}  // namespace

const Verb& ReadersVerb() {
  static const auto* const kVerb = new Verb{
      .name = "readers",
      .arguments = "DOMAIN",
      .summary = "list attached processes and what their pins hold",
      .help =
          "For each pin: how many versions it lags behind, the bytes of dead "
          "segments that\nit keeps from being reused, and how many of these "
          "nothing else holds. Dead blocks\nbeside live ones are not counted: "
          "no pin is what keeps them. Counters of a process\ninclude those of "
          "dead ones that had its slot. 'eve readers' itself is left out.",
      .words_min = 1,
      .words_max = 1,
      .options = {kJsonOption},
      .run = RunReaders};
  return *kVerb;
}

}  // namespace eve::cli
