// eve dump: writes collections of one version as text.
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/cli/dump_rescue.h"
#include "engine/cli/dump_writer.h"
#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/progress.h"
#include "engine/cli/section_emitter.h"
#include "engine/cli/verbs.h"
#include "engine/txn/any_cursor.h"
#include "eve/internal/ordered_access.h"
#include "util/status_macros.h"

namespace eve::cli {
namespace {

constexpr char kVerbName[] = "dump";
constexpr OptionSpec kAllOption = {"-a", "",
                                   "all collections, as without naming any"};
constexpr OptionSpec kOneOption = {"-s", "NAME",
                                   "the collection NAME, as naming it"};
constexpr OptionSpec kPrintOption = {"-p", "", "as --format=print"};
constexpr OptionSpec kFormatOption = {
    "--format", "FORMAT", "bytevalue (default; hexadecimal), print or jsonl"};
constexpr OptionSpec kOutputOption = {"-o", "FILE", "write to FILE"};
constexpr OptionSpec kFileOption = {"-f", "FILE", "as -o"};
constexpr OptionSpec kListOption = {"-l", "", "only list the names"};
constexpr OptionSpec kUnnamedOption = {
    "--unnamed", "", "without the name, for LMDB's unnamed database"};
constexpr OptionSpec kRescueOption = {"--rescue", "",
                                      "save what is intact of a damaged file"};
constexpr OptionSpec kStoredOption = {
    "--stored", "", "uint32 and uint64 as Eve stores them, not as LMDB does"};

constexpr uint64_t kRecordsBetweenLooks = 4096;

using internal::CollectionView;

// What has been written of all there is.
struct Meter {
  ProgressLine line;
  uint64_t done = 0;
  uint64_t total = 0;
  uint64_t not_for_lmdb = 0;  // records that LMDB does not take

  void Show() {
    if (!line.IsDue()) return;
    const double seconds = line.seconds();
    const double share =
        total == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total);
    line.Draw(absl::StrFormat(
                  "%3.0f %%  %d records, %.0f/s", share * 100, done,
                  seconds > 0 ? static_cast<double>(done) / seconds : 0.0) +
              TimeLeft(seconds, share));
  }
};

absl::Status DumpRecords(const Snapshot& now, const CollectionView& collection,
                         SectionEmitter& emitter, Meter& meter) {
  for (internal::AnyCursor at(collection.map); !at.AtEnd(); at.Next()) {
    EVE_RETURN_IF_ERROR(emitter.Put(at.key(), at.value()));
    if (++meter.done % kRecordsBetweenLooks == 0) meter.Show();
  }
  EVE_RETURN_IF_ERROR(now.status());
  meter.not_for_lmdb += emitter.not_for_lmdb();
  const CollectionInfo& info = emitter.section().info;
  if (emitter.records() == info.count) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      "collection '", Escaped(info.name), "' has ", emitter.records(),
      " records and should have ", info.count, "; run eve check"));
}

// Address space and a sparse file, not disk: enough for the worst that LMDB's
// pages can make of the records, whichever way they come.
uint64_t MapBytesFor(const DomainStats& stats,
                     const std::vector<CollectionView>& collections) {
  constexpr uint64_t kMiB = uint64_t{1} << 20;
  uint64_t bytes = 64 * kMiB + 8 * stats.file_bytes;
  for (const CollectionView& collection : collections) {
    bytes += 128 * 1024 + 64 * collection.info.count;
  }
  return (bytes + kMiB - 1) / kMiB * kMiB;
}

// Those of `names` in this order, or all; nothing, and a word about it, if
// there is none of a name.
std::optional<std::vector<CollectionView>> Choose(
    std::vector<CollectionView> all, const std::vector<std::string>& names) {
  if (names.empty()) return all;
  std::vector<CollectionView> chosen;
  for (const std::string& name : names) {
    const auto found = std::find_if(
        all.begin(), all.end(),
        [&](const CollectionView& one) { return one.info.name == name; });
    if (found == all.end()) {
      std::fprintf(stderr, "eve: no collection '%s'\n", Escaped(name).c_str());
      return std::nullopt;
    }
    chosen.push_back(*found);
  }
  return chosen;
}

struct DumpRequest {
  std::vector<std::string> names;
  std::string output = "-";
  DumpFormat format = DumpFormat::kByteValue;
  ProgressLine::When progress = ProgressLine::When::kAuto;
  bool is_unnamed = false;
  bool has_native_integers = true;
  bool lists = false;
  bool is_quiet = false;
};

absl::StatusOr<DumpFormat> FormatArgument(const CommandLine& line) {
  if (line.Count(kJsonOption.name) > 0) return DumpFormat::kJsonLines;
  const bool prints = line.Count(kPrintOption.name) > 0;
  const std::string name =
      line.Value(kFormatOption.name, prints ? "print" : "bytevalue");
  if (name == "bytevalue") return DumpFormat::kByteValue;
  if (name == "print") return DumpFormat::kPrint;
  if (name == "jsonl") return DumpFormat::kJsonLines;
  return absl::InvalidArgumentError(
      absl::StrCat("--format is bytevalue, print or jsonl, not '", name, "'"));
}

