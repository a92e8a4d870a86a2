#include "tests/simdisk/workload.h"

#include <sched.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/reclaim/punch.h"
#include "util/check.h"
#include "util/status_macros.h"

namespace eve::simdisk {

void MakeChurn(WorkloadTraits* traits) {
  traits->has_runs = true;
  traits->keys = 3;
  traits->edits_max = 1;
  traits->run_one_in = 2;
  traits->operations = 50;
  traits->compacts = false;
}

WorkloadTraits RandomTraits(uint64_t seed) {
  Random random(seed);
  WorkloadTraits traits;
  traits.durability = random.OneIn(2) ? Durability::kSync : Durability::kNone;
  traits.operations = 20 + static_cast<int>(random.Uniform(40));
  traits.value_bytes_max = random.OneIn(3) ? 3000 : 200;
  traits.has_runs = random.OneIn(10);
  if (traits.has_runs && random.OneIn(2)) {
    MakeChurn(&traits);
  }
  traits.changes_collections = random.OneIn(2);
  traits.compacts = random.OneIn(4);
  traits.dies = random.OneIn(3);
  traits.flushes_fail = random.OneIn(4);
  return traits;
}

Workload::Workload(std::string path, Recorder* recorder, Timeline* timeline,
                   uint64_t seed, const WorkloadTraits& traits)
    : path_(std::move(path)),
      recorder_(recorder),
      timeline_(timeline),
      random_(seed),
      traits_(traits) {
  options_.background = false;
  options_.durability = traits.durability;
  recorder_->set_at_event([this](uint32_t event) {
    if (samples_) timeline_->Acknowledge(event, domain_.durable_version());
  });
}

uint64_t Workload::Newest() const { return domain_.Now().value().version(); }

std::string Workload::Judge(const absl::Status& status,
                            const char* what) const {
  if (status.ok()) return "";
  // After a failed flush nothing more is promised, and that is said.
  if (absl::IsUnavailable(status) && poisoned_) return "";
  return absl::StrCat(what, ": ", status.ToString());
}

std::string Workload::Open() {
  const Epoch& before = timeline_->epoch();
  const int failures = recorder_->failed_flushes();
  absl::StatusOr<Domain> opened = Domain::Open(path_, options_);
  if (!opened.ok() && recorder_->failed_flushes() > failures) {
    poisoned_ = true;  // what was not yet promised may be lost
    opened = Domain::Open(path_, options_);
  }
  if (!opened.ok()) return Judge(opened.status(), "open");
  domain_ = *std::move(opened);
  absl::StatusOr<std::shared_ptr<internal::DomainImpl>> impl =
      internal::OpenInstance(path_, options_);
  if (!impl.ok()) return Judge(impl.status(), "instance");
  impl_ = *std::move(impl);
  const absl::StatusOr<Snapshot> now = domain_.Now();
  if (!now.ok()) return Judge(now.status(), "snapshot");
  const uint64_t version = now->version();
  const Content* content = before.At(version);
  const uint64_t promised =
      timeline_->AcknowledgedAt(recorder_->history().last_event());
  if (content == nullptr || version < promised) {
    return absl::StrCat("opened at version ", version, ", promised was ",
                        promised);
  }
  if (!poisoned_ && version < before.newest()) {
    return absl::StrCat("opened at version ", version, " although no power ",
                        "failed; committed was ", before.newest());
  }
  content_ = *content;
  const std::string wrong = CompareContent(domain_, *now, content_);
  if (!wrong.empty()) return absl::StrCat("opened at ", version, ": ", wrong);
  poisoned_ = false;
  if (traits_.joins) {
    timeline_->epoch().EndAt(version);
  } else {
    timeline_->OpenEpoch(recorder_->Event(), version, content_);
  }
  samples_ = true;
  timeline_->Acknowledge(recorder_->Event(), promised);
  return "";
}

void Workload::Abandon() {
  samples_ = false;
  recorder_->set_at_event(nullptr);
}

std::string Workload::Run() {
  for (int i = 0; i < traits_.operations; ++i) {
    std::string wrong = Step();
    if (!wrong.empty()) return absl::StrCat("operation ", i, ": ", wrong);
    const absl::StatusOr<DomainStats> stats = domain_.Stats();
    if (!stats.ok()) return stats.status().ToString();
    poisoned_ = stats->poisoned;
  }
  if (!traits_.ends_durably) return "";
  std::string wrong = content_.empty() ? Create() : Write();
  return wrong.empty() ? Sync() : wrong;
}

std::string Workload::Step() {
  if (traits_.flushes_fail && random_.OneIn(12)) {
    recorder_->FailFlush(1 + static_cast<int>(random_.Uniform(3)));
  }
  if (content_.empty()) return Create();
  const uint64_t dice = random_.Uniform(100);
  if (dice < 60) return Write();
  if (dice < 76) return Sync();
  if (dice < 80) return traits_.changes_collections ? Create() : Write();
  if (dice < 84) return traits_.changes_collections ? Drop() : Sync();
  if (dice < 92) return traits_.reclaims ? Maintain() : Write();
  if (dice < 96) return traits_.reopens ? Reopen() : Write();
  return traits_.dies ? Die() : Write();
}

ValueModel Workload::NewValue(Random& random) const {
  ValueModel value;
  value.token = random.Next();
  value.size = static_cast<uint32_t>(random.Uniform(traits_.value_bytes_max));
  if (random.OneIn(20)) {
    value.size = 5'000 + static_cast<uint32_t>(random.Uniform(60'000));
  }
  if (traits_.has_runs && random.OneIn(traits_.run_one_in)) {
    value.size = 530'000 + static_cast<uint32_t>(random.Uniform(
                               traits_.keys > 3 ? 1'700'000 : 100'000));
  }
  return value;
}

