#include "engine/domain/domain_impl.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/domain/attach.h"
#include "engine/domain/cut_tail.h"
#include "engine/domain/join.h"
#include "engine/reclaim/fold.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve::internal {
namespace {

// Commits that may be unfolded before the reclaimer is woken, and
// before a writer folds by itself so that recovery and stat never walk far.
constexpr uint64_t kFoldSoon = 1024;
constexpr uint64_t kFoldNow = 4096;
// Where there is no reclaimer, segments that this process may claim meanwhile:
// a few large commits keep as much from reuse as many small ones.
constexpr uint64_t kClaimsBetweenFolds = 16;
constexpr uint64_t kCommitsBetweenSlices = 64;
// A fold that fails is tried again so many commits later: each walks the chain.
constexpr uint64_t kFoldAgain = 256;
// With more than this a domain whose accounting cannot be read takes no more
// commits: a file with a chain of kChainMax could not be opened again.
constexpr uint64_t kUnfoldedMax = 1 << 16;
// Who waits for the checkpoint thread's flush.
constexpr absl::Duration kAskAgain = absl::Seconds(1);

absl::Status CheckName(std::string_view name) {
  if (name.empty() || name.size() > kNameBytesMax ||
      name.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("collection name of ", name.size(), " bytes: 1 to ",
                     kNameBytesMax, " are allowed, without zero bytes"));
  }
  return absl::OkStatus();
}

// "map<string, int64>", as in `eve stat`.
std::string TypeOf(const CatalogRecord& record) {
  const std::string_view kind = KindName(record.entry.kind);
  return absl::StrCat(absl::string_view(kind.data(), kind.size()), "<",
                      record.key_type, record.value_type.empty() ? "" : ", ",
                      record.value_type, ">");
}

// What a flush that was asked for earlier has met, if nothing is known of one
// that was asked for now.
absl::Status WithLastError(const absl::Status& not_yet,
                           const absl::Status& last) {
  if (last.ok()) return not_yet;
  return absl::DeadlineExceededError(
      absl::StrCat(std::string(not_yet.message()),
                   "; the last flush that was asked for and has ended failed: ",
                   std::string(last.message())));
}

}  // namespace

absl::Status DomainImpl::Start(const std::string& path) {
  EVE_RETURN_IF_ERROR(OpenDataFile(path, options_, core_));
  EVE_RETURN_IF_ERROR(AttachRegion(options_, core_));
  if (core_.read_only) return StartLookout();
  checkpointer_ = std::make_unique<Checkpointer>(&core_);
  collector_ = std::make_unique<Collector>(
      &core_, [this] { return DurableVersions(); },
      [this](const std::vector<AccountingRow>& rows) {
        return compactor_->KnownFixed(rows);
      });
  compactor_ = std::make_unique<Compactor>(&core_, options_.background);
  rest_lease_ =
      std::make_unique<CourtesyLease>(&core_.region, core_.slots.get());
  room_lease_ =
      std::make_unique<CourtesyLease>(&core_.region, core_.slots.get());
  core_.source->committed_fill = [this](uint32_t segment) {
    return CommittedFill(core_, segment);
  };
  core_.source->reclaim = [this] { ReclaimBeforeGrowth(); };
  if (options_.background) {
    core_.source->claimed = [this] { reclaimer_.Wake(); };
  }
  // The first opener is alone for a moment.
  if (!core_.recovery_note.empty()) CutTailIfAlone();
  EVE_ASSIGN_OR_RETURN(std::vector<uint32_t> half_full, FindHalfFull(core_));
  core_.source->OfferHalfFull(std::move(half_full));
  return options_.background ? StartBackground() : absl::OkStatus();
}

absl::Status DomainImpl::StartIn(File file, const std::string& path) {
  core_.file = std::move(file);
  return Start(path);
}

DomainImpl::~DomainImpl() {
  StopBackground();
  if (checkpointer_ == nullptr) {  // never started, or read-only
    DetachRegion(core_);
    return;
  }
  // Who died may have left some as well.
  may_have_graveyards_ = true;
  if (!options_.background) RetireAllGraveyards();
  // Domain::Close() has reported the error of this, if anybody asked.
  checkpointer_->Run().IgnoreError();
  EVE_STEP("close.checkpointed");
  checkpointer_->Settle().IgnoreError();
  rest_lease_->Release();
  compactor_->GiveBackVictims();
  idle_writers_.ForEach([](WriterContext& writer) {
    writer.transaction.attempt().SetStaging({});
    writer.writer.Release();
  });
  core_.source->ReleasePrepared();
  EVE_STEP("close.released");
  CutTailIfAlone();
  DetachRegion(core_);
}

