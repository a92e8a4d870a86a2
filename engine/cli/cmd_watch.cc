// eve watch: prints what changes in a collection, as it is committed.
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdio>
#include <limits>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "engine/cli/key_range.h"
#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/progress.h"
#include "engine/cli/stop_signal.h"
#include "engine/cli/verbs.h"
#include "util/status_macros.h"

namespace eve::cli {
namespace {

constexpr OptionSpec kTimeoutOption = {
    "--timeout", "TIME", "end when nothing has changed for TIME: 10s, 500ms"};

struct WatchOptions {
  KeyRange range;
  uint64_t limit = 0;
  absl::Duration timeout;
};

absl::StatusOr<WatchOptions> ParseOptions(const CommandLine& line) {
  WatchOptions options;
  EVE_ASSIGN_OR_RETURN(options.range, KeyRangeOption(line));
  EVE_ASSIGN_OR_RETURN(
      options.limit,
      line.Number("--limit", std::numeric_limits<uint64_t>::max()));
  const std::string text = line.Value(kTimeoutOption.name, "inf");
  if (!absl::ParseDuration(text, &options.timeout) ||
      options.timeout < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        "--timeout is a time like 10s or 500ms, not '" + text + "'");
  }
  return options;
}

// As a writer does, so that those who come to commit join it: a domain that
// somebody has open to read only is opened anew by the next writer. Where that
// is not allowed, writers must be there.
absl::StatusOr<Domain> OpenToWatch(const std::string& path) {
  absl::StatusOr<Domain> domain =
      OpenToWrite(path, /*create=*/false, Durability::kNone);
  if (!absl::IsPermissionDenied(domain.status())) return domain;
  return OpenToRead(path);
}

// What is new, as something that a poll can wait for.
class NewsPipe {
 public:
  NewsPipe() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~NewsPipe() { ::close(fd_); }
  NewsPipe(const NewsPipe&) = delete;
  NewsPipe& operator=(const NewsPipe&) = delete;

  void Raise() const { ::eventfd_write(fd_, 1); }
  // Waits until it is raised, `end`, a signal to stop, or until nobody reads
  // stdout any more. Returns the first of these.
  Woken Await(absl::Time end) const {
    const Woken why = WaitToRead(fd_, end, STDOUT_FILENO);
    eventfd_t raised = 0;
    if (why == Woken::kReadable) ::eventfd_read(fd_, &raised);
    return why;
  }

 private:
  const int fd_;
};

class Printer {
 public:
  Printer(const CommandLine& line, const WatchOptions& options)
      : options_(options),
        is_json_(line.Count(kJsonOption.name) > 0),
        is_hex_(line.Count(kHexOption.name) > 0) {}

  bool is_full() const { return printed_ >= options_.limit; }
  uint64_t printed() const { return printed_; }

  // What `collection` has at `now` and had not at `before`.
  absl::Status PrintChanges(const AnyCollection& collection,
                            const Snapshot& before, const Snapshot& now) {
    const auto print = [&](Bytes key, std::optional<Bytes> old_value,
                           std::optional<Bytes> new_value) {
      if (options_.range.Contains(key)) {
        Print(now.version(), key, old_value, new_value);
      }
      return !is_full();
    };
    EVE_RETURN_IF_ERROR(collection.IsOrdered()
                            ? collection.ordered().Diff(before, now, print)
                            : collection.hashed().Diff(before, now, print));
    return now.status();
  }

 private:
  void Print(uint64_t version, Bytes key, const std::optional<Bytes>& before,
             const std::optional<Bytes>& after) {
    ++printed_;
    if (!is_json_) {
      const auto text = [this](Bytes bytes) {
        return is_hex_ ? ToHex(bytes) : Escaped(bytes);
      };
      cli::Print(after.has_value()
                     ? "+\t" + text(key) + "\t" + text(*after) + "\n"
                     : "-\t" + text(key) + "\n");
      return;
    }
    JsonObject change;
    change.Add("schema", uint64_t{1}).Add("version", version);
    Add("key", key, change);
    if (before.has_value()) Add("before", *before, change);
    if (after.has_value()) Add("value", *after, change);
    cli::Print(change.ToString() + "\n");
  }
  void Add(const std::string& name, Bytes bytes, JsonObject& to) const {
    if (is_hex_) {
      to.Add(name + "_hex", ToHex(bytes));
    } else {
      to.Add(name, std::string_view(bytes));
    }
  }