absl::Status Workload::EditRecords(Transaction& transaction,
                                   const std::string& name, uint64_t seed,
                                   CollectionModel* model) {
  Random random(seed);
  const auto edit = [&](auto writer) -> absl::Status {
    const uint64_t edits = random.OneIn(5)
                               ? 1 + random.Uniform(10 * traits_.edits_max)
                               : 1 + random.Uniform(traits_.edits_max);
    for (uint64_t i = 0; i < edits; ++i) {
      std::string key = absl::StrCat("k", random.Uniform(traits_.keys));
      if (random.OneIn(30)) key.append(300, 'x');
      if (random.OneIn(3)) {
        EVE_RETURN_IF_ERROR(writer.Erase(key).status());
        model->records.erase(key);
      } else {
        const ValueModel value = NewValue(random);
        EVE_RETURN_IF_ERROR(writer.Put(key, ValueBytes(value)));
        model->records[key] = value;
      }
    }
    return absl::OkStatus();
  };
  if (model->is_ordered) {
    EVE_ASSIGN_OR_RETURN(const OrderedCollection collection,
                         domain_.Collection<OrderedCollection>(name));
    return edit(collection.In(transaction));
  }
  EVE_ASSIGN_OR_RETURN(const HashCollection collection,
                       domain_.Collection<HashCollection>(name));
  return edit(collection.In(transaction));
}

std::string Workload::Commit(absl::FunctionRef<absl::Status()> operation,
                             const Content& after, bool is_synchronous) {
  const uint64_t before = Newest();
  const absl::Status status = operation();
  const uint64_t now = Newest();
  // Either it was published and is not durable, or it was refused before.
  const bool fails_cleanly =
      (absl::IsUnavailable(status) || absl::IsFailedPrecondition(status)) &&
      (poisoned_ || domain_.Stats().value().poisoned);
  if (!status.ok() && !fails_cleanly) return status.ToString();
  if (now > before) {
    // Nobody else commits; what follows it is compaction, if anything.
    content_ = after;
    timeline_->epoch().Commit(before + 1, after);
  }
  if (status.ok() && is_synchronous) {
    timeline_->Acknowledge(recorder_->Event(), now > before ? before + 1 : now);
  }
  return "";
}