absl::StatusOr<DumpRequest> RequestOf(const CommandLine& line) {
  DumpRequest request;
  request.names.assign(line.words().begin() + 1, line.words().end());
  const bool names_one = line.Count(kOneOption.name) > 0;
  if (names_one) request.names.push_back(line.Value(kOneOption.name, ""));
  if (line.Count(kAllOption.name) > 0 && !request.names.empty()) {
    return absl::InvalidArgumentError("-a is all collections, and names some");
  }
  request.output = line.Value(kOutputOption.name,
                              line.Value(kFileOption.name, request.output));
  EVE_ASSIGN_OR_RETURN(request.format, FormatArgument(line));
  EVE_ASSIGN_OR_RETURN(request.progress, ProgressArgument(line));
  request.is_unnamed = line.Count(kUnnamedOption.name) > 0;
  if (request.is_unnamed && request.names.size() != 1) {
    return absl::InvalidArgumentError(
        "--unnamed is for one collection, which has to be named here");
  }
  const bool is_stored = line.Count(kStoredOption.name) > 0;
  const bool is_json = request.format == DumpFormat::kJsonLines;
  if (is_json && (request.is_unnamed || is_stored)) {
    return absl::InvalidArgumentError(
        "--unnamed and --stored are about what mdb_load reads, which is no "
        "JSON");
  }
  request.has_native_integers = !is_json && !is_stored;
  request.lists = line.Count(kListOption.name) > 0;
  request.is_quiet = IsQuiet(line);
  return request;
}

absl::Status DumpOne(const Snapshot& now, const CollectionView& collection,
                     DumpSection section, bool has_native_integers,
                     DumpWriter& writer, Meter& meter) {
  section.info = collection.info;
  SectionEmitter emitter(std::move(section), has_native_integers, &writer);
  EVE_RETURN_IF_ERROR(emitter.Begin());
  EVE_RETURN_IF_ERROR(DumpRecords(now, collection, emitter, meter));
  return emitter.End();
}

// False: there is no such collection.
absl::StatusOr<bool> Dump(const Domain& domain, const DumpRequest& request) {
  EVE_ASSIGN_OR_RETURN(const Snapshot now, domain.Now());
  EVE_ASSIGN_OR_RETURN(std::vector<CollectionView> all, CollectionsAt(now));
  const std::optional<std::vector<CollectionView>> chosen =
      Choose(std::move(all), request.names);
  if (!chosen.has_value()) return false;
  const std::vector<CollectionView>& collections = *chosen;
  if (request.lists) {
    for (const CollectionView& one : collections) {
      Print(Escaped(one.info.name) + "\n");
    }
    return true;
  }
  EVE_ASSIGN_OR_RETURN(const DomainStats stats, domain.Stats());
  EVE_ASSIGN_OR_RETURN(const std::unique_ptr<DumpWriter> writer,
                       DumpWriter::Open(request.output, request.format));
  Meter meter{.line = ProgressLine(request.progress)};
  for (const CollectionView& one : collections) meter.total += one.info.count;
  DumpSection section;
  section.total = collections.size();
  section.map_bytes = MapBytesFor(stats, collections);
  section.is_unnamed = request.is_unnamed;
  for (size_t i = 0; i < collections.size(); ++i) {
    section.index = i + 1;
    EVE_RETURN_IF_ERROR(DumpOne(now, collections[i], section,
                                request.has_native_integers, *writer, meter));
  }
  EVE_RETURN_IF_ERROR(writer->Close());
  if (meter.not_for_lmdb > 0 && request.format != DumpFormat::kJsonLines &&
      !request.is_quiet) {
    std::fprintf(stderr,
                 "eve: %llu records have keys, or values in a multi_map, that "
                 "are empty or longer than\n%zu bytes: mdb_load may not take "
                 "them\n",
                 static_cast<unsigned long long>(meter.not_for_lmdb),
                 kLmdbKeyBytesMax);
  }
  return true;
}

int RunDump(const CommandLine& line) {
  const absl::StatusOr<DumpRequest> request = RequestOf(line);
  if (!request.ok()) return UsageError(kVerbName, request.status().message());
  if (line.Count(kRescueOption.name) > 0) {
    if (request->lists || request->is_unnamed) {
      return UsageError(kVerbName,
                        "--rescue goes with neither -l nor --unnamed");
    }
    return DumpRescue({.path = line.words()[0],
                       .names = request->names,
                       .output = request->output,
                       .format = request->format,
                       .has_native_integers = request->has_native_integers,
                       .is_quiet = request->is_quiet});
  }
  const absl::StatusOr<Domain> domain = OpenToRead(line.words()[0]);
  if (!domain.ok()) return Fail(domain.status());
  const absl::StatusOr<bool> found = Dump(*domain, *request);
  if (!found.ok()) return Fail(found.status());
  return *found ? kFine : kAbsent;
}

}  // namespace

const Verb& DumpVerb() {
  static const auto* const kVerb = new Verb{
      .name = kVerbName,
      .arguments = "DOMAIN [COLLECTION...]",
      .summary = "write collections as text, for load and mdb_load",
      .help =
          "One version of all collections, or of those that are named, in the "
          "text format of\nmdb_dump; keys in order, those of a map in none. "
          "Keys and values are the stored\nbytes, but what LMDB has otherwise "
          "is as LMDB has it: the keys and values of a\nmulti_map are taken "
          "apart, and integers that LMDB knows (uint32 and uint64 as\nkeys, "
          "and as values of a multi_map) have the lowest byte first. A dump "
          "that was\ncut off is refused by eve load. Exit code 1: no such "
          "collection.",
      .words_min = 1,
      .words_max = kWordsMax,
      .options = {kAllOption, kOneOption, kPrintOption, kFormatOption,
                  kJsonOption, kOutputOption, kFileOption, kListOption,
                  kUnnamedOption, kStoredOption, kRescueOption, kProgressOption,
                  kQuietOption, kShortQuietOption},
      .run = RunDump};
  return *kVerb;
}

}  // namespace eve::cli
