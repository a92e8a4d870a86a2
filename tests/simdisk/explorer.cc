#include "tests/simdisk/explorer.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "eve/eve.h"
#include "tests/simdisk/content.h"
#include "tests/simdisk/list_states.h"
#include "tests/simdisk/workload.h"
#include "util/check.h"

namespace eve::simdisk {
namespace {

DomainOptions Quiet() {
  DomainOptions options;
  options.background = false;
  options.durability = Durability::kNone;
  options.create = false;
  return options;
}

uint64_t Mix(uint64_t a, uint64_t b) {
  uint64_t state = a ^ (b * 0x9e3779b97f4a7c15);
  return SplitMix64(state);
}

void CopyText(const std::string& text, char* to, size_t size) {
  const size_t length = std::min(text.size(), size - 1);
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

// Lost are all pages, one, or some, twice.
constexpr uint32_t kDeathsAlone = 4;
// The same beside a survivor: all, or some.
constexpr uint32_t kDeathsOfAFlush = 6;

// Leaves a random part.
void Thin(uint64_t wanted, Random& random, std::vector<StateId>* ids) {
  for (size_t i = 0; i < ids->size() && i < wanted; ++i) {
    std::swap((*ids)[i], (*ids)[i + random.Uniform(ids->size() - i)]);
  }
  if (ids->size() > wanted) ids->resize(wanted);
}

// Two durable roots are kept, in case the medium loses one.
uint64_t PromisedOf(const CrashState& state, const Timeline& timeline) {
  return state.is_rotten ? timeline.SecondAcknowledgedAt(state.id.event).value()
                         : timeline.AcknowledgedAt(state.id.event);
}

}  // namespace

void Report::Fail(const std::string& what) {
  CopyText(what, failure, sizeof(failure));
}

bool Explorer::Fail(const std::string& what) {
  report_->Fail(what);
  return false;
}

// Each is explored as the recovery of others is.
void Explorer::ChooseDeaths(const Recorder& recorder, uint64_t share,
                            std::vector<StateId>* ids) {
  std::vector<StateId> deaths;
  for (uint32_t event = options_.first_event;
       event <= recorder.history().last_event(); ++event) {
    const Flush* const flush = recorder.history().FlushBegunAt(event);
    if (flush == nullptr || recorder.region(event).empty()) continue;
    const uint32_t count = flush->is_alone ? kDeathsAlone : kDeathsOfAFlush;
    for (uint32_t index = 0; index < count; ++index) {
      deaths.push_back(StateId{event, Family::kDiedFlushing, index});
    }
  }
  Random random(Mix(options_.seed, 3));
  Thin((options_.deaths_max + share - 1) / share, random, &deaths);
  ids->insert(ids->end(), deaths.begin(), deaths.end());
}

std::vector<StateId> Explorer::Choose(const Recorder& recorder,
                                      const Timeline& timeline, int depth) {
  if (!options_.only.empty()) {
    return {options_.only[static_cast<size_t>(depth) - 1]};
  }
  const DiskHistory& history = recorder.history();
  std::vector<StateId> ids;
  for (uint32_t event = depth == 1 ? options_.first_event : 0;
       event <= history.last_event(); ++event) {
    if (!history.IsEventful(event) && !timeline.IsEventful(event)) continue;
    ++report_->events;
    const bool has_region = !recorder.region(event).empty();
    for (const StateId id :
         ListStates(history.At(event), options_.exhaustive_max, has_region)) {
      ids.push_back(id);
    }
  }
  // A random part of them, by event; fewer when each costs more.
  const uint64_t share =
      1 + history.CountPages() * kPageBytes / options_.bytes_at_full_rate;
  Random random(Mix(options_.seed, static_cast<uint64_t>(depth)));
  Thin(depth == 1 ? options_.states_max / share
                  : options_.inner_states_max / share,
       random, &ids);
  if (depth == 1) ChooseDeaths(recorder, share, &ids);
  std::stable_sort(
      ids.begin(), ids.end(),
      [](const StateId& a, const StateId& b) { return a.event < b.event; });
  return ids;
}

RegionImage Explorer::RegionOf(const Recorder& recorder,
                               const StateId& id) const {
  const RegionImage& now = recorder.region(id.event);
  if (id.family != Family::kRegionStale) return now;
  const uint64_t seed = Mix(options_.seed, Mix(id.event, id.index));
  const uint64_t earlier = Random(seed).Uniform(id.event + 1);
  return MixRegions(now, recorder.region(static_cast<uint32_t>(earlier)), seed);
}

bool Explorer::Explore(const Recorder& recorder, const Timeline& timeline,
                       int depth, const std::string& prefix) {
  // The same bytes may be a legal state of many events. Opened once, only what
  // was promised until then is another question.
  std::unordered_map<uint64_t, Verdict> seen;
  CrashPoint point;
  point.event = UINT32_MAX;
  for (const StateId id : Choose(recorder, timeline, depth)) {
    if (point.event != id.event) point = recorder.history().At(id.event);
    const CrashState state = MakeState(recorder.history(), point, id,
                                       options_.seed, RegionOf(recorder, id));
    const std::string name = absl::StrCat(prefix, id.ToString());
    CopyText(name, report_->at, sizeof(report_->at));
    const size_t epoch = timeline.EpochAt(id.event);
    if (id.family == Family::kDiedFlushing && state.unflushed.empty()) continue;
    if (state.is_rotten &&
        !timeline.SecondAcknowledgedAt(id.event).has_value()) {
      continue;
    }
    const auto known = seen.find(state.hash);
    if (known != seen.end() && known->second.epoch == epoch) {
      ++report_->repeated;
      if (known->second.version >= PromisedOf(state, timeline)) continue;
      // Opened again, to be reported as its replay will report it.
    }
    if (!Judge(state, timeline, depth, name)) return false;
    seen[state.hash] = Verdict{version_, epoch};
  }
  return true;
}

void Explorer::Lay(const CrashState& state, LockFileKind kind,
                   const std::string& path) {
  ::unlink((path + "-lock").c_str());
  WriteState(state, path);
  if (state.has_region) WriteRegion(state.region, path);
  if (options_.tamper) options_.tamper(path);
  if (!state.has_region) WriteLockFile(kind, state.region, state.hash, path);
}

// A lock file that a power failure has left says nothing of versions.
std::string Explorer::OpenWithoutLockFile(const CrashState& state,
                                          const std::string& path) {
  ++report_->odd_lock_files;
  Lay(state, LockFileKind::kNone, path);
  const absl::StatusOr<Domain> domain = Domain::Open(path, Quiet());
  if (!domain.ok()) return domain.status().ToString();
  const absl::StatusOr<Snapshot> now = domain->Now();
  if (!now.ok()) return now.status().ToString();
  if (now->version() == version_) return "";
  return absl::StrCat("opened at version ", version_, ", and without its lock ",
                      "file at ", now->version());
}

bool Explorer::Judge(const CrashState& state, const Timeline& timeline,
                     int depth, const std::string& name) {
  const Epoch& epoch = timeline.epoch(timeline.EpochAt(state.id.event));
  const uint64_t promised = PromisedOf(state, timeline);
  const std::string path = PathAt(depth);
  Random random(Mix(options_.seed, state.hash));
  const LockFileKind kind = LockFileOf(state);
  Lay(state, kind, path);
  if (state.id.family == Family::kDiedFlushing) {
    return ExploreAfterDeath(state, epoch, promised, depth, name);
  }
  const bool writes = random.OneIn(options_.written_one_in);
  std::string wrong = Examine(path, epoch, promised, writes, &version_);
  if (wrong.empty() && !state.has_region && kind > LockFileKind::kNone) {
    wrong = OpenWithoutLockFile(state, path);
  }
  ++report_->states;
  if (depth > 1) ++report_->inner_states;
  if (!wrong.empty()) return Fail(wrong);
  report_->digest += Mix(state.hash, version_);
  const bool replays = options_.only.size() > static_cast<size_t>(depth);
  const bool is_chosen =
      depth < options_.depth && random.OneIn(options_.inner_one_in);
  if (!replays && !is_chosen) return true;
  Lay(state, kind, path);
  return ExploreRecovery(state, epoch, promised, depth, name);
}

std::string Explorer::Examine(const std::string& path, const Epoch& epoch,
                              uint64_t promised, bool writes,
                              uint64_t* version) {
  absl::StatusOr<Domain> domain = Domain::Open(path, Quiet());
  if (!domain.ok()) return domain.status().ToString();
  Content content;
  {
    const absl::StatusOr<Snapshot> now = domain->Now();
    if (!now.ok()) return now.status().ToString();
    *version = now->version();
    const Content* expected = epoch.At(*version);
    if (*version < promised || expected == nullptr) {
      return absl::StrCat("opens at version ", *version, " of ", epoch.base(),
                          " to ", epoch.newest(), ", promised was ", promised,
                          " (", domain->Stats().value().recovery, ")");
    }
    content = *expected;
    std::string wrong = CheckSnapshot(path, *now);
    if (wrong.empty()) wrong = CompareContent(*domain, *now, content);
    if (!wrong.empty()) {
      return absl::StrCat("at version ", *version, " (",
                          domain->Stats().value().recovery, "): ", wrong);
    }
  }
  if (domain->durable_version() < *version) {
    return absl::StrCat("opened at version ", *version, ", which is not yet ",
                        "durable");
  }
  const absl::Status closed = domain->Close();
  if (!closed.ok()) return closed.ToString();
  if (!writes) return "";
  ++report_->written;
  const std::string wrong = WriteAndReopen(path, content);
  return wrong.empty() ? "" : absl::StrCat("after recovery: ", wrong);
}

std::string Explorer::WriteAndReopen(const std::string& path,
                                     const Content& content) {
  Content after = content;
  auto model = std::make_shared<CollectionModel>();
  after["after"] = model;
  for (const bool is_reopened : {false, true}) {
    absl::StatusOr<Domain> domain = Domain::Open(path, Quiet());
    if (!domain.ok()) return domain.status().ToString();
    absl::StatusOr<HashCollection> collection =
        domain->Collection<HashCollection>("after");
    if (!collection.ok()) return collection.status().ToString();
    for (uint64_t i = 0; i < 8; ++i) {
      const ValueModel value{i + (is_reopened ? 100 : 0),
                             static_cast<uint32_t>(100 * i)};
      const std::string key = absl::StrCat("after", i);
      const absl::Status put = collection->Put(key, ValueBytes(value));
      if (!put.ok()) return put.ToString();
      model->records[key] = value;
      if (i % 4 != 3) continue;
      const absl::Status synced = domain->Sync();
      if (!synced.ok()) return synced.ToString();
    }
    const absl::Status reclaimed = domain->Reclaim();
    if (!reclaimed.ok()) return reclaimed.ToString();
    const Snapshot now = domain->Now().value();
    std::string wrong = CheckSnapshot(path, now);
    if (wrong.empty()) wrong = CompareContent(*domain, now, after);
    if (!wrong.empty()) return wrong;
  }
  return "";
}

std::string Explorer::PathAt(int depth) const {
  return absl::StrCat(options_.folder, "/state", depth, ".eve");
}

bool Explorer::GoOn(const CrashState& state, Recorder& recorder,
                    Timeline& timeline, int depth, const std::string& name) {
  WorkloadTraits traits;
  traits.operations = 5;
  traits.dies = false;
  traits.joins = state.has_survivor;
  traits.ends_durably = state.id.family == Family::kDiedFlushing;
  if (state.hash % 2 == 0) traits.durability = Durability::kSync;
  Workload workload(PathAt(depth), &recorder, &timeline, Mix(state.hash, 2),
                    traits);
  std::string wrong = workload.Open();
  version_ = timeline.epoch().base();
  if (wrong.empty()) wrong = workload.Run();
  workload.Abandon();
  recorder.Stop();
  if (!wrong.empty()) return Fail(absl::StrCat("recovering: ", wrong));
  // The replay of what was found up to here.
  if (options_.only.size() == static_cast<size_t>(depth)) return true;
  return Explore(recorder, timeline, depth + 1, absl::StrCat(name, "/"));
}

// Recovery, some writing and closing as a history of their own.
bool Explorer::ExploreRecovery(const CrashState& state, const Epoch& epoch,
                               uint64_t promised, int depth,
                               const std::string& name) {
  const uint64_t version = version_;  // that it opens at
  Recorder recorder(PathAt(depth), Mix(options_.seed, state.hash));
  Timeline timeline;
  timeline.Begin(epoch.UpTo(version, state.has_region || state.has_torn_slot));
  // What only the lock file knows of is not on the disk yet.
  timeline.Acknowledge(0, state.has_region ? promised : version);
  const bool passed = GoOn(state, recorder, timeline, depth, name);
  version_ = version;
  return passed;
}

// In the same boot, with the lock file and the cache as they were.
bool Explorer::ExploreAfterDeath(const CrashState& state, const Epoch& epoch,
                                 uint64_t promised, int depth,
                                 const std::string& name) {
  std::optional<Survivor> survivor;
  if (state.has_survivor) survivor.emplace(PathAt(depth));
  Recorder recorder(PathAt(depth), Mix(options_.seed, state.hash));
  recorder.BeginUnflushed(state.unflushed, state.size_on_device,
                          options_.has_device);
  Timeline timeline;
  timeline.Begin(epoch.UpTo(promised, /*knows_newer=*/true));
  timeline.Acknowledge(0, promised);
  ++report_->states;
  ++report_->deaths;
  if (!GoOn(state, recorder, timeline, depth, name)) return false;
  version_ = timeline.epoch().base();
  report_->digest += Mix(state.hash, version_);
  return true;
}

}  // namespace eve::simdisk