std::string Workload::Write() {
  Content after = content_;
  // One collection, or now and then all of them.
  const bool all = random_.OneIn(6);
  const uint64_t chosen = random_.Uniform(after.size());
  const uint64_t seed = random_.Next();
  SwapOptions options;
  if (random_.OneIn(8)) {
    options.durability =
        random_.OneIn(2) ? Durability::kSync : Durability::kNone;
  }
  const bool is_synchronous =
      options.durability.value_or(traits_.durability) == Durability::kSync;
  std::map<std::string, std::shared_ptr<CollectionModel>> edited;
  uint64_t index = 0;
  for (const auto& [name, model] : after) {
    if (all || index++ == chosen) {
      edited[name] = std::make_shared<CollectionModel>(*model);
    }
  }
  for (const auto& [name, model] : edited) after[name] = model;
  const auto write = [&] {
    return domain_
        .Swap(
            [&](Transaction& transaction) -> absl::Status {
              for (const auto& [name, model] : edited) {
                *model = *content_.at(name);
                EVE_RETURN_IF_ERROR(
                    EditRecords(transaction, name, seed, model.get()));
              }
              return absl::OkStatus();
            },
            options)
        .status();
  };
  return Commit(write, after, is_synchronous);
}

std::string Workload::Create() {
  Content after = content_;
  const bool is_ordered = random_.OneIn(2);
  const std::string name = absl::StrCat(is_ordered ? "o" : "m", created_++);
  auto model = std::make_shared<CollectionModel>();
  model->is_ordered = is_ordered;
  after[name] = model;
  return Commit(
      [&] {
        return is_ordered ? domain_.Collection<OrderedCollection>(name).status()
                          : domain_.Collection<HashCollection>(name).status();
      },
      after, /*is_synchronous=*/false);
}

std::string Workload::Drop() {
  Content after = content_;
  auto at = after.begin();
  std::advance(at, random_.Uniform(after.size()));
  const std::string name = at->first;
  after.erase(at);
  return Commit([&] { return domain_.Drop(name); }, after,
                traits_.durability == Durability::kSync);
}

std::string Workload::Sync() {
  const uint64_t newest = Newest();
  const absl::Status status = domain_.Sync();
  if (status.ok()) timeline_->Acknowledge(recorder_->Event(), newest);
  poisoned_ = domain_.Stats().value().poisoned;
  return Judge(status, "sync");
}

std::string Workload::Maintain() {
  absl::Status status;
  const uint64_t dice = random_.Uniform(traits_.compacts ? 4 : 3);
  if (dice == 0) {
    status = PunchFree(impl_->core(), random_.Uniform(2), 1000).status();
  } else if (dice == 1) {
    status = impl_->CutTail().status();
  } else if (dice == 2) {
    status = domain_.Reclaim();
    if (status.ok() && traits_.punches_at_once) {
      status = PunchFree(impl_->core(), 0, 1000).status();
    }
  } else {
    status = domain_.Compact();
  }
  poisoned_ = domain_.Stats().value().poisoned;
  return Judge(status, "maintenance");
}

std::string Workload::Reopen() {
  const uint64_t newest = Newest();
  samples_ = false;
  const absl::Status closed = domain_.Close();
  if (closed.ok()) timeline_->Acknowledge(recorder_->Event(), newest);
  poisoned_ = impl_->Stats().value().poisoned;
  std::string wrong = Judge(closed, "close");
  if (!wrong.empty()) return wrong;
  impl_.reset();
  return Open();
}

// The process ends here as if it were killed, and a child of it goes on: what
// was open in it is closed there, and its lock bytes go with the parent.
std::string Workload::Die() {
  samples_ = false;
  // The first flush of the next opener, with all that nobody has flushed.
  if (traits_.flushes_fail && random_.OneIn(2)) recorder_->FailFlush(1);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  EVE_CHECK(child >= 0, "fork works");
  if (child > 0) ::_exit(0);
  // A process has closed its files, and so dropped its lock bytes, before its
  // children get another parent.
  while (::getppid() == parent) ::sched_yield();
  impl_.reset();
  domain_ = Domain();
  return Open();
}

}  // namespace eve::simdisk
