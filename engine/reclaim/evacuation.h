// Evacuation: segments that this process is emptying, and which of their blocks
// still have to be moved.
//
// A victim is claimed while it is emptied: nobody frees it, goes on filling it,
// or empties it a second time. The claim is all the shared state there is. If
// this process dies, the claim is taken over like any other and whatever was
// not moved waits for the next compactor; a stopped process holds up to a
// quarter of the segments, kVictimsMax at most, and nothing else.
//
// What lives in victims is moved beside other edits (emptied()) or, where that
// does not come to it, found: victims are walked front to back (a gather).
// Blocks that the newest root still leads to become targets. Those of a few
// victims at a time are sorted, so that a slice of them shares most of its
// path. A slice is settled when the commit that moved what lived of it is
// published, or handed back. Targets that die meanwhile cost a walk down and no
// more: what is moved is decided in the transaction that moves it.
//
// Threads:    any; gathers exclude each other.
// Processes:  this one's; see above.
// Owns:       the claims on its victims.
// Lifetime:   ReleaseAll() before destruction.
// Errors:     a victim whose blocks cannot be walked is given back.
// Cost:       a gather: a header and a walk down for each block.
#ifndef EVE_ENGINE_RECLAIM_EVACUATION_H_
#define EVE_ENGINE_RECLAIM_EVACUATION_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "engine/collections/move.h"
#include "engine/collections/side_moves.h"
#include "engine/format/accounting_row.h"
#include "engine/format/commit_record.h"
#include "engine/txn/catalog.h"
#include "engine/txn/core.h"
#include "util/gauge.h"

namespace eve {

// Targets of one collection.
struct Slice {
  uint32_t collection = 0;
  std::vector<MoveTarget> targets;
};

class Evacuation {
 public:
  static constexpr size_t kVictimsMax = 256;

  explicit Evacuation(Core* core) : core_(core) {}

  // Starts to empty a segment. REQUIRES: this process has claimed it since it
  // was sealed; its committed fill is `fill_units`.
  void Add(uint32_t segment, uint32_t fill_units, uint32_t live_units);

  // Which victims a gather walks: all, or those of which so little is left
  // that edits would hardly come by it.
  enum class Which : uint8_t { kAll, kNearlyEmpty };
  // Walks up to `blocks_max` blocks of the victims. False: there is nothing to
  // walk, or another thread is at it and the caller may not wait for that.
  absl::StatusOr<bool> Gather(size_t blocks_max, bool may_wait, Which which);

  // Cuts a slice of up to `targets_max` targets of `collection`. False: there
  // are none, as far as the victims have been walked.
  bool Take(uint32_t collection, size_t targets_max, Slice* slice);
  // Of any collection.
  bool TakeAny(size_t targets_max, Slice* slice);
  // What lived of it, so many bytes, has been moved by a published commit; the
  // rest is garbage.
  void Settle(const Slice& slice, uint64_t moved_bytes);
  // So many bytes were moved beside what a published commit wrote.
  void SettleBeside(uint64_t moved_bytes) {
    live_left_.Add(-static_cast<int64_t>(moved_bytes));
  }
  // By newer figures, indexed by segment: gives back the victims in which
  // nothing lives any more.
  void Refresh(const std::vector<AccountingRow>& rows);
  // Where the victims are, for those who may move some of what lives in them.
  const EmptiedSegments& emptied() const { return emptied_; }
  // It was not moved: it will be handed out again.
  void HandBack(Slice slice);
  // It cannot be moved, being damaged: gives its victims up.
  void Abandon(const Slice& slice);

  // Whether this segment was walked before and nothing in it could be moved,
  // and as much lives in it as then: accounting nodes that no fold has taken
  // along, blocks behind damage.
  bool IsBarren(uint32_t segment, uint32_t live_units);

  CollectionNames& names() { return names_; }
  // An estimate of what is still to be moved.
  uint64_t live_bytes_left() const {
    return static_cast<uint64_t>(std::max<int64_t>(live_left_.Get(), 0));
  }
  // What lived in the present victims when they were claimed.
  uint64_t live_bytes_when_claimed() const {
    return static_cast<uint64_t>(std::max<int64_t>(claimed_.Get(), 0));
  }
  size_t victims() const { return static_cast<size_t>(count_.Get()); }
  bool has_targets() const { return targets_.Get() > 0; }

  // Gives all victims back as they are. Slices that are out may still be
  // settled; that then changes nothing.
  void ReleaseAll();

 private:
  struct Victim {
    uint32_t segment = 0;
    uint32_t fill_units = 0;
    uint32_t live_units = 0;
    uint32_t live_units_when_claimed = 0;
    bool is_barren = true;  // no target was found
    // Found and not settled. Too low if slices of a former claim were out: the
    // segment is given back early then, and what lives there keeps it.
    uint32_t targets_left = 0;
    bool is_walked = false;

    bool is_nearly_empty() const {
      return live_units <=
             std::max(live_units_when_claimed / kNearlyEmptyShare, kFewUnits);
    }
  };
  static constexpr uint32_t kNearlyEmptyShare = 6;
  // A segment is cheap at this price. Above, edits should take along what they
  // come by first: what has few neighbours is left to the end.
  static constexpr uint32_t kFewUnits = kSegmentUnits / 12;
  // By collection, in the order of ids: where a hash table lies in memory would
  // decide what is moved first, and no run would be the same twice.
  using TargetsOf = std::map<uint32_t, std::vector<MoveTarget>>;
  // The victim that is being walked, and what was found.
  struct Walk {
    uint32_t segment = 0;
    uint32_t at_units = 0;
    uint32_t fill_units = 0;  // 0: none
    TargetsOf found;
    TargetsOf live;
    std::vector<uint32_t> walked;
  };

  bool NextVictim(Which which);
  void DropTargetsOf(const std::vector<uint32_t>& segments);
  void WalkSome(size_t blocks_max);
  absl::Status KeepLiveOfFound();
  void Publish();
  Victim* Find(uint32_t segment);
  void CountDown(const Slice& slice);
  void ReleaseIfDone(uint32_t segment);
  void Forget(uint32_t segment);
  void CutFrom(uint32_t collection,
               std::deque<std::vector<MoveTarget>>& batches, size_t targets_max,
               Slice* slice);

  Core* core_;
  EmptiedSegments emptied_;
  CollectionNames names_;
  std::mutex gather_mutex_;  // above mutex_
  Walk walk_;                // under gather_mutex_
  std::mutex mutex_;
  std::deque<Victim> victims_;
  absl::flat_hash_map<uint32_t, uint32_t> barren_;  // segment, live units
  // Sorted batches, by collection; cut from the back.
  std::map<uint32_t, std::deque<std::vector<MoveTarget>>> ready_;
  Gauge live_left_;  // bytes
  Gauge claimed_;    // bytes that lived when claimed
  Gauge count_;      // of victims_
  Gauge targets_;    // in ready_
};

}  // namespace eve

#endif  // EVE_ENGINE_RECLAIM_EVACUATION_H_
