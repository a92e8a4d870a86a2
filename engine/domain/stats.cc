// Figures about a domain: counters of the region, accounting, page sizes.

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "engine/domain/domain_impl.h"
#include "engine/file/file_lock.h"
#include "engine/reclaim/holders.h"
#include "util/clock.h"
#include "util/status_macros.h"

namespace eve::internal {
namespace {

void AddSpace(const Survey& survey, DomainStats& stats) {
  for (uint32_t i = 0; i < survey.rows.size(); ++i) {
    const AccountingRow& row = survey.rows[i];
    const uint64_t live = row.live_units * kUnitBytes;
    const uint64_t fill = row.fill_units * kUnitBytes;
    stats.live_bytes += live;
    if (live > 0) stats.fill_bytes += fill;
    // Without live bytes the row of a segment that is free or being filled is
    // that of its former life.
    if (live > 0 || survey.IsDead(i)) {
      stats.dead_bytes += fill - live;
    }
  }
  stats.pinned_bytes = survey.holdings.pinned_bytes;
  stats.durable_held_bytes = survey.holdings.durable_held_bytes;
  stats.segments = survey.words.size();
  for (const SegmentWord word : survey.words) {
    switch (word.state()) {
      case SegmentState::kFree:
        ++stats.segments_free;
        break;
      case SegmentState::kClaimed:
        ++stats.segments_claimed;
        break;
      case SegmentState::kSealed:
        ++stats.segments_sealed;
        break;
    }
  }
  stats.free_bytes = stats.segments_free * kSegmentBytes;
}

// What nobody has open has no words: who opens it next frees all segments in
// which nothing lives.
void AddFrozenSpace(const Survey& survey, uint64_t segments,
                    DomainStats& stats) {
  for (const AccountingRow& row : survey.rows) {
    if (row.live_units == 0) continue;
    const uint64_t live = row.live_units * kUnitBytes;
    const uint64_t fill = row.fill_units * kUnitBytes;
    stats.live_bytes += live;
    stats.fill_bytes += fill;
    stats.dead_bytes += fill - live;
    ++stats.segments_sealed;
  }
  stats.segments = segments;
  stats.segments_free = segments - std::min(segments, stats.segments_sealed);
  stats.free_bytes = stats.segments_free * kSegmentBytes;
}

void AddProcesses(const Survey& survey, DomainStats& stats) {
  stats.processes = survey.processes.size();
  stats.has_unpinned_reader = survey.has_unpinned_reader;
  for (const AttachedProcess& process : survey.processes) {
    for (const CellPin& pin : process.pins) {
      ++stats.pins;
      // A range is no version; it will be one soon.
      if (pin.is_range) continue;
      if (stats.oldest_pin == 0 || pin.version < stats.oldest_pin) {
        stats.oldest_pin = pin.version;
      }
    }
  }
  if (stats.oldest_pin > 0) {
    stats.oldest_pin_lag =
        stats.version - std::min(stats.version, stats.oldest_pin);
  }
}

void AddCounters(const SlotCounters& sum, DomainStats& stats) {
  stats.commits = sum.commits;
  stats.attempts = sum.commits + sum.conflicts;
  stats.conflicts = sum.conflicts;
  stats.restamps = sum.restamps;
  stats.turns = sum.turns;
  stats.waits = sum.waits;
  stats.folds = sum.folds;
  stats.segments_freed = sum.segments_freed;
  stats.checkpoints = sum.checkpoints;
  stats.bytes_committed = sum.bytes_committed;
  stats.blocks_moved = sum.blocks_moved;
  stats.bytes_moved = sum.bytes_moved;
  stats.bytes_punched = sum.bytes_punched;
  // The counters are read one after the other, so a sum may be ahead.
  if (sum.bytes_moved < sum.bytes_committed) {
    stats.write_amplification =
        static_cast<double>(sum.bytes_committed) /
        static_cast<double>(sum.bytes_committed - sum.bytes_moved);
  }
}

// The words of a slot say something while somebody holds its byte.
void AddFlushes(const Core& core, Checkpointer* own, DomainStats& stats) {
  stats.io_engine = "none";
  if (const std::optional<CachedBytes> cached = core.file.InCache()) {
    stats.knows_dirty_bytes = true;
    stats.dirty_bytes = cached->dirty;
  }
  if (core.is_frozen()) return;  // nobody writes
  RegionWords& words = core.region.words();
  // relaxed throughout: figures for people.
  switch (
      static_cast<IoEngine>(words.io_engine.load(std::memory_order_relaxed))) {
    case IoEngine::kNone:
      break;
    case IoEngine::kPlain:
      stats.io_engine = "plain";
      break;
    case IoEngine::kRing:
      stats.io_engine = "io_uring";
      break;
  }
  const uint64_t now = MonotonicNanos();
  uint64_t oldest = now;
  for (uint32_t slot = 0; slot < kCommitSlotCount; ++slot) {
    const uint64_t begun =
        words.flush_begun[slot].load(std::memory_order_relaxed);
    if (begun == 0) continue;
    const absl::StatusOr<bool> held =
        IsRangeLockedByOther(core.region.file(), kCommitSlotLockBase + slot, 1);
    const bool is_own = own != nullptr && own->HasSlot(slot);
    if (!is_own && !held.value_or(false)) continue;
    ++stats.flushes;
    if (begun >= oldest) continue;
    oldest = begun;
    stats.flush_bytes = words.flush_bytes[slot].load(std::memory_order_relaxed);
  }
  stats.flush_ns = now - oldest;
}

// Sums what /proc/self/smaps says of the mappings inside the two views.
void AddPageSizes(const Core& core, DomainStats& stats) {
  std::unique_ptr<FILE, int (*)(FILE*)> smaps(
      std::fopen("/proc/self/smaps", "re"), &std::fclose);
  if (smaps == nullptr) return;
  const auto inside = [](uint64_t address, const Mapping& mapping) {
    const auto base = static_cast<uint64_t>(
        static_cast<const char*>(mapping.data()) - static_cast<char*>(nullptr));
    return mapping.data() != nullptr && address >= base &&
           address < base + mapping.bytes();
  };
  char line[512];
  bool is_ours = false;
  while (std::fgets(line, sizeof(line), smaps.get()) != nullptr) {
    uint64_t from, to, kib;
    if (std::sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &from, &to) == 2) {
      is_ours =
          inside(from, core.read_mapping) || inside(from, core.write_mapping);
    } else if (is_ours && std::sscanf(line, "Rss: %" SCNu64, &kib) == 1) {
      stats.mapped_bytes += kib * 1024;
    } else if (is_ours &&
               (std::sscanf(line, "FilePmdMapped: %" SCNu64, &kib) == 1 ||
                std::sscanf(line, "ShmemPmdMapped: %" SCNu64, &kib) == 1)) {
      stats.huge_mapped_bytes += kib * 1024;
    }
  }
}

}  // namespace