absl::StatusOr<uint64_t> DomainImpl::CutTail() {
  EVE_RETURN_IF_ERROR(CheckWritable());
  if (reclaimer_.is_running()) {
    return absl::FailedPreconditionError(
        absl::StrCat(core_.path, ": opened with background threads"));
  }
  return eve::CutTail(core_, *checkpointer_, *collector_, CutHow::kAll);
}

// REQUIRES: no other thread of this process uses the domain.
void DomainImpl::CutTailIfAlone() {
  if (options_.in_memory) return;
  // A courtesy to the disk: whatever fails, the file is whole, and the next
  // one to be alone tries again.
  eve::CutTail(core_, *checkpointer_, *collector_, CutHow::kIfWorthwhile)
      .IgnoreError();
}

void DomainImpl::AbandonInChild() {
  core_.region.CloseInChild();
  core_.file.Close();
  core_.device.Close();
  if (checkpointer_ != nullptr) checkpointer_->AbandonInChild();
}

absl::Status DomainImpl::CheckWritable() const {
  EVE_RETURN_IF_ERROR(core_.CheckUsable());
  if (core_.read_only) {
    return absl::FailedPreconditionError(
        absl::StrCat(core_.path, ": opened read-only"));
  }
  return absl::OkStatus();
}

std::unique_ptr<WriterContext> DomainImpl::TakeWriter(Durability durability) {
  std::unique_ptr<WriterContext> writer = idle_writers_.Take();
  if (writer == nullptr) writer = std::make_unique<WriterContext>(&core_);
  // Where commits are flushed one by one, folds and moves are in their flushes.
  Attempt::Staging staging;
  if (durability == Durability::kSync ||
      options_.durability == Durability::kSync) {
    staging = {core_.staging_mapping.data(), &core_.file};
  }
  writer->transaction.attempt().SetStaging(staging);
  return writer;
}

DurableSet DomainImpl::DurableVersions() const {
  const DurableCandidates found = ReadDurableCandidates(core_.region);
  DurableSet durable{found.pending, found.second};
  durable.versions.push_back(found.newest);
  durable.versions.push_back(found.second);
  std::sort(durable.versions.begin(), durable.versions.end());
  return durable;
}

absl::StatusOr<Commit> DomainImpl::Swap(
    absl::FunctionRef<absl::Status(TransactionImpl&)> fn,
    const SwapOptions& options) {
  EVE_RETURN_IF_ERROR(CheckWritable());
  EVE_RETURN_IF_ERROR(slow_readers_.CheckPressure(core_.path));
  absl::StatusOr<Commit> done = SwapMakingRoom(fn, options);
  if (core_.fork_guard.IsForkedChild()) return done;
  slow_readers_.CountCommit(core_.slots->own());
  if (!options_.background) slow_readers_.Deliver();
  return done;
}

void DomainImpl::FoldIfDue(WriterContext& writer, uint64_t unfolded) {
  if (!IsFoldDue(unfolded)) return;
  // Courtesy to recovery; the commit itself is done, so errors are left to the
  // next pass to report.
  const absl::StatusOr<bool> folded = Fold(core_, writer.transaction.attempt(),
                                           std::min(unfolded, kFoldNow) / 2);
  slow_readers_.WantLook();
  if (absl::IsDataLoss(folded.status()) && unfolded >= kUnfoldedMax) {
    accounting_is_damaged_ = true;
  }
}

absl::StatusOr<Commit> DomainImpl::SwapUnderPressure(
    absl::FunctionRef<absl::Status(TransactionImpl&)> fn,
    const SwapOptions& options, Manners manners, Refusal* refusal) {
  EVE_RETURN_IF_ERROR(CheckWritable());
  if (accounting_is_damaged_) {
    return absl::DataLossError(
        "the accounting of space cannot be read, so no more is written; run "
        "eve check, and copy what it can read to another domain");
  }
  const Durability durability =
      options.durability.value_or(options_.durability);
  if (durability == Durability::kSync) {
    EVE_RETURN_IF_ERROR(CheckMayPromise());
  }
  std::unique_ptr<WriterContext> writer = TakeWriter(durability);
  swaps_running_.Add(1);
  absl::Cleanup ended = [this] { swaps_running_.Add(-1); };
  MoveRider rider(compactor_.get());
  absl::StatusOr<SwapResult> result =
      RunSwap(writer->transaction, fn, options, &rider, manners);
  if (core_.fork_guard.IsForkedChild()) {
    static_cast<void>(writer.release());  // the parent's claims and its pin
    return result.status();
  }
  if (refusal != nullptr && absl::IsResourceExhausted(result.status())) {
    *refusal = {writer->writer.TakeRefused(), writer->writer.purpose(),
                writer->transaction.attempt_number()};
  }
  // Nobody else may need what a transaction had claimed that is run again.
  if (!result.ok() && (refusal == nullptr || refusal->segments == 0)) {
    writer->ReleaseSpare();
  }
  const bool is_published = result.ok() && result->published;
  if (is_published && rider.was_put_off() && manners == Manners::kGiveWay) {
    compactor_->PayPutOff(writer->transaction, rider.bytes(), options.deadline);
  } else if (rider.found_nothing()) {
    // The commit is done: errors are left to be met by who moves next.
    compactor_
        ->MoveSlice(writer->transaction, Compactor::kSliceTargets,
                    Manners::kGiveUp)
        .IgnoreError();
  }
  if (is_published) FoldIfDue(*writer, result->unfolded);
  idle_writers_.Give(std::move(writer));
  if (!result.ok()) return result.status();
  if (result->left_graveyard) may_have_graveyards_ = true;
  if (options_.background && result->unfolded >= kFoldSoon &&
      result->unfolded % 256 == 0) {
    reclaimer_.Wake();
  }
  if (durability == Durability::kSync) {
    EVE_RETURN_IF_ERROR(MakeDurable(result->commit.version, result->published));
  }
  // While there is no reclaimer. To look for them takes a walk over all
  // collections, so not each time.
  if (!options_.background && may_have_graveyards_ &&
      manners == Manners::kGiveWay && absl::Now() < options.deadline &&
      ++commits_beside_graveyards_ % kCommitsBetweenSlices == 0) {
    RetireGraveyards().IgnoreError();
  }
  return result->commit;
}

