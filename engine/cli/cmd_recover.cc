// eve recover: opens what a crash left, or says what that would do.
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/cli/open.h"
#include "engine/cli/output.h"
#include "engine/cli/verbs.h"
#include "engine/domain/recovery_preview.h"

namespace eve::cli {
namespace {

constexpr OptionSpec kDryRunOption = {
    "--dry-run", "", "write nothing; say what would be chosen, and why"};

using Region = RecoveryPreview::Region;

const char* NameOf(Region region) {
  switch (region) {
    case Region::kNone:
      return "none";
    case Region::kPoisoned:
      return "poisoned";
    case Region::kIntact:
      return "intact";
    case Region::kRefused:
      break;
  }
  return "refused";
}

const char* MeaningOf(Region region) {
  switch (region) {
    case Region::kNone:
      return "no lock file of this file and boot: a slot is all there is";
    case Region::kPoisoned:
      return "a flush has failed: only what was acknowledged before counts";
    case Region::kIntact:
      return "the root that it names is there, on disk or in memory";
    case Region::kRefused:
      break;
  }
  return "the root that it names is older than a slot's, or not intact";
}

std::string Judgement(const RecoveryPreview::Slot& slot) {
  return slot.judgement.ok() ? "intact" : std::string(slot.judgement.message());
}

void PrintJson(const RecoveryPreview& preview) {
  JsonArray slots;
  for (const RecoveryPreview::Slot& slot : preview.slots) {
    JsonObject one;
    one.Add("index", uint64_t{slot.index})
        .Add("incarnation", slot.incarnation)
        .Add("version", slot.version)
        .Add("extents", uint64_t{slot.extents})
        .Add("intact", slot.judgement.ok())
        .Add("judgement", std::string_view(Judgement(slot)));
    slots.Add(one.ToString());
  }
  JsonArray damaged;
  for (const uint32_t slot : preview.damaged_slots) {
    damaged.Add(absl::StrCat(slot));
  }
  JsonObject all;
  all.Add("schema", uint64_t{1})
      .Add("attached", preview.attached)
      .Add("region", NameOf(preview.region))
      .Add("opens", preview.chosen_version.has_value())
      .Add("whole_check", !preview.why_whole_check.empty())
      .Add("whole_check_reason", std::string_view(preview.why_whole_check))
      .AddJson("damaged_slots", damaged.ToString())
      .Add("region_refusal", std::string_view(preview.refusal))
      .Add("cache_stale", preview.is_cache_stale)
      .AddJson("slots", slots.ToString());
  if (!preview.error.empty()) {
    all.Add("error", std::string_view(preview.error));
  }
  if (preview.chosen_version) all.Add("version", *preview.chosen_version);
  if (preview.chosen_slot) all.Add("slot", uint64_t{*preview.chosen_slot});
  Print(all.ToString() + "\n");
}

void PrintText(const RecoveryPreview& preview) {
  std::string text;
  for (const RecoveryPreview::Slot& slot : preview.slots) {
    absl::StrAppend(&text, "slot ", slot.index, ": incarnation ",
                    slot.incarnation, ", version ", slot.version, ", ",
                    slot.extents, " extents listed: ", Judgement(slot), "\n");
  }
  for (const uint32_t slot : preview.damaged_slots) {
    absl::StrAppend(&text, "slot ", slot, ": fails its checksum\n");
  }
  absl::StrAppend(&text, "lock file: ", NameOf(preview.region), ": ",
                  MeaningOf(preview.region),
                  preview.refusal.empty() ? "" : ": ", preview.refusal, "\n");
  if (preview.attached) {
    absl::StrAppend(&text,
                    "open in other processes: an opener joins them and "
                    "recovers nothing\n");
  }
  if (!preview.chosen_version) {
    absl::StrAppend(&text,
                    preview.is_cache_stale
                        ? "not to be told: "
                        : "no root: the domain would not open: ",
                    preview.error, "\n");
  } else {
    absl::StrAppend(&text, "chosen: version ", *preview.chosen_version,
                    preview.chosen_slot
                        ? absl::StrCat(" of slot ", *preview.chosen_slot)
                        : " of the lock file",
                    preview.why_whole_check.empty()
                        ? ""
                        : ", after a check of all that it reaches: " +
                              preview.why_whole_check,
                    "\n");
  }
  Print(text);
}

int DryRun(const CommandLine& line) {
  const absl::StatusOr<RecoveryPreview> preview =
      PreviewRecovery(line.words()[0]);
  if (!preview.ok()) return Fail(preview.status());
  if (line.Count(kJsonOption.name) > 0) {
    PrintJson(*preview);
  } else {
    PrintText(*preview);
  }
  return preview->chosen_version.has_value() ? kFine : kDamage;
}

// Opening is all it takes.
absl::StatusOr<DomainStats> Recover(const std::string& path) {
  absl::StatusOr<Domain> domain =
      OpenToWrite(path, /*create=*/false, Durability::kCheckpoint);
  if (!domain.ok()) return domain.status();
  absl::StatusOr<DomainStats> stats = domain->Stats();
  if (!stats.ok()) return stats;
  const absl::Status closed = domain->Close();
  return closed.ok() ? stats : closed;
}

int RunRecover(const CommandLine& line) {
  if (line.Count(kDryRunOption.name) > 0) return DryRun(line);
  const absl::StatusOr<DomainStats> stats = Recover(line.words()[0]);
  if (!stats.ok()) return Fail(stats.status());
  const std::string done = stats->recovery.empty()
                               ? "open in other processes: nothing to recover"
                               : stats->recovery;
  if (line.Count(kJsonOption.name) > 0) {
    JsonObject all;
    all.Add("schema", uint64_t{1})
        .Add("version", stats->version)
        .Add("recovery", std::string_view(done));
    Print(all.ToString() + "\n");
  } else {
    Print(done + "\n");
  }
  return kFine;
}

}  // namespace

const Verb& RecoverVerb() {
  static const auto* const kVerb = new Verb{
      .name = "recover",
      .arguments = "DOMAIN",
      .summary = "open what a crash left, or say what that would do",
      .help =
          "Every opener recovers by itself; this does nothing else, and says "
          "what it chose.\nWith --dry-run it never writes, and judges each "
          "commit slot. Exit code 3: the\ndomain would not open, or memory and "
          "disk "
          "differ after a failed flush.",
      .words_min = 1,
      .words_max = 1,
      .options = {kDryRunOption, kJsonOption},
      .run = RunRecover};
  return *kVerb;
}

}  // namespace eve::cli
