#include "engine/reclaim/collector.h"

#include <algorithm>
#include <utility>

#include "engine/file/file_lock.h"
#include "engine/reclaim/poison.h"
#include "engine/root/accounting.h"
#include "engine/root/pinned_root.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// Who has held a pin for so long is taken for one who goes on.
constexpr uint64_t kLongPinNanos = 5'000'000'000;
constexpr uint64_t kHistoryStepNanos = 500'000'000;

// A segment with less room than this is not worth reopening.
constexpr uint32_t kWorthUnits = kSegmentUnits / 8;

}  // namespace

void Collector::TakeOverDeadClaims() {
  const uint32_t capacity = core_->table->capacity();
  for (uint32_t segment = 0; segment < capacity; ++segment) {
    const SegmentWord seen = core_->table->Load(segment);
    if (!core_->table->IsOwnerDead(seen)) continue;
    if (core_->table->TryTakeOver(segment, seen)) taken_.push_back(segment);
  }
}

uint64_t Collector::VersionOfLongAgo(uint64_t version) {
  const uint64_t now = MonotonicNanos();
  if (history_.empty() || now - history_.back().nanos >= kHistoryStepNanos) {
    history_.push_back({now, version});
  }
  // The front becomes the newest of those that are old enough.
  while (history_.size() > 1 && now - history_[1].nanos >= kLongPinNanos) {
    history_.pop_front();
  }
  const bool is_old = now - history_.front().nanos >= kLongPinNanos;
  return is_old ? history_.front().version : 0;
}

absl::StatusOr<uint64_t> Collector::FreeSegments() {
  TakeOverDeadClaims();
  EVE_STEP("collect.taken_over");
  std::vector<SegmentWord> words(core_->table->capacity());
  for (uint32_t i = 0; i < words.size(); ++i) words[i] = core_->table->Load(i);
  absl::StatusOr<PinnedRoot> root =
      PinnedRoot::PinNewest(*core_->root, core_->cells.get(), core_->view);
  using Rows = absl::StatusOr<std::vector<AccountingRow>>;
  Rows rows =
      root.ok() ? ReadExactRows(core_->FileView(), root->offset(), core_->salt)
                : Rows(root.status());
  // On an error they stay claimed, for the next pass to release.
  if (!rows.ok()) return rows.status();
  const uint64_t version = root->version();
  // The rows are read: this pass must not meet a pin of its own.
  root->Reset();
  for (const uint32_t segment : taken_) {
    // Never committed to: free. A row without live bytes may be that of the
    // former life (P7): the reuse rule has the last word on it.
    if (segment < rows->size() && (*rows)[segment].fill_units > 0) {
      core_->table->ReleaseSealed(segment);
    } else {
      core_->table->ReleaseFree(segment);
    }
  }
  taken_.clear();
  EVE_STEP("collect.accounted");
  // Before the pins, too: who pins a durable root, or shows it without a slot,
  // believes that if it is one of the two newest then.
  const DurableSet before = read_durable_();
  EVE_STEP("collect.durable_read_first");
  // Readers without a slot have no pins: while one is attached nothing is
  // freed (P25).
  EVE_ASSIGN_OR_RETURN(
      const bool unpinned,
      IsRangeLockedByOther(core_->file, kUnpinnedReadersLockByte, 1));
  if (unpinned) {
    survey_ = SegmentSurvey{};  // nothing can be gained, nor judged
    return 0;
  }
  PinSet pins = ScanPins(core_->region, *core_->slots, range_pins_);
  EVE_STEP("collect.pins_scanned");
  // Behind the pins: who makes what it has pinned durable announces it before
  // it unpins.
  const DurableSet after = read_durable_();
  EVE_STEP("collect.durable_read");
  Protectors protectors = Combine(before, std::move(pins), after);
  uint64_t freed = 0;
  for (uint32_t i = 0; i < words.size() && i < rows->size(); ++i) {
    if (words[i].state() != SegmentState::kSealed) continue;
    if (!MayReuse((*rows)[i], protectors)) continue;
    if (!FreeJudged(*core_, i, words[i], (*rows)[i])) continue;
    words[i] = SegmentWord{};
    ++freed;
  }
  std::vector<bool> fixed;
  if (known_fixed_) fixed = known_fixed_(*rows);
  survey_ = SegmentSurvey{
      std::move(words), *std::move(rows), std::move(protectors), {}, {},
      std::move(fixed), version};
  const uint64_t long_ago = VersionOfLongAgo(version);
  survey_.SetLongPins(long_ago);
  survey_.SetLongDurable(long_ago);
  CountInSlot(core_->slots->own().segments_freed, freed);
  return freed;
}

std::optional<uint32_t> CommittedFill(Core& core, uint32_t segment) {
  absl::StatusOr<PinnedRoot> root =
      PinnedRoot::PinNewest(*core.root, core.cells.get(), core.view);
  if (!root.ok()) return std::nullopt;
  absl::StatusOr<std::vector<AccountingRow>> rows =
      ReadExactRows(core.FileView(), root->offset(), core.salt);
  if (!rows.ok() || segment >= rows->size()) return std::nullopt;
  const AccountingRow& row = (*rows)[segment];
  // Without live bytes it may be a former life, or about to be freed; behind a
  // run there is nothing to walk.
  if (row.live_units == 0 || row.run_length != 1) return std::nullopt;
  return row.fill_units;
}

absl::StatusOr<std::vector<uint32_t>> FindHalfFull(Core& core) {
  EVE_ASSIGN_OR_RETURN(
      const PinnedRoot root,
      PinnedRoot::PinNewest(*core.root, core.cells.get(), core.view));
  EVE_ASSIGN_OR_RETURN(
      const std::vector<AccountingRow> rows,
      ReadExactRows(core.FileView(), root.offset(), core.salt));
  std::vector<std::pair<uint32_t, uint32_t>> found;  // fill, segment
  const uint32_t end = static_cast<uint32_t>(
      std::min<uint64_t>(rows.size(), core.table->capacity()));
  for (uint32_t i = 0; i < end; ++i) {
    const AccountingRow& row = rows[i];
    if (row.live_units == 0 || row.run_length != 1 ||
        row.fill_units + kWorthUnits > kSegmentUnits ||
        core.table->Load(i).state() != SegmentState::kSealed) {
      continue;
    }
    found.emplace_back(row.fill_units, i);
  }
  // The emptiest at the back, where they are taken from.
  std::sort(found.rbegin(), found.rend());
  std::vector<uint32_t> segments;
  for (const auto& [fill, segment] : found) segments.push_back(segment);
  return segments;
}

}  // namespace eve