bool DomainImpl::IsFoldDue(uint64_t unfolded) {
  if (unfolded >= kFoldNow && unfolded % kFoldAgain == 0) return true;
  // Who makes room folds, and a second one might take what that counts on.
  if (options_.background || core_.source->is_tight()) return false;
  const uint64_t claims = core_.source->claims();
  uint64_t folded = folded_claims_.load(std::memory_order_relaxed);
  // One of the threads that come here at once.
  return claims - folded >= kClaimsBetweenFolds &&
         folded_claims_.compare_exchange_strong(folded, claims,
                                                std::memory_order_relaxed);
}

// With another code than what failed after publishing.
absl::Status DomainImpl::CheckMayPromise() const {
  const absl::Status poison = CheckPoison(core_);
  if (poison.ok()) return poison;
  return absl::FailedPreconditionError(
      absl::StrCat("nothing was written, because no commit can be made durable "
                   "any more; Durability::kNone still works: ",
                   std::string(poison.message())));
}

absl::Status DomainImpl::MakeDurable(uint64_t version, bool published) {
  const absl::Status done = checkpointer_->Commit(version);
  if (done.ok()) return done;
  if (!published) {
    return absl::UnavailableError(
        absl::StrCat("the transaction wrote nothing, but version ", version,
                     ", which it has seen, may not survive a power failure: ",
                     std::string(done.message())));
  }
  // Whoever reads this must not repeat the transaction.
  return absl::UnavailableError(
      absl::StrCat("version ", version,
                   " is published and everybody can see it, but it may "
                   "not survive a power failure: ",
                   std::string(done.message())));
}

absl::StatusOr<std::shared_ptr<const SnapshotImpl>> DomainImpl::Now() {
  EVE_RETURN_IF_ERROR(core_.CheckUsable());
  auto snapshot = std::make_shared<SnapshotImpl>(shared_from_this(), &core_);
  EVE_RETURN_IF_ERROR(snapshot->Take());
  return snapshot;
}

absl::StatusOr<std::optional<CollectionRef>> DomainImpl::FindCollection(
    const CommitRecord& root, const CatalogRecord& wanted) {
  EVE_ASSIGN_OR_RETURN(const std::optional<Bytes> bytes,
                       FindCatalogBytes(core_.FileView(), core_.hasher,
                                        root.catalog_root, wanted.name));
  if (!bytes.has_value()) return std::nullopt;
  EVE_ASSIGN_OR_RETURN(const CatalogRecord found,
                       DecodeCatalogRecord(wanted.name, *bytes));
  if (found.entry.kind != wanted.entry.kind ||
      found.key_type != wanted.key_type ||
      found.value_type != wanted.value_type) {
    return absl::FailedPreconditionError(
        absl::StrCat("collection '", wanted.name, "' is ", TypeOf(found),
                     ", asked for ", TypeOf(wanted)));
  }
  return CollectionRef{shared_from_this(), wanted.name, found.entry.id};
}

