// DomainImpl: one attached domain of this process, wired together.
//
// Threads:    every method may be called concurrently.
// Processes:  see attach.h. In a forked child nothing works but destruction.
// Owns:       the core, the writers, the background threads.
// Lifetime:   shared by domain handles, collections and snapshots; the last
//             one to go checkpoints and detaches.
// Errors:     as Domain.
// Cost:       as Domain.
#ifndef EVE_ENGINE_DOMAIN_DOMAIN_IMPL_H_
#define EVE_ENGINE_DOMAIN_DOMAIN_IMPL_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/checkpoint/checkpoint_pacer.h"
#include "engine/checkpoint/checkpointer.h"
#include "engine/domain/flush_requests.h"
#include "engine/domain/idle_writers.h"
#include "engine/domain/slow_readers.h"
#include "engine/epoch/courtesy_lease.h"
#include "engine/reclaim/collector.h"
#include "engine/reclaim/compactor.h"
#include "engine/reclaim/punch.h"
#include "engine/reclaim/rest_pacer.h"
#include "engine/txn/core.h"
#include "engine/txn/snapshot_impl.h"
#include "engine/txn/swap.h"
#include "eve/domain.h"
#include "util/gauge.h"
#include "util/periodic_thread.h"

namespace eve::internal {

class DomainImpl : public std::enable_shared_from_this<DomainImpl> {
 public:
  explicit DomainImpl(const DomainOptions& options)
      : options_(options), pacer_(options.checkpoint_every) {}
  ~DomainImpl();

  // Opens, attaches and starts the background threads.
  absl::Status Start(const std::string& path);
  // With a data file that nobody else can open. REQUIRES: the options say that
  // the domain is in memory.
  absl::Status StartIn(File file, const std::string& path);

  absl::StatusOr<Commit> Swap(
      absl::FunctionRef<absl::Status(TransactionImpl&)> fn,
      const SwapOptions& options);
  // What a transaction had no space for.
  struct Refusal {
    uint32_t segments = 0;  // in a row; 0: it failed for another reason
    ClaimPurpose purpose = ClaimPurpose::kAdd;
    int runs = 0;  // of its closure
  };
  // The same for what gives space back, which pinned garbage must not stop. It
  // does not make room.
  absl::StatusOr<Commit> SwapUnderPressure(
      absl::FunctionRef<absl::Status(TransactionImpl&)> fn,
      const SwapOptions& options, Manners manners = Manners::kGiveWay,
      Refusal* refusal = nullptr);
  absl::StatusOr<std::shared_ptr<const SnapshotImpl>> Now();
  absl::StatusOr<CollectionRef> OpenCollection(std::string_view name,
                                               std::string_view kind,
                                               std::string key_type,
                                               std::string value_type);
  absl::Status Drop(std::string_view name);
  absl::Status Sync();
  absl::Status WaitDurable(uint64_t version, absl::Duration timeout);
  absl::Status Reclaim();
  absl::Status Compact(const CompactOptions& options);
  // Cuts off all of the file's end that is free, if this process is attached
  // alone. Returns how many bytes went. REQUIRES: no background threads, and no
  // other thread uses the domain.
  absl::StatusOr<uint64_t> CutTail();
  absl::StatusOr<DomainStats> Stats();
  absl::StatusOr<std::vector<ReaderInfo>> Readers();

  Core& core() { return core_; }
  const DomainOptions& options() const { return options_; }
  uint64_t durable_version() const;

  // In a forked child: closes what would keep the parent's locks alive.
  void AbandonInChild();

 private:
  // Whether a writer that leaves so many commits unfolded is to fold.
  bool IsFoldDue(uint64_t unfolded);
  void FoldIfDue(WriterContext& writer, uint64_t unfolded);
  absl::Status CheckMayPromise() const;
  // What is published survives a power failure on return. `published`: by the
  // caller, who must not repeat it.
  absl::Status MakeDurable(uint64_t version, bool published);
  // For commits of that durability at most.
  std::unique_ptr<WriterContext> TakeWriter(
      Durability durability = Durability::kNone);
  absl::Status CheckWritable() const;
  DurableSet DurableVersions() const;
  absl::StatusOr<Survey> TakeSurvey();
  absl::StatusOr<std::optional<CollectionRef>> FindCollection(
      const CommitRecord& root, const CatalogRecord& wanted);
  // Folds, frees and retires dropped collections, once.
  absl::StatusOr<bool> ReclaimPass(uint64_t fold_at_least);
  absl::StatusOr<bool> RetireGraveyards();
  absl::StatusOr<uint64_t> NewestVersion();
  absl::Status WaitForCheckpointThread(
      uint64_t version, absl::FunctionRef<absl::Duration()> left);
  absl::StatusOr<bool> RetireSliceOfEach();
  void RetireAllGraveyards();
  void ReclaimBeforeGrowth();
  void CutTailIfAlone();

  // background.cc
  absl::Status StartBackground();
  absl::Status StartLookout();
  void StopBackground();
  void ReclaimTick(bool is_due);
  void ReclaimUnlessDone(uint64_t version);
  // Returns how long it is until the next one is due.
  absl::Duration CheckpointTick(bool is_due);
  void Rest(uint64_t version);
  // Nobody has committed for so long that nobody is about to.
  bool HasRested() const;
  void GatherVictims();

