// Compactor: keeps the live share of a domain up by moving live blocks out of
// segments that are mostly dead.
//
// The work is paid for by whoever makes garbage: a transaction that allocates
// owes moves in proportion, and does them itself, in collections that it has
// written anyway (a MoveRider). So space is bounded without a race that a
// background thread could lose. A move adds no conflict to a transaction; it
// makes its run a little longer.
// It pays with the neighbours of what it writes, as far as there are any
// (collections/side_moves.h); only a writer that falls behind with that moves
// slices of what has been gathered.
// What no writer comes for, and what is left when the writers rest, is moved by
// transactions of the compactor's own (MoveSlice).
//
// A move is an ordinary commit: copy, compare-and-swap, retire. Death or a stop
// at any point leaves what a dead or stopped writer leaves; see evacuation.h
// for the victims' claims.
//
// Threads:    any; Plan() one at a time.
// Processes:  each has its own and chooses among segments that nobody claims.
// Owns:       the victims' claims.
// Lifetime:   shorter than the core's.
// Errors:     kDataLoss: damaged blocks; their segment is given up.
//             kResourceExhausted: no room to move to.
// Cost:       for a writer nothing while the live share is high; else, at the
//             balance, it moves u / (1 - u) bytes for each byte that it
//             allocates, where u is the victims' live share, in slices of
//             kSliceTargets blocks.
#ifndef EVE_ENGINE_RECLAIM_COMPACTOR_H_
#define EVE_ENGINE_RECLAIM_COMPACTOR_H_

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/collections/side_moves.h"
#include "engine/reclaim/evacuation.h"
#include "engine/reclaim/large_values.h"
#include "engine/reclaim/victims.h"
#include "engine/txn/core.h"
#include "engine/txn/swap.h"
#include "util/gauge.h"

namespace eve {

// How hard writers have to work, from 0 to 2: at a half, what they move keeps
// the balance. `live` of the `movable` bytes live, `free` ones lie ready.
double PressureOf(uint64_t live, uint64_t movable, uint64_t free);
// How many victims a process may have beside what the `others` have claimed.
// What is dead in the victims of all processes waits to be used: they share one
// limit.
size_t VictimsFor(const SpaceUse& use, size_t others);

class Compactor {
 public:
  // Blocks that a writer moves in one go: the most that its latency gains.
  static constexpr size_t kSliceTargets = 16;

  // A process without a background thread has nobody to give its victims back
  // when its writers stop: it takes few.
  Compactor(Core* core, bool has_background)
      : core_(core),
        has_background_(has_background),
        evacuation_(core),
        large_values_(core) {}

  // After a collector pass: sets what writers pay and takes victims when it is
  // time. REQUIRES: Core::source is set up.
  absl::Status Plan(const SegmentSurvey& survey);
  // Takes victims by `goal` whatever the live share is. Returns how many.
  absl::StatusOr<size_t> TakeVictims(const SegmentSurvey& survey,
                                     const VictimGoal& goal);
  // The same with one that the caller has chosen.
  absl::StatusOr<size_t> TakeThis(const Victim& victim);
  // Segments of `rows` that cannot be emptied, as far as it is known.
  std::vector<bool> KnownFixed(const std::vector<AccountingRow>& rows) {
    return large_values_.Known(rows);
  }

  enum class Outcome : uint8_t {
    kMoved,
    kNothingLeft,  // in what has been gathered
    // Others won all attempts, or have the turn: a smaller slice may do.
    kLost,
  };
  // Moves what lives of one slice of any collection by a transaction of its
  // own. With kAdd it leaves the reserve alone (I22).
  absl::StatusOr<Outcome> MoveSlice(internal::TransactionImpl& transaction,
                                    size_t targets_max,
                                    internal::Manners manners,
                                    ClaimPurpose purpose = ClaimPurpose::kAdd);

  // For a commit of so many bytes that has lost its moves on the way: in
  // transactions of their own, as many as it could have taken along, until the
  // deadline. Errors are left to be met by who moves next.
  void PayPutOff(internal::TransactionImpl& transaction, uint64_t bytes,
                 absl::Time deadline);