  const WatchOptions& options_;
  const bool is_json_;
  const bool is_hex_;
  uint64_t printed_ = 0;
};

absl::StatusOr<bool> IsThere(const AnyCollection& collection,
                             const Snapshot& at) {
  EVE_ASSIGN_OR_RETURN(const std::vector<internal::CollectionView> found,
                       CollectionsAt(at));
  for (const internal::CollectionView& one : found) {
    if (one.info.name == collection.info.name) {
      return one.id == collection.ref.id;
    }
  }
  return false;
}

// Prints until it is enough, and returns the exit code.
absl::StatusOr<int> WatchOn(Domain& domain, const AnyCollection& collection,
                            const WatchOptions& options, bool is_quiet,
                            Printer& printer) {
  const NewsPipe news;
  EVE_ASSIGN_OR_RETURN(Snapshot before, domain.Now());
  EVE_ASSIGN_OR_RETURN(const Watch watch,
                       domain.OnChange([&news](uint64_t) { news.Raise(); }));
  if (!is_quiet) {
    std::fprintf(stderr, "eve: watching from version %llu on\n",
                 static_cast<unsigned long long>(before.version()));
  }
  // What was committed between the two steps above has raised nothing.
  news.Raise();
  absl::Time end = absl::Now() + options.timeout;
  bool is_over = false;
  while (!printer.is_full() && !is_over) {
    switch (news.Await(end)) {
      case Woken::kReadable:
        break;
      case Woken::kStopped:
        return StoppedExitCode();
      case Woken::kNobodyReads:
        return kFine;
      case Woken::kTimeOver:
        // One look more: the watch may have been kept from it.
        is_over = true;
        break;
    }
    EVE_RETURN_IF_ERROR(watch.status());
    EVE_ASSIGN_OR_RETURN(Snapshot now, domain.Now());
    // In the version that would be printed: of a drop, each record would be one
    // that was erased, or none, by whether it comes before this or after.
    EVE_ASSIGN_OR_RETURN(const bool is_there, IsThere(collection, now));
    if (!is_there) {
      std::fputs("eve: the collection was dropped\n", stderr);
      return kAbsent;
    }
    const uint64_t printed = printer.printed();
    EVE_RETURN_IF_ERROR(printer.PrintChanges(collection, before, now));
    if (std::fflush(stdout) != 0) return kFine;  // told at exit
    if (printer.printed() > printed) {
      end = absl::Now() + options.timeout;
      is_over = false;
    }
    before = std::move(now);
  }
  return is_over ? kGaveUp : kFine;
}

int RunWatch(const CommandLine& line) {
  const std::vector<std::string>& words = line.words();
  const absl::StatusOr<WatchOptions> options = ParseOptions(line);
  if (!options.ok()) return UsageError("watch", options.status().message());
  absl::StatusOr<Domain> domain = OpenToWatch(words[0]);
  if (!domain.ok()) return Fail(domain.status());
  const absl::StatusOr<std::optional<AnyCollection>> found =
      FindCollection(*domain, words[1]);
  if (!found.ok()) return Fail(found.status());
  if (!found->has_value()) return kAbsent;
  CatchStopSignals();
  Printer printer(line, *options);
  const absl::StatusOr<int> code =
      WatchOn(*domain, **found, *options, IsQuiet(line), printer);
  return code.ok() ? *code : Fail(code.status());
}

}  // namespace

const Verb& WatchVerb() {
  static const auto* const kVerb = new Verb{
      .name = "watch",
      .arguments = "DOMAIN COLLECTION",
      .summary = "print what changes in a collection, as it is committed",
      .help =
          "One record a line: +, tab, key, tab, value of what was put; -, tab, "
          "key of what was\nerased, as scan shows them. Commits that come "
          "together are printed together, as\nwhat is left of them: a record "
          "that was put and erased is not there. In JSON, with\nthe version "
          "and the value before. Prints nothing of what is there already. "
          "Until\nthe next commit it holds what it has seen last, as any "
          "reader does. Ends by a\nsignal (exit code 130 or 143), when nobody "
          "reads on, at a limit, or with exit\ncode 5 after the timeout, "
          "if it could look and nothing had changed.\nExit code 1: no such "
          "collection, or it was dropped.",
      .words_min = 2,
      .words_max = 2,
      .options = {kFromOption,
                  kToOption,
                  kPrefixOption,
                  {"--limit", "N", "end after N changes"},
                  kTimeoutOption,
                  kHexOption,
                  kJsonOption,
                  kQuietOption,
                  kShortQuietOption},
      .run = RunWatch};
  return *kVerb;
}

}  // namespace eve::cli