absl::StatusOr<CollectionRef> DomainImpl::OpenCollection(
    std::string_view name, std::string_view kind_name, std::string key_type,
    std::string value_type) {
  EVE_RETURN_IF_ERROR(core_.CheckUsable());
  EVE_RETURN_IF_ERROR(CheckName(name));
  const CollectionKind kind = KindOfName(kind_name);
  if (kind == CollectionKind::kInvalid) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no kind of collection is called '", std::string(kind_name), "'"));
  }
  CatalogRecord wanted;
  wanted.name = std::string(name);
  wanted.entry.kind = static_cast<uint8_t>(kind);
  wanted.key_type = std::move(key_type);
  wanted.value_type = std::move(value_type);
  {
    // Opening what is there writes nothing, so nothing can refuse it.
    SnapshotImpl snapshot(nullptr, &core_);
    EVE_RETURN_IF_ERROR(snapshot.Take());
    EVE_ASSIGN_OR_RETURN(std::optional<CollectionRef> found,
                         FindCollection(snapshot.record(), wanted));
    if (found.has_value()) return *std::move(found);
  }
  if (core_.read_only) {
    return absl::NotFoundError(
        absl::StrCat("no collection '", wanted.name, "'"));
  }
  CollectionRef ref;
  SwapOptions quick;
  quick.durability = Durability::kNone;
  absl::StatusOr<Commit> done = Swap(
      [&](TransactionImpl& transaction) -> absl::Status {
        EVE_ASSIGN_OR_RETURN(
            std::optional<CollectionRef> found,
            FindCollection(transaction.base().record(), wanted));
        if (found.has_value()) {
          ref = *std::move(found);
          return absl::OkStatus();
        }
        EVE_ASSIGN_OR_RETURN(const uint32_t id,
                             transaction.CreateCollection(wanted));
        ref = CollectionRef{shared_from_this(), wanted.name, id};
        return absl::OkStatus();
      },
      quick);
  if (!done.ok()) return done.status();
  return ref;
}

absl::Status DomainImpl::Drop(std::string_view name) {
  EVE_RETURN_IF_ERROR(CheckName(name));
  absl::StatusOr<Commit> done = Swap(
      [&](TransactionImpl& transaction) {
        return transaction.DropCollection(std::string(name));
      },
      {});
  return done.status();
}

absl::Status DomainImpl::Sync() {
  EVE_RETURN_IF_ERROR(CheckWritable());
  if (!options_.background) {
    may_have_graveyards_ = true;  // of who died
    RetireAllGraveyards();
  }
  return checkpointer_->Run();
}

// It is asked again only where its flush went well and did not reach the
// version, because that is not published yet. An error is told: whether it may
// pass, and how long to go on for that, is for the caller to say.
absl::Status DomainImpl::WaitForCheckpointThread(
    uint64_t version, absl::FunctionRef<absl::Duration()> left) {
  while (true) {
    const uint64_t number = flush_requests_.Ask();
    checkpoints_.Wake();
    std::optional<absl::Status> answer;
    while (!answer.has_value()) {
      const absl::Status done = checkpointer_->Wait(
          version, absl::Now() + std::min(left(), kAskAgain), [&] {
            answer = flush_requests_.AnswerTo(number);
            return answer.has_value() && !answer->ok();
          });
      if (!absl::IsDeadlineExceeded(done)) return done;
      // After the deadline of the wait it may have come as well.
      answer = flush_requests_.AnswerTo(number);
      if (answer.has_value() && !answer->ok()) {
        return durable_version() >= version ? absl::OkStatus() : *answer;
      }
      if (left() == absl::ZeroDuration()) {
        return WithLastError(done, flush_requests_.LastAnswer());
      }
    }
  }
}

absl::Status DomainImpl::WaitDurable(uint64_t version, absl::Duration timeout) {
  EVE_RETURN_IF_ERROR(core_.CheckUsable());
  if (durable_version() >= version) return absl::OkStatus();
  if (core_.is_frozen()) core_.frozen.lookout->Look(/*also_idle=*/true);
  if (core_.is_frozen()) {
    return core_.NobodyWrites();
  }
  // Not by the wall clock, which may be set meanwhile.
  const uint64_t begin = MonotonicNanos();
  const auto left = [&] {
    return std::max(timeout - absl::Nanoseconds(MonotonicNanos() - begin),
                    absl::ZeroDuration());
  };
  if (checkpointer_ == nullptr) {
    return Checkpointer(&core_).WaitForOthers(version, absl::Now() + timeout);
  }
  if (options_.background) return WaitForCheckpointThread(version, left);
  EVE_ASSIGN_OR_RETURN(const uint64_t newest, NewestVersion());
  const absl::Time until = absl::Now() + left();
  return version <= newest ? checkpointer_->Commit(version, until)
                           : checkpointer_->Wait(version, until);
}

uint64_t DomainImpl::durable_version() const {
  if (!core_.CheckUsable().ok()) return 0;
  if (core_.is_frozen()) {
    return core_.frozen.version();
  }
  return ReadDurableCandidates(core_.region).newest;
}

}  // namespace eve::internal
