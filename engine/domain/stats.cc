// Figures about a domain: counters of the region, accounting, page sizes.

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>

#include "engine/domain/domain_impl.h"
#include "engine/root/accounting.h"
#include "util/status_macros.h"

namespace eve::internal {
namespace {

void AddCounters(Core& core, DomainStats& stats) {
  const uint32_t used =
      core.region.words().processes_used.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < used && i < kProcessesMax; ++i) {
    ProcessSlot& slot = core.region.process(i);
    const auto read = [](SharedWord& word) {
      return word.load(std::memory_order_relaxed);
    };
    stats.commits += read(slot.commits);
    stats.conflicts += read(slot.conflicts);
    stats.restamps += read(slot.restamps);
    stats.folds += read(slot.folds);
    stats.segments_freed += read(slot.segments_freed);
    stats.checkpoints += read(slot.checkpoints);
    stats.bytes_committed += read(slot.bytes_committed);
    if (core.slots == nullptr || !core.slots->IsAlive(i)) continue;
    ++stats.processes;
    const uint32_t cells = slot.cells_used.load(std::memory_order_acquire);
    for (uint32_t cell = 0; cell < cells; ++cell) {
      const uint64_t word =
          core.region.cell(i, cell).word.load(std::memory_order_acquire);
      if (word == kNoPin || word >= kRevokedPin) continue;
      ++stats.pins;
      if (stats.oldest_pin == 0 || word < stats.oldest_pin) {
        stats.oldest_pin = word;
      }
    }
  }
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
  SnapshotImpl snapshot(nullptr, &core_);
  EVE_RETURN_IF_ERROR(snapshot.Take());
  const CommitRecord& record = snapshot.record();
  DomainStats stats;
  stats.version = record.version;
  stats.folded_version = record.folded_version;
  stats.incarnation = record.incarnation;
  stats.collections = record.collection_count;
  stats.durable_version = durable_version();
  stats.io_engine = "plain";
  EVE_ASSIGN_OR_RETURN(stats.file_bytes, core_.file.Size());
  EVE_ASSIGN_OR_RETURN(stats.disk_bytes, core_.file.DiskBytes());
  EVE_ASSIGN_OR_RETURN(
      const std::vector<AccountingRow> rows,
      ReadExactRows(core_.view, snapshot.record_offset(), core_.salt));
  for (const AccountingRow& row : rows) {
    stats.live_bytes += row.live_units * kUnitBytes;
    if (row.live_units > 0) stats.fill_bytes += row.fill_units * kUnitBytes;
  }
  stats.segments = rows.size();
  if (core_.table != nullptr) {
    stats.segments = core_.table->capacity();
    for (uint32_t i = 0; i < stats.segments; ++i) {
      switch (core_.table->Load(i).state()) {
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
  }
  if (core_.slots != nullptr) {
    AddCounters(core_, stats);
    stats.poisoned =
        core_.region.header().poison.load(std::memory_order_acquire) != 0;
  }
  AddPageSizes(core_, stats);
  return stats;
}

}  // namespace eve::internal
