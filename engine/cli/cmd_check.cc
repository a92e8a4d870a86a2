// eve check: verifies a domain.
#include <fcntl.h>

#include <cstdio>
#include <optional>

#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/verbs.h"
#include "engine/file/file.h"
#include "engine/file/file_lock.h"
#include "engine/format/shared_layout.h"
#include "engine/format/superblock.h"
#include "engine/verify/verifier.h"

namespace eve::cli {
namespace {

const char* NameOf(SlotState state) {
  switch (state) {
    case SlotState::kNeverWritten:
      return "never written";
    case SlotState::kInvalid:
      return "invalid";
    case SlotState::kValid:
      break;
  }
  return "valid";
}

std::string JsonOf(const std::vector<VerifyError>& errors) {
  JsonArray array;
  for (const VerifyError& error : errors) {
    JsonObject one;
    one.Add("offset", error.offset)
        .Add("what", std::string_view(error.what))
        .Add("expected", std::string_view(error.expected))
        .Add("found", std::string_view(error.found));
    array.Add(one.ToString());
  }
  return array.ToString();
}

std::string JsonOf(const std::vector<SlotReport>& slots) {
  JsonArray array;
  for (const SlotReport& slot : slots) {
    JsonObject one;
    one.Add("index", uint64_t{slot.index}).Add("state", NameOf(slot.state));
    if (slot.state == SlotState::kValid) {
      one.Add("incarnation", slot.incarnation)
          .Add("version", slot.version)
          .Add("record_offset", slot.record_offset);
    }
    array.Add(one.ToString());
  }
  return array.ToString();
}

// The verifier has words of its own for kinds; here they are what all other
// verbs say.
std::string KindOf(const TreeReport& tree) {
  if (tree.kind == "ordered map") return "ordered_map";
  if (tree.kind == "sorted set") return "sorted_set";
  if (tree.kind == "multimap") return "multi_map";
  return tree.kind;
}

std::string JsonOf(const std::vector<TreeReport>& trees) {
  JsonArray array;
  for (const TreeReport& tree : trees) {
    JsonObject one;
    one.Add("name", std::string_view(tree.name))
        .Add("kind", std::string_view(KindOf(tree)))
        .Add("id", uint64_t{tree.id})
        .Add("key_type", std::string_view(tree.key_type))
        .Add("value_type", std::string_view(tree.value_type))
        .Add("records", tree.records)
        .Add("nodes", tree.nodes)
        .Add("leaves", tree.leaves)
        .Add("collision_leaves", tree.collision_leaves)
        .Add("external_records", tree.external_records)
        .Add("bytes", tree.bytes)
        .Add("max_depth", uint64_t{tree.max_depth});
    array.Add(one.ToString());
  }
  return array.ToString();
}

void PrintJson(const VerifyReport& report) {
  JsonObject segments;
  segments.Add("total", report.segments.total)
      .Add("unwritten", report.segments.unwritten)
      .Add("dead", report.segments.dead)
      .Add("live", report.segments.live)
      .Add("run", report.segments.run);
  JsonObject all;
  all.Add("schema", uint64_t{1})
      .Add("path", std::string_view(report.path))
      .Add("ok", report.ok())
      .Add("version", report.version)
      .Add("incarnation", report.incarnation)
      .Add("folded_version", report.folded_version)
      .Add("root_offset", report.root_offset)
      .Add("chain_records", report.chain_records)
      .Add("file_bytes", report.file_bytes)
      .Add("fill_bytes", report.fill_bytes)
      .Add("live_bytes", report.live_bytes)
      .Add("blocks", report.blocks)
      .Add("summed_blocks", report.summed_blocks)
      .Add("records", report.records)
      .Add("elapsed_ns", static_cast<uint64_t>(report.seconds * 1e9))
      .AddJson("segments", segments.ToString())
      .AddJson("collections", JsonOf(report.trees))
      .AddJson("slots", JsonOf(report.slots))
      .Add("error_count", report.error_count)
      .AddJson("errors", JsonOf(report.errors))
      .AddJson("warnings", JsonOf(report.warnings));
  Print(all.ToString() + "\n");
}

unsigned long long Long(uint64_t value) { return value; }

void PrintErrors(const char* kind, const std::vector<VerifyError>& errors) {
  for (const VerifyError& error : errors) {
    std::printf("%s: offset %llu: %s: expected %s, found %s\n", kind,
                Long(error.offset), error.what.c_str(), error.expected.c_str(),
                error.found.c_str());
  }
}

void PrintDetails(const VerifyReport& report) {
  for (const SlotReport& slot : report.slots) {
    std::printf("slot %2u: %s", slot.index, NameOf(slot.state));
    if (slot.state == SlotState::kValid) {
      std::printf(", incarnation %llu, version %llu, record at %llu",
                  Long(slot.incarnation), Long(slot.version),
                  Long(slot.record_offset));
    }
    std::printf("\n");
  }
  for (const TreeReport& tree : report.trees) {
    std::printf(
        "%s %u '%s' <%s, %s>: %llu records (%llu external), %llu "
        "nodes, %llu leaves, %llu collision leaves, %llu bytes, depth "
        "%u\n",
        KindOf(tree).c_str(), tree.id, Escaped(tree.name).c_str(),
        Escaped(tree.key_type).c_str(), Escaped(tree.value_type).c_str(),
        Long(tree.records), Long(tree.external_records), Long(tree.nodes),
        Long(tree.leaves), Long(tree.collision_leaves), Long(tree.bytes),
        tree.max_depth);
  }
  std::printf(
      "segments: %llu (%llu live, %llu of runs, %llu dead, %llu "
      "unwritten)\n",
      Long(report.segments.total), Long(report.segments.live),
      Long(report.segments.run), Long(report.segments.dead),
      Long(report.segments.unwritten));
  std::printf(
      "blocks: %llu reachable, %llu summed; chain: %llu records above "
      "version %llu\n",
      Long(report.blocks), Long(report.summed_blocks),
      Long(report.chain_records), Long(report.folded_version));
  std::printf("bytes: %llu live, %llu filled, %llu in the file\n",
              Long(report.live_bytes), Long(report.fill_bytes),
              Long(report.file_bytes));
}

void PrintText(const VerifyReport& report, bool with_details) {
  if (with_details) PrintDetails(report);
  PrintErrors("error", report.errors);
  if (report.error_count > report.errors.size()) {
    std::printf("error: and %llu more\n",
                Long(report.error_count - report.errors.size()));
  }
  PrintErrors("warning", report.warnings);
  std::printf("%s: version %llu, %llu records, %llu bytes live: %s (%.2f s)\n",
              report.path.c_str(), Long(report.version), Long(report.records),
              Long(report.live_bytes),
              report.ok() ? "no damage found" : "DAMAGED", report.seconds);
}

// Verifies what an attached reader sees, so that nothing is reused meanwhile.
absl::StatusOr<VerifyReport> VerifyPinned(const std::string& path,
                                          const File& file) {
  absl::StatusOr<Domain> domain = OpenToRead(path);
  if (!domain.ok()) return domain.status();
  const absl::StatusOr<Snapshot> now = domain->Now();
  if (!now.ok()) return now.status();
  return VerifyDomain(file, {.record_offset = now->internal_record_offset()});
}

absl::StatusOr<VerifyReport> Verify(const std::string& path) {
  absl::StatusOr<File> file = File::Open(path, O_RDONLY);
  if (!file.ok()) return file.status();
  absl::StatusOr<VerifyReport> report = VerifyPinned(path, *file);
  // Damage, or a recovery that a reader must not do: the slots are left.
  if (!absl::IsDataLoss(report.status()) &&
      !absl::IsFailedPrecondition(report.status())) {
    return report;
  }
  // Without a superblock nothing else can be judged.
  Superblock superblock;
  if (!file->ReadAt(0, &superblock, sizeof(superblock)).ok() ||
      absl::IsInvalidArgument(ValidateSuperblock(superblock, path.c_str()))) {
    return report;
  }
  std::fprintf(stderr, "eve: %s\neve: checking the newest durable version\n",
               std::string(report.status().message()).c_str());
  // While this byte is held, nobody who attaches frees what it reaches (P25).
  const absl::StatusOr<bool> held =
      TryLockByte(*file, kUnpinnedReadersLockByte, LockKind::kShared);
  if (!held.ok() || !*held) {
    std::fprintf(stderr, "eve: without a pin: writers may cause errors\n");
  }
  return VerifyDomain(*file);
}

int RunCheck(const CommandLine& line) {
  const absl::StatusOr<VerifyReport> report = Verify(line.words()[0]);
  if (!report.ok()) return Fail(report.status());
  if (line.Count(kJsonOption.name) > 0) {
    PrintJson(*report);
  } else {
    PrintText(*report, line.Count("-v") > 0);
  }
  return report->ok() ? kFine : kDamage;
}

}  // namespace

const Verb& CheckVerb() {
  static const auto* const kVerb = new Verb{
      .name = "check",
      .arguments = "DOMAIN",
      .summary = "verify every block, count and sum",
      .help =
          "Never writes. Exit code 3: damage. A warning, such as of a commit "
          "slot that a\npower cut tore, is none.",
      .words_min = 1,
      .words_max = 1,
      .options = {{"-v", "", "print slots, collections and segments"},
                  kJsonOption},
      .run = RunCheck};
  return *kVerb;
}

}  // namespace eve::cli
