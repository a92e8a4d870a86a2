// eve load: writes the records of a dump into a domain.
#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/cli/line_reader.h"
#include "engine/cli/loader.h"
#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/progress.h"
#include "engine/cli/record_source.h"
#include "engine/cli/stop_signal.h"
#include "engine/cli/verbs.h"
#include "util/status_macros.h"

namespace eve::cli {
namespace {

constexpr char kVerbName[] = "load";
constexpr OptionSpec kPairsOption = {
    "-T", "", "pairs of lines of text: a key, its value"};
constexpr OptionSpec kKeepOption = {"-N", "",
                                    "leave records that exist as they are"};
constexpr OptionSpec kFileOption = {"-f", "FILE", "read FILE, not stdin"};
constexpr OptionSpec kOneOption = {"-s", "NAME", "as COLLECTION"};
constexpr OptionSpec kKindOption = {"--kind", "KIND",
                                    "ordered (default), hash, set or multi"};
constexpr OptionSpec kFormatOption = {
    "--format", "FORMAT", "mdb or jsonl; by its first byte without this"};
constexpr OptionSpec kBatchOption = {"--batch", "N",
                                     "records a transaction; 65536"};
constexpr OptionSpec kSkipOption = {"--skip", "N",
                                    "pass over N records: they are in"};
constexpr OptionSpec kAnyOrderOption = {
    "--any-order", "", "take LMDB's reversekey and reversedup databases"};
constexpr OptionSpec kVerboseOption = {"-v", "",
                                       "print a line a collection as well"};

enum class InputFormat { kRecognized, kMdb, kPairs, kJsonLines };

struct LoadRequest {
  LoadOptions options;
  std::string input = "-";
  InputFormat format = InputFormat::kRecognized;
  ProgressLine::When progress = ProgressLine::When::kAuto;
};

absl::StatusOr<std::string> KindArgument(const CommandLine& line) {
  const std::string name = line.Value(kKindOption.name, "");
  if (line.Count(kKindOption.name) == 0) return name;
  if (name == "ordered") return std::string(OrderedStrings::kKind);
  if (name == "hash") return std::string(Strings::kKind);
  if (name == "set") return std::string("sorted_set");
  if (name == "multi") return std::string("multi_map");
  return absl::InvalidArgumentError(
      absl::StrCat("--kind is ordered, hash, set or multi, not '", name, "'"));
}

absl::StatusOr<InputFormat> FormatArgument(const CommandLine& line) {
  const std::string name = line.Value(kFormatOption.name, "");
  const bool is_given = line.Count(kFormatOption.name) > 0;
  if (line.Count(kPairsOption.name) > 0) {
    if (!is_given) return InputFormat::kPairs;
    return absl::InvalidArgumentError("-T is a format already");
  }
  if (!is_given) return InputFormat::kRecognized;
  if (name == "mdb") return InputFormat::kMdb;
  if (name == "jsonl") return InputFormat::kJsonLines;
  return absl::InvalidArgumentError(
      absl::StrCat("--format is mdb or jsonl, not '", name, "'"));
}

absl::StatusOr<LoadRequest> RequestOf(const CommandLine& line) {
  LoadRequest request;
  LoadOptions& options = request.options;
  options.path = line.words()[0];
  options.collection = line.Value(kOneOption.name, options.collection);
  if (line.words().size() > 1) {
    if (line.Count(kOneOption.name) > 0) {
      return absl::InvalidArgumentError("-s names a collection already");
    }
    options.collection = line.words()[1];
  }
  EVE_ASSIGN_OR_RETURN(options.durability, DurabilityOption(line));
  EVE_ASSIGN_OR_RETURN(options.kind, KindArgument(line));
  options.keep_existing = line.Count(kKeepOption.name) > 0;
  options.any_order = line.Count(kAnyOrderOption.name) > 0;
  EVE_ASSIGN_OR_RETURN(options.skip, line.Number(kSkipOption.name, 0));
  EVE_ASSIGN_OR_RETURN(options.batch_records,
                       line.Number(kBatchOption.name, options.batch_records));
  if (options.batch_records == 0) {
    return absl::InvalidArgumentError("--batch is at least 1");
  }
  request.input = line.Value(kFileOption.name, request.input);
  EVE_ASSIGN_OR_RETURN(request.format, FormatArgument(line));
  EVE_ASSIGN_OR_RETURN(request.progress, ProgressArgument(line));
  return request;
}

absl::StatusOr<std::unique_ptr<RecordSource>> OpenSource(InputFormat format,
                                                         LineReader* lines) {
  switch (format) {
    case InputFormat::kPairs:
      return NewPairsSource(lines);
    case InputFormat::kJsonLines:
      return NewJsonSource(lines);
    case InputFormat::kMdb:
      return NewMdbSource(lines);
    case InputFormat::kRecognized:
      break;
  }
  EVE_ASSIGN_OR_RETURN(const int first, lines->Peek());
  return first == '{' ? NewJsonSource(lines) : NewMdbSource(lines);
}

uint64_t Sum(const Loader& loader, uint64_t LoadedCollection::*figure) {
  uint64_t sum = 0;
  for (const LoadedCollection& one : loader.loaded()) sum += one.*figure;
  return sum;
}

void PrintJson(const LoadRequest& request, const Loader& loader, bool complete,
               double seconds) {
  JsonArray collections;
  for (const LoadedCollection& one : loader.loaded()) {
    JsonObject object;
    object.Add("name", std::string_view(one.info.name))
        .Add("kind", std::string_view(one.info.kind))
        .Add("key_type", std::string_view(one.info.key_type))
        .Add("value_type", std::string_view(one.info.value_type))
        .Add("records", one.info.count)
        .Add("existing", one.existing);
    collections.Add(object.ToString());
  }
  JsonObject all;
  all.Add("schema", uint64_t{1})
      .Add("path", std::string_view(request.options.path))
      .Add("complete", complete)
      .Add("records_done", loader.records_done())
      .Add("elapsed_ns", static_cast<uint64_t>(seconds * 1e9))
      .AddJson("collections", collections.ToString());
  Print(all.ToString() + "\n");
}

void PrintText(const LoadRequest& request, const Loader& loader, bool verbose,
               double seconds) {
  if (verbose) {
    for (const LoadedCollection& one : loader.loaded()) {
      std::printf("%s: %llu records\n", Escaped(one.info.name).c_str(),
                  static_cast<unsigned long long>(one.info.count));
    }
  }
  const size_t collections = loader.loaded().size();
  std::printf("%s: %llu records in %zu collection%s",
              request.options.path.c_str(),
              static_cast<unsigned long long>(loader.records_done()),
              collections, collections == 1 ? "" : "s");
  const uint64_t existing = Sum(loader, &LoadedCollection::existing);
  if (existing > 0) {
    std::printf(", %llu of them were there",
                static_cast<unsigned long long>(existing));
  }
  std::printf(" (%.1f s)\n", seconds);
}

void PrintNotes(const Loader& loader) {
  for (const LoadedCollection& one : loader.loaded()) {
    if (!one.forgets_size) continue;
    std::fprintf(stderr,
                 "eve: '%s': values of this size are loaded as strings; dump "
                 "will not say dupfixed=1\n",
                 Escaped(one.info.name).c_str());
  }
}

// How somebody goes on who was interrupted.
void PrintRecordsDone(const Loader& loader) {
  std::fprintf(stderr,
               "eve: the first %llu records of the input are in, all else is "
               "as it was; '--skip=%llu' goes on behind them\n",
               static_cast<unsigned long long>(loader.records_done()),
               static_cast<unsigned long long>(loader.records_done()));
}

int RunLoad(const CommandLine& line) {
  const absl::StatusOr<LoadRequest> request = RequestOf(line);
  if (!request.ok()) return UsageError(kVerbName, request.status().message());
  CatchStopSignals();
  const absl::StatusOr<std::unique_ptr<LineReader>> lines =
      LineReader::Open(request->input);
  if (!lines.ok()) return Fail(lines.status());
  const absl::StatusOr<std::unique_ptr<RecordSource>> source =
      OpenSource(request->format, lines->get());
  absl::Status status = source.status();
  ProgressLine progress(request->progress);
  Loader loader(request->options, lines->get(),
                source.ok() ? source->get() : nullptr, &progress);
  if (status.ok()) status = loader.Run();
  const absl::Status closed = loader.Close();
  if (status.ok()) status = closed;
  progress.End();
  const bool is_stopped = absl::IsCancelled(status);
  if (!IsQuiet(line)) PrintNotes(loader);
  if (status.ok() || is_stopped) {
    if (line.Count(kJsonOption.name) > 0) {
      PrintJson(*request, loader, !is_stopped, progress.seconds());
    } else if (!IsQuiet(line)) {
      PrintText(*request, loader, line.Count(kVerboseOption.name) > 0,
                progress.seconds());
    }
  }
  if (status.ok()) return kFine;
  const int code = is_stopped ? StoppedExitCode() : Fail(status);
  PrintRecordsDone(loader);
  return code;
}

}  // namespace

const Verb& LoadVerb() {
  static const auto* const kVerb = new Verb{
      .name = kVerbName,
      .arguments = "DOMAIN [COLLECTION]",
      .summary = "read what dump and mdb_dump write",
      .help =
          "Reads the text format of mdb_dump, or JSON lines, from stdin and "
          "creates the domain\nand the collections that are missing. "
          "Collections without a name go to COLLECTION,\nor 'main'; those of "
          "LMDB into an ordered map, those with dupsort=1 into a multi_map.\n"
          "Every batch is one transaction: after an error what came before "
          "the failing batch\nis in, and it says how many records that are.",
      .words_min = 1,
      .words_max = 2,
      .options = {kPairsOption, kKeepOption, kFileOption, kOneOption,
                  kKindOption, kFormatOption, kBatchOption, kSkipOption,
                  kAnyOrderOption, kDurabilityOption, kProgressOption,
                  kQuietOption, kShortQuietOption, kVerboseOption, kJsonOption},
      .run = RunLoad};
  return *kVerb;
}

}  // namespace eve::cli
