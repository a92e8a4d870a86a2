#include "tests/simdisk/rig.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engine/domain/create.h"
#include "tests/simdisk/creation.h"
#include "tests/simdisk/fixed_random.h"
#include "tests/simdisk/recorder.h"
#include "tests/testing/child_process.h"
#include "tests/testing/temp_dir.h"
#include "util/check.h"

namespace eve::simdisk {
namespace {

uint64_t SeedOf(uint64_t seed, uint64_t history, uint64_t use) {
  uint64_t state = seed * 1'000'003 + history * 101 + use;
  return SplitMix64(state);
}

// Bugs of reuse show where segments die and are used again, those of one flush
// where commits are synchronous.
void SuitTo(PlantedBug bug, WorkloadTraits* traits) {
  switch (bug) {
    case PlantedBug::kReusedOneEarly:
    case PlantedBug::kReusedUnderDurable:
    case PlantedBug::kPunchedUnderDurable:
    case PlantedBug::kPendingIgnored:
      MakeChurn(traits);
      traits->punches_at_once = bug == PlantedBug::kPunchedUnderDurable;
      traits->flushes_fail = bug == PlantedBug::kPendingIgnored;
      return;
    case PlantedBug::kListIgnored:
    case PlantedBug::kExtentLeftOut:
    case PlantedBug::kAcknowledgedEarly:
      traits->durability = Durability::kSync;
      return;
    case PlantedBug::kStoredChecksumIgnored:
      // Runs are stored through the map, and their checksums last: while room
      // is made for the next, those of the first are not there yet.
      MakeChurn(traits);
      traits->durability = Durability::kSync;
      traits->edits_max = 4;
      return;
    default:
      return;
  }
}

bool IsCreationPartOf(const RigOptions& options, uint64_t history) {
  return options.bug == PlantedBug::kCreatedUnflushed ||
         SeedOf(options.seed, history, 6) % 4 == 0;
}

// Writes, then tries what may have become of it.
void RecordAndExplore(const RigOptions& options, uint64_t history,
                      const std::string& folder, const std::string& path,
                      Recorder& recorder, uint32_t first_event,
                      Report* report) {
  Timeline timeline;
  timeline.OpenEpoch(0, 1, Content{});
  timeline.Acknowledge(first_event, 1);
  recorder.KeepRegions();
  WorkloadTraits traits = RandomTraits(SeedOf(options.seed, history, 3));
  SuitTo(options.bug, &traits);
  Workload workload(path, &recorder, &timeline,
                    SeedOf(options.seed, history, 4), traits);
  std::string wrong = workload.Open();
  if (wrong.empty()) wrong = workload.Run();
  workload.Abandon();
  recorder.Stop();
  if (!wrong.empty()) {
    report->Fail(absl::StrCat("while writing: ", wrong));
    return;
  }
  ExploreOptions explore = options.explore;
  explore.folder = folder;
  explore.seed = SeedOf(options.seed, history, 5);
  explore.first_event = first_event;
  if (!options.is_cured) {
    explore.tamper = TamperOf(options.bug);
    explore.has_device = options.bug != PlantedBug::kCacheBelieved;
  }
  Explorer(explore, report).Explore(recorder, timeline);
}

// In a process of its own.
void RunHistory(const RigOptions& options, uint64_t history,
                const std::string& folder, Report* report) {
  SeedSystemRandom(SeedOf(options.seed, history, 1));
  const std::string path = folder + "/domain.eve";
  const uint64_t seed = SeedOf(options.seed, history, 2);
  if (IsCreationPartOf(options, history)) {
    CreationWatch watch(path, seed, [&](Recorder* recorder) {
      if (!options.is_cured) Plant(options.bug, path, recorder);
    });
    const absl::Status created = CreateDomainFile(path, ~uint64_t{0});
    EVE_CHECK(created.ok() && watch.recorder() != nullptr, "a new domain");
    if (!watch.has_durable_name()) {
      report->Fail("a new domain's name is not flushed");
    } else {
      RecordAndExplore(options, history, folder, path, *watch.recorder(),
                       watch.named_at(), report);
    }
  } else {
    {
      // Creating is not part of it: this is all on the disk.
      const absl::StatusOr<Domain> created = Domain::Open(path);
      EVE_CHECK(created.ok(), "a new domain");
    }
    ::unlink((path + "-lock").c_str());
    Recorder recorder(path, seed);
    if (!options.is_cured) Plant(options.bug, path, &recorder);
    RecordAndExplore(options, history, folder, path, recorder,
                     /*first_event=*/0, report);
  }
  report->done = true;
}

std::string FailureOf(const Report& report, int ended) {
  if (report.failed()) return report.failure;
  return report.done
             ? ""
             : absl::StrCat("a process of it crashed (the first ended with ",
                            ended, ")");
}

// What is left out is as it is by default, or does not matter for one state.
std::string ReplayOf(const RigOptions& options, uint64_t history,
                     const Report& report) {
  std::string flags =
      absl::StrCat("--seed=", options.seed, " --history=", history);
  if (options.bug != PlantedBug::kNone) {
    absl::StrAppend(&flags, " --bug=", std::string(NameOf(options.bug)));
  }
  if (options.is_cured) absl::StrAppend(&flags, " --cured=1");
  if (report.at[0] != '\0') absl::StrAppend(&flags, " --state=", report.at);
  return flags;
}

}  // namespace

RigResult RunRig(const RigOptions& options,
                 const std::function<bool(const RigResult&)>& go_on) {
  RigResult result;
  for (uint64_t history = options.first_history; go_on(result); ++history) {
    testing::TempDir folder("/dev/shm");
    auto report = std::make_unique<testing::SharedValue<Report>>();
    int ends[2];
    EVE_CHECK(::pipe(ends) == 0, "a pipe");
    testing::ChildProcess child([&] {
      ::close(ends[0]);
      RunHistory(options, history, folder.path(), &**report);
      return 0;
    });
    ::close(ends[1]);
    // A history goes on in other processes when one dies; the last one to go
    // closes its end.
    char none;
    while (::read(ends[0], &none, 1) < 0) {
    }
    ::close(ends[0]);
    const int ended = child.Wait();
    ++result.histories;
    result.events += (*report)->events;
    result.states += (*report)->states;
    result.repeated += (*report)->repeated;
    result.inner_states += (*report)->inner_states;
    result.deaths += (*report)->deaths;
    result.odd_lock_files += (*report)->odd_lock_files;
    result.written += (*report)->written;
    result.digest += (*report)->digest;
    // The folder has another name each time.
    const std::string failure = absl::StrReplaceAll(
        FailureOf(**report, ended), {{folder.path() + "/", ""}});
    if (failure.empty()) continue;
    result.failure = failure;
    result.replay = ReplayOf(options, history, **report);
    return result;
  }
  return result;
}

}  // namespace eve::simdisk