  // compact.cc
  SegmentSurvey LastSurvey();
  SpaceUse LastUse();
  // Looks for what lives in the victims and moves it, until all is done or
  // `go_on` says no; it is asked between two slices.
  absl::Status MoveVictims(size_t targets_max, Manners manners,
                           absl::FunctionRef<bool()> go_on,
                           ClaimPurpose purpose = ClaimPurpose::kAdd);
  // Returns whether a fold was published.
  absl::StatusOr<bool> FoldNow(uint64_t at_least);
  // Makes everything up to now durable, twice: so that no durable candidate
  // needs what died before the call.
  // `folds`, if wanted: how many commits of its own that took.
  absl::Status AdvanceDurableRoots(uint64_t* folds = nullptr);
  // Whether dead space that only durable roots keep is worth a checkpoint.
  static bool HoldsMuch(const SpaceUse& use);
  bool HoldsMoreThanLives();
  // A bounded step of compaction while nobody writes.
  absl::Status RestStep();
  bool IsSwapRunning() const { return swaps_running_.Get() > 0; }
  // Gives the segments of idle writers back, to be filled on by others; of all
  // but `keep`.
  void ReleaseIdleWriters(size_t keep = 0);
  absl::StatusOr<CompactProgress> MeasureProgress();
  // Whether what lives in segments with a smaller share cannot be moved in one
  // go.
  bool IsRoomShort(double share_max, uint64_t begun);
  absl::Status CompactRound(const CompactOptions& options, uint64_t begun,
                            bool* stopped, bool* found);
  absl::Status CompactInRounds(const CompactOptions& options, bool* stopped);

  // make_room.cc
  absl::StatusOr<Commit> SwapMakingRoom(
      absl::FunctionRef<absl::Status(TransactionImpl&)> fn,
      const SwapOptions& options);
  // Makes room for `wanted` segments more than claims of that purpose leave.
  // Returns whether there is. What has failed is tried again when somebody has
  // stopped reading or committed; with `patience`, after so many commits. A
  // step that has begun is ended after the deadline, too.
  bool MakeRoom(ClaimPurpose purpose, uint32_t wanted, uint64_t patience,
                absl::Time deadline = absl::InfiniteFuture(),
                bool* has_begun = nullptr);
  // `*judged`: the version of which it is known if it fails.
  bool MakeRoomInRounds(ClaimPurpose purpose, uint32_t wanted, uint64_t begun,
                        absl::Time deadline, uint64_t* judged);
  bool HasRoomFor(ClaimPurpose purpose, uint32_t wanted);
  // Empties as many of the best victims as gain `segments`, one after the
  // other, if each fits into what is free. Returns how many. Who reads what was
  // there before `begun` may go on for long.
  size_t EmptyBest(double share_max, uint32_t segments, uint64_t begun);
  // What can be written before the next claim fails, as far as it matters.
  uint64_t RoomBytes();
  // What the runs of a transaction that was refused have claimed.
  void ReleaseSpares();
  // The error, and which reader keeps most.
  absl::Status WithHolder(const absl::Status& status);

  const DomainOptions options_;
  Core core_;
  std::unique_ptr<Checkpointer> checkpointer_;
  std::unique_ptr<Collector> collector_;
  std::unique_ptr<Compactor> compactor_;
  std::unique_ptr<CourtesyLease> rest_lease_;
  std::unique_ptr<CourtesyLease> room_lease_;  // the same word
  SlowReaders slow_readers_{options_, [this] { return TakeSurvey(); }};

  Gauge swaps_running_;  // of this process
  IdleWriters idle_writers_;

  // Of these the checkpoint thread takes collect_mutex_ only, and holds it over
  // no flush.
  std::mutex compact_mutex_;  // one Compact() at a time; above the next three
  std::timed_mutex room_mutex_;  // one that makes room, or a step at rest
  std::mutex reclaim_mutex_;     // one pass at a time in this process
  std::mutex collect_mutex_;     // inside it: the collector's memory
  // The newest version for which making room is known to have failed, and who
  // had been reading since before that began; under room_mutex_.
  uint64_t no_room_version_ = 0;
  std::vector<uint64_t> no_room_pins_;
  // The checkpoint thread's.
  CheckpointPacer pacer_;
  uint64_t settled_at_ = 0;  // newest when Settle() was last thought of
  // The reclaimer's.
  uint64_t ticks_ = 0;
  uint64_t passed_claims_ = 0;
  std::atomic<uint64_t> folded_claims_{0};  // when a writer folded last
  uint64_t reclaimed_version_ = 0;  // newest when a pass found nothing to do
  std::vector<uint64_t> reclaimed_durable_;  // DurableVersions() then
  RestPacer rest_pacer_;
  uint64_t rest_version_ = 0;  // newest at the end of the tick before
  uint64_t rests_over_limit_ = 0;
  uint64_t rest_since_ = 0;  // when others were last seen to have committed
  // Of dead space, when durable roots were last moved on in this rest: no less
  // since then means that it is not they who keep it.
  uint64_t held_when_advanced_ = UINT64_MAX;
  FlushRequests flush_requests_;
  // Those of others are looked for by the reclaimer, or when this one closes.
  std::atomic<bool> may_have_graveyards_{options_.background};
  std::atomic<uint64_t> commits_beside_graveyards_{0};
  std::atomic<bool> accounting_is_damaged_{false};
  std::atomic<uint64_t> folded_version_{0};  // as of the last pass

  // Last: they use all of it.
  PeriodicThread reclaimer_;    // folds, frees, moves, prepares segments
  PeriodicThread checkpoints_;  // makes durable
};

}  // namespace eve::internal

#endif  // EVE_ENGINE_DOMAIN_DOMAIN_IMPL_H_
