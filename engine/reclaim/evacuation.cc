#include "engine/reclaim/evacuation.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/format/block.h"
#include "engine/reclaim/liveness.h"
#include "engine/root/pinned_root.h"
#include "engine/txn/catalog.h"
#include "util/failpoint.h"
#include "util/prefetch.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// How far ahead of the walk memory is asked for: headers do not tell where the
// next but one lies.
constexpr uint64_t kWalkAheadBytes = 4096;

// How many victims' targets are sorted in one go, at most: a writer that
// gathers waits for it.
constexpr size_t kVictimsPerSet = 8;

}  // namespace

void Evacuation::Add(uint32_t segment, uint32_t fill_units,
                     uint32_t live_units) {
  std::lock_guard lock(mutex_);
  Victim victim;
  victim.segment = segment;
  victim.fill_units = fill_units;
  victim.live_units = victim.live_units_when_claimed = live_units;
  victims_.push_back(victim);
  live_left_.Add(int64_t{live_units} * kUnitBytes);
  count_.Set(static_cast<int64_t>(victims_.size()));
  claimed_.Add(int64_t{live_units} * kUnitBytes);
  emptied_.Add(segment);
}

void Evacuation::Refresh(const std::vector<AccountingRow>& rows) {
  if (rows.empty()) return;
  // A victim must not be reused under a walk.
  std::unique_lock gather_lock(gather_mutex_, std::try_to_lock);
  if (!gather_lock.owns_lock()) return;
  std::lock_guard lock(mutex_);
  std::vector<uint32_t> empty;
  int64_t live_units = 0;
  for (Victim& victim : victims_) {
    if (victim.segment >= rows.size()) continue;
    victim.live_units = rows[victim.segment].live_units;
    live_units += victim.live_units;
    const bool is_walking =
        walk_.fill_units != 0 && walk_.segment == victim.segment;
    if (victim.live_units == 0 && !is_walking) empty.push_back(victim.segment);
  }
  live_left_.Set(live_units * int64_t{kUnitBytes});
  if (empty.empty()) return;
  DropTargetsOf(empty);
  for (const uint32_t segment : empty) {
    // A slice that is out looks at blocks in here; it ends the victim.
    if (Find(segment)->targets_left == 0) Forget(segment);
  }
}

void Evacuation::DropTargetsOf(const std::vector<uint32_t>& segments) {
  const auto is_gone = [&](const MoveTarget& target) {
    const uint32_t segment = target.offset.segment();
    if (std::find(segments.begin(), segments.end(), segment) ==
        segments.end()) {
      return false;
    }
    --Find(segment)->targets_left;
    targets_.Add(-1);
    return true;
  };
  for (auto at = ready_.begin(); at != ready_.end();) {
    for (std::vector<MoveTarget>& batch : at->second) {
      std::erase_if(batch, is_gone);
    }
    std::erase_if(at->second, [](const auto& batch) { return batch.empty(); });
    const auto here = at++;
    if (here->second.empty()) ready_.erase(here);
  }
}

bool Evacuation::NextVictim(Which which) {
  std::lock_guard lock(mutex_);
  for (const Victim& victim : victims_) {
    if (which == Which::kNearlyEmpty && !victim.is_nearly_empty()) continue;
    if (victim.is_walked || std::find(walk_.walked.begin(), walk_.walked.end(),
                                      victim.segment) != walk_.walked.end()) {
      continue;
    }
    walk_.segment = victim.segment;
    walk_.at_units = SegmentStartUnits(victim.segment);
    walk_.fill_units = victim.fill_units;
    return true;
  }
  return false;
}

void Evacuation::WalkSome(size_t blocks_max) {
  const BlockView view = core_->FileView();
  const uint64_t base = SegmentOffset(walk_.segment).units;
  for (size_t n = 0; n < blocks_max && walk_.at_units < walk_.fill_units; ++n) {
    const Offset offset{base + walk_.at_units};
    const auto* header = view.As<BlockHeader>(offset);
    const uint32_t units = header->size_units;
    if (units == 0 || units > walk_.fill_units - walk_.at_units) {
      // Damage: what lies behind it cannot be told. `eve check` reports it.
      walk_.at_units = walk_.fill_units;
      return;
    }
    for (uint64_t at = 0; at < header->bytes() && at < kWalkAheadBytes;
         at += 64) {
      PrefetchLine(view.At(offset) + kWalkAheadBytes + at);
    }
    walk_.at_units += units;
    // Records and delta lists die by being folded, the accounting is rewritten
    // by folds.
    if (header->collection == kSystemId) continue;
    // It would take a segment of its own again: nothing would be gained.
    if (header->bytes() > kRunThresholdBytes) continue;
    MoveTarget target;
    if (FindTarget(*core_, offset, &target)) {
      walk_.found[header->collection].push_back(target);
    }
  }
}

// Of what was found, keeps what the newest root leads to.
absl::Status Evacuation::KeepLiveOfFound() {
  TargetsOf found;
  found.swap(walk_.found);
  EVE_ASSIGN_OR_RETURN(
      const PinnedRoot root,
      PinnedRoot::PinNewest(*core_->root, core_->cells.get(), core_->view));
  for (auto& [id, targets] : found) {
    EVE_RETURN_IF_ERROR(KeepLive(*core_, names_, root.record(), id, targets));
    std::vector<MoveTarget>& live = walk_.live[id];
    live.insert(live.end(), targets.begin(), targets.end());
  }
  return absl::OkStatus();
}