absl::StatusOr<DomainStats> DomainImpl::Stats() {
  EVE_RETURN_IF_ERROR(core_.CheckUsable());
  EVE_ASSIGN_OR_RETURN(const Survey survey, TakeSurvey());
  DomainStats stats;
  stats.version = survey.record.version;
  stats.folded_version = survey.record.folded_version;
  stats.incarnation = survey.record.incarnation;
  stats.collections = survey.record.collection_count;
  stats.durable_version = durable_version();
  AddFlushes(core_, checkpointer_.get(), stats);
  stats.recovery = core_.recovery_note;
  if (core_.frozen.lookout != nullptr) {
    const std::string why_not = core_.frozen.lookout->why_not();
    if (!why_not.empty()) {
      absl::StrAppend(&stats.recovery,
                      "; what is newer is not shown: ", why_not);
    }
  }
  EVE_ASSIGN_OR_RETURN(stats.file_bytes, core_.file.Size());
  EVE_ASSIGN_OR_RETURN(stats.disk_bytes, core_.file.DiskBytes());
  if (survey.is_frozen) {
    AddFrozenSpace(survey, core_.FileSegments(), stats);
  } else {
    AddSpace(survey, stats);
  }
  AddProcesses(survey, stats);
  AddCounters(survey.counters, stats);
  if (!survey.is_frozen && core_.slots != nullptr) {
    stats.replays = ReadCounter(core_.region.words().replays);
    stats.poisoned =
        core_.region.header().poison.load(std::memory_order_acquire) != 0;
  }
  AddPageSizes(core_, stats);
  return stats;
}

}  // namespace eve::internal