  // Whether writers cannot pay with what lies beside their writes.
  bool WantsSlices() const { return urgent_ || owed() > patience_.Get(); }
  // While urgent, writers pay whatever the live share is.
  void SetUrgent(bool urgent) { urgent_ = urgent; }
  // Meanwhile no plan takes victims: those of who makes room are counted.
  void SetMakingRoom(bool is) { is_making_room_ = is; }
  // Looks for what lives in the victims, some blocks of them. False: all have
  // been looked at.
  absl::StatusOr<bool> Gather(size_t blocks_max, bool may_wait = false) {
    return evacuation_.Gather(blocks_max, may_wait, Evacuation::Which::kAll);
  }
  // The same, of those victims only whose rest has to be moved in slices.
  absl::StatusOr<bool> GatherRests(size_t blocks_max) {
    return evacuation_.Gather(blocks_max, /*may_wait=*/false,
                              WantsSlices() ? Evacuation::Which::kAll
                                            : Evacuation::Which::kNearlyEmpty);
  }

  // A writer allocated so many bytes.
  void Owe(uint64_t bytes) {
    const int64_t rate = rate_.Get();
    if (rate != 0) debt_.Add(static_cast<int64_t>(bytes) * rate / kRateOne);
  }
  int64_t owed() const { return debt_.Get(); }
  // No room or no use: what is owed is forgiven.
  void Forgive() { debt_.Set(0); }

  // Whether this process wrote anything between the last two plans.
  bool is_writing() const { return is_writing_; }
  void GiveBackVictims() { evacuation_.ReleaseAll(); }
  bool has_victims() const { return victims() > 0; }
  size_t victims() const { return evacuation_.victims(); }

 private:
  friend class MoveRider;
  static constexpr int64_t kRateOne = 256;
  // While there are rests to be moved, so much is left for them to pay with:
  // about a slice.
  static constexpr int64_t kRestDebtBytes = 16 << 10;

  // False: it is somebody else's, or damaged, or nothing could be moved.
  bool TryClaim(const Victim& victim);
  absl::StatusOr<size_t> AddClaimed(const std::vector<Victim>& claimed);
  // A slice that moved nothing has cost something, too.
  static int64_t CostOf(const Slice& slice, const MoveResult& moved) {
    return static_cast<int64_t>(moved.bytes +
                                slice.targets.size() * kUnitBytes);
  }
  // Segments that other processes have claimed: open ones and victims.
  size_t ClaimedByOthers(const SegmentSurvey& survey) const;
  void GiveUp(const Slice& slice);
  void Settled(const Slice& slice, const MoveResult& moved);
  void SettledBeside(const MoveResult& moved);
  void CountMoves(const MoveResult& moved);

  Core* core_;
  const bool has_background_;
  Evacuation evacuation_;
  LargeValues large_values_;
  // Bytes to move per kRateOne bytes allocated, and how many that has come to.
  Gauge rate_;
  Gauge debt_;
  // What this process may owe before its writers look for more than what lies
  // beside their writes.
  Gauge patience_;
  // Commits and claims of this process, at the last Plan(); the claims at the
  // first one that saw so many commits, and how many a commit made before.
  uint64_t planned_commits_ = 0;
  uint64_t planned_claims_ = 0;
  uint64_t claims_before_ = 0;
  uint64_t claims_a_commit_ = 0;
  std::atomic<bool> is_writing_{false};
  std::atomic<bool> urgent_{false};
  std::atomic<bool> is_making_room_{false};
  std::mutex mutex_;
  absl::flat_hash_set<uint32_t> given_up_;  // damaged segments
};

// Pays a transaction's share. Made anew for each Swap().
class MoveRider : public internal::Rider {
 public:
  explicit MoveRider(Compactor* compactor) : compactor_(compactor) {}

  void Begin(internal::TransactionImpl& transaction) override;
  absl::Status Board(internal::TransactionImpl& transaction) override;
  void Alight(bool published) override;
  bool has_work() const override {
    return !moved_.empty() || beside_->moved.blocks > 0;
  }
  // What is owed lies in collections that the transaction did not write.
  bool found_nothing() const { return found_nothing_; }
  // Somebody else's commit came first, and what was moved went with the run
  // that had moved it: who writes beside others would never pay.
  bool was_put_off() const { return was_put_off_; }
  uint64_t bytes() const { return bytes_; }

 private:
  struct Moved {
    Slice slice;
    MoveResult result;
  };

  Compactor* compactor_;
  const SideMoves* beside_ = nullptr;  // the present run's
  bool has_owed_ = false;
  bool found_nothing_ = false;
  bool was_put_off_ = false;
  uint64_t bytes_ = 0;  // that the run wrote which boarded last
  std::vector<Moved> moved_;
};

}  // namespace eve

#endif  // EVE_ENGINE_RECLAIM_COMPACTOR_H_