void Evacuation::Publish() {
  for (auto& [id, targets] : walk_.live) {
    std::sort(targets.begin(), targets.end());
  }
  std::lock_guard lock(mutex_);
  absl::flat_hash_map<uint32_t, Victim*> by_segment;
  for (Victim& victim : victims_) by_segment[victim.segment] = &victim;
  for (auto& [id, targets] : walk_.live) {
    // A victim may have been given back meanwhile.
    std::erase_if(targets, [&](const MoveTarget& target) {
      const auto found = by_segment.find(target.offset.segment());
      if (found == by_segment.end()) return true;
      ++found->second->targets_left;
      found->second->is_barren = false;
      return false;
    });
    if (targets.empty()) continue;
    targets_.Add(static_cast<int64_t>(targets.size()));
    ready_[id].push_back(std::move(targets));
  }
  for (const uint32_t segment : walk_.walked) {
    Victim* victim = Find(segment);
    if (victim == nullptr) continue;
    victim->is_walked = true;
    ReleaseIfDone(segment);
  }
  walk_.live.clear();
  walk_.walked.clear();
}

absl::StatusOr<bool> Evacuation::Gather(size_t blocks_max, bool may_wait,
                                        Which which) {
  std::unique_lock lock(gather_mutex_, std::defer_lock);
  if (may_wait) {
    lock.lock();
  } else if (!lock.try_lock()) {
    return false;
  }
  if (walk_.fill_units == 0 && !NextVictim(which)) {
    if (walk_.walked.empty()) return false;
    Publish();
    return true;
  }
  WalkSome(blocks_max);
  EVE_RETURN_IF_ERROR(KeepLiveOfFound());
  if (walk_.at_units < walk_.fill_units) return true;
  walk_.walked.push_back(walk_.segment);
  walk_.fill_units = 0;
  // Many sorted together share more, but a writer may be waiting for it.
  if (walk_.walked.size() >= kVictimsPerSet) Publish();
  return true;
}

void Evacuation::CutFrom(uint32_t collection,
                         std::deque<std::vector<MoveTarget>>& batches,
                         size_t targets_max, Slice* slice) {
  std::vector<MoveTarget>& batch = batches.front();
  const auto n = static_cast<ptrdiff_t>(std::min(targets_max, batch.size()));
  slice->collection = collection;
  slice->targets.assign(batch.end() - n, batch.end());
  batch.erase(batch.end() - n, batch.end());
  targets_.Add(-static_cast<int64_t>(slice->targets.size()));
  if (batch.empty()) batches.pop_front();
  if (batches.empty()) ready_.erase(collection);
}

bool Evacuation::Take(uint32_t collection, size_t targets_max, Slice* slice) {
  if (!has_targets()) return false;
  std::lock_guard lock(mutex_);
  const auto found = ready_.find(collection);
  if (found == ready_.end()) return false;
  CutFrom(collection, found->second, targets_max, slice);
  return true;
}

bool Evacuation::TakeAny(size_t targets_max, Slice* slice) {
  std::lock_guard lock(mutex_);
  if (ready_.empty()) return false;
  const auto first = ready_.begin();
  CutFrom(first->first, first->second, targets_max, slice);
  return true;
}

void Evacuation::CountDown(const Slice& slice) {
  for (const MoveTarget& target : slice.targets) {
    Victim* victim = Find(target.offset.segment());
    if (victim == nullptr) continue;
    if (victim->targets_left > 0) --victim->targets_left;
    ReleaseIfDone(target.offset.segment());
  }
}

void Evacuation::Settle(const Slice& slice, uint64_t moved_bytes) {
  std::lock_guard lock(mutex_);
  live_left_.Add(-static_cast<int64_t>(moved_bytes));
  EVE_STEP("evacuate.settled");
  CountDown(slice);
}

void Evacuation::HandBack(Slice slice) {
  std::lock_guard lock(mutex_);
  std::erase_if(slice.targets, [&](const MoveTarget& target) {
    return Find(target.offset.segment()) == nullptr;
  });
  if (slice.targets.empty()) return;
  targets_.Add(static_cast<int64_t>(slice.targets.size()));
  ready_[slice.collection].push_back(std::move(slice.targets));
}

void Evacuation::Abandon(const Slice& slice) {
  std::lock_guard lock(mutex_);
  for (const MoveTarget& target : slice.targets) {
    if (Find(target.offset.segment()) != nullptr) {
      Forget(target.offset.segment());
    }
  }
}

Evacuation::Victim* Evacuation::Find(uint32_t segment) {
  for (Victim& victim : victims_) {
    if (victim.segment == segment) return &victim;
  }
  return nullptr;
}

void Evacuation::ReleaseIfDone(uint32_t segment) {
  const Victim* victim = Find(segment);
  if (!victim->is_walked || victim->targets_left > 0) return;
  if (victim->is_barren) {
    barren_[segment] = victim->live_units;
  } else {
    barren_.erase(segment);
  }
  Forget(segment);
}

void Evacuation::Forget(uint32_t segment) {
  std::erase_if(victims_, [&](const Victim& victim) {
    if (victim.segment != segment) return false;
    claimed_.Add(-int64_t{victim.live_units_when_claimed} * kUnitBytes);
    return true;
  });
  count_.Set(static_cast<int64_t>(victims_.size()));
  // What died before it could be moved was counted and never settled.
  if (victims_.empty()) live_left_.Set(0);
  emptied_.Remove(segment);
  core_->table->ReleaseSealed(segment);
  EVE_STEP("evacuate.released");
}

bool Evacuation::IsBarren(uint32_t segment, uint32_t live_units) {
  std::lock_guard lock(mutex_);
  const auto found = barren_.find(segment);
  return found != barren_.end() && found->second == live_units;
}

void Evacuation::ReleaseAll() {
  std::lock_guard gather_lock(gather_mutex_);
  walk_ = Walk{};
  std::lock_guard lock(mutex_);
  ready_.clear();
  targets_.Set(0);
  while (!victims_.empty()) Forget(victims_.front().segment);
}

}  // namespace eve
