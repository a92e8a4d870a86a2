// eve stat: figures about a domain and its collections.
#include <cstdio>
#include <utility>
#include <vector>

#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/verbs.h"

namespace eve::cli {
namespace {

using Figure = std::pair<const char*, uint64_t>;

std::vector<Figure> FiguresOf(const DomainStats& stats) {
  return {{"version", stats.version},
          {"durable_version", stats.durable_version},
          {"folded_version", stats.folded_version},
          {"incarnation", stats.incarnation},
          {"file_bytes", stats.file_bytes},
          {"disk_bytes", stats.disk_bytes},
          {"live_bytes", stats.live_bytes},
          {"fill_bytes", stats.fill_bytes},
          {"dead_bytes", stats.dead_bytes},
          {"free_bytes", stats.free_bytes},
          {"pinned_bytes", stats.pinned_bytes},
          {"durable_held_bytes", stats.durable_held_bytes},
          {"segments", stats.segments},
          {"segments_free", stats.segments_free},
          {"segments_claimed", stats.segments_claimed},
          {"segments_sealed", stats.segments_sealed},
          {"processes", stats.processes},
          {"pins", stats.pins},
          {"oldest_pin", stats.oldest_pin},
          {"oldest_pin_lag", stats.oldest_pin_lag},
          {"commits", stats.commits},
          {"attempts", stats.attempts},
          {"conflicts", stats.conflicts},
          {"restamps", stats.restamps},
          {"replays", stats.replays},
          {"turns", stats.turns},
          {"waits", stats.waits},
          {"folds", stats.folds},
          {"segments_freed", stats.segments_freed},
          {"checkpoints", stats.checkpoints},
          {"flushes", stats.flushes},
          {"flush_ns", stats.flush_ns},
          {"flush_bytes", stats.flush_bytes},
          {"bytes_committed", stats.bytes_committed},
          {"blocks_moved", stats.blocks_moved},
          {"bytes_moved", stats.bytes_moved},
          {"bytes_punched", stats.bytes_punched},
          {"mapped_bytes", stats.mapped_bytes},
          {"huge_mapped_bytes", stats.huge_mapped_bytes}};
}

void PrintJson(const std::string& path, const DomainStats& stats,
               const std::vector<CollectionInfo>& infos) {
  JsonObject all;
  all.Add("schema", uint64_t{1}).Add("path", std::string_view(path));
  for (const auto& [name, value] : FiguresOf(stats)) all.Add(name, value);
  all.Add("write_amplification", stats.write_amplification);
  if (stats.knows_dirty_bytes) all.Add("dirty_bytes", stats.dirty_bytes);
  all.Add("has_unpinned_reader", stats.has_unpinned_reader);
  all.Add("io_engine", std::string_view(stats.io_engine));
  if (!stats.recovery.empty()) {
    all.Add("recovery", std::string_view(stats.recovery));
  }
  all.Add("poisoned", stats.poisoned);
  all.AddJson("collections", CollectionsToJson(infos));
  Print(all.ToString() + "\n");
}

void PrintText(const DomainStats& stats,
               const std::vector<CollectionInfo>& infos) {
  for (const auto& [name, value] : FiguresOf(stats)) {
    std::printf("%-19s %llu\n", name, static_cast<unsigned long long>(value));
  }
  if (stats.fill_bytes > 0) {
    std::printf("%-19s %.1f %%\n", "live_share",
                100.0 * static_cast<double>(stats.live_bytes) /
                    static_cast<double>(stats.fill_bytes));
  }
  std::printf("%-19s %.2f\n", "write_amplification", stats.write_amplification);
  if (stats.knows_dirty_bytes) {
    std::printf("%-19s %llu\n", "dirty_bytes",
                static_cast<unsigned long long>(stats.dirty_bytes));
  }
  if (stats.has_unpinned_reader) {
    Print(
        "a reader without a slot (it may not write the lock file, or came "
        "before all writers) holds back all reuse\n");
  }
  // Else it would read as if all flushes went that way.
  std::printf("%-19s %s%s\n", "io_engine", stats.io_engine.c_str(),
              stats.io_engine == "io_uring"
                  ? " (checkpoints; commits of one flush make plain calls)"
                  : "");
  if (!stats.recovery.empty()) {
    std::printf("%-19s %s\n", "opened", stats.recovery.c_str());
  }
  std::printf("%-19s %s\n", "poisoned", stats.poisoned ? "yes" : "no");
  std::printf("%-19s %zu\n", "collections", infos.size());
  for (const CollectionInfo& info : infos) {
    std::printf("  %s: %s, %llu records\n", Escaped(info.name).c_str(),
                TypeOf(info).c_str(),
                static_cast<unsigned long long>(info.count));
  }
}

int RunStat(const CommandLine& line) {
  absl::StatusOr<Domain> domain = OpenToRead(line.words()[0]);
  if (!domain.ok()) return Fail(domain.status());
  const absl::StatusOr<DomainStats> stats = domain->Stats();
  if (!stats.ok()) return Fail(stats.status());
  const absl::StatusOr<std::vector<CollectionInfo>> infos =
      domain->Collections();
  if (!infos.ok()) return Fail(infos.status());
  if (line.Count(kJsonOption.name) > 0) {
    PrintJson(line.words()[0], *stats, *infos);
  } else {
    PrintText(*stats, *infos);
  }
  return kFine;
}

}  // namespace

const Verb& StatVerb() {
  static const auto* const kVerb = new Verb{
      .name = "stat",
      .arguments = "DOMAIN",
      .summary = "print figures about a domain",
      .help =
          "Sizes are in bytes. live, dead and free are the newest version's, "
          "everything else\nin used segments, and segments to fill; pinned is "
          "what readers keep of the dead,\ndurable_held what only the durable "
          "versions do ('eve help readers' says what is\nnot counted). "
          "Counters "
          "are sums over all processes, since the first of those that\nhave "
          "the "
          "domain open. flushes are under way, flush_ns for how long the "
          "oldest is, flush_bytes\nwhat it has to write, dirty_bytes what of "
          "the file is in memory only, if the kernel\ncan tell. io_engine is "
          "that of the last checkpoint: io_uring, plain calls, or none\nyet; "
          "synchronous commits that take one flush make plain calls in any "
          "case.",
      .words_min = 1,
      .words_max = 1,
      .options = {kJsonOption},
      .run = RunStat};
  return *kVerb;
}

}  // namespace eve::cli
