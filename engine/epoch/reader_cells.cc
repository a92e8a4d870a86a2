#include "engine/epoch/reader_cells.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {
namespace {

constexpr uint32_t kCellsPerStep = kPageBytes / sizeof(ReaderCell);

// Processes to come that have the room of their first cells set aside: on a
// disk that is full none could join otherwise, to read or to erase.
constexpr uint32_t kProcessesAhead = 4;

// Where this thread found a cell last time: threads then seldom touch each
// other's lines.
thread_local uint32_t cell_hint = 0;
std::atomic<uint32_t> next_hint{0};
thread_local bool hint_drawn = false;

}  // namespace

ReaderCells::ReaderCells(const SharedRegion* region, const ProcessSlots* slots)
    : region_(region),
      slots_(slots),
      taken_(new std::atomic<uint8_t>[kCellsPerProcessMax] {}),
      last_seen_(new uint64_t[kCellsPerProcessMax]{}) {
  usable_.store(slots->own().cells_used.load(std::memory_order_acquire),
                std::memory_order_release);
}

absl::Status ReaderCells::Grow(uint32_t needed) {
  std::lock_guard lock(grow_mutex_);
  if (usable_.load(std::memory_order_acquire) >= needed) {
    return absl::OkStatus();
  }
  if (needed > kCellsPerProcessMax) {
    return absl::ResourceExhaustedError(
        absl::StrCat(region_->file().path(), ": this process holds ",
                     kCellsPerProcessMax, " snapshots; release some"));
  }
  EVE_RETURN_IF_ERROR(region_->EnsureCells(slots_->index(), needed));
  // A rebuilt region keeps the words of its former life.
  for (uint32_t cell = usable_.load(std::memory_order_relaxed); cell < needed;
       ++cell) {
    region_->cell(slots_->index(), cell)
        .word.store(kNoPin, std::memory_order_release);
  }
  EVE_STEP("cells.cleared");
  // seq_cst: a collector that starts after the first pin in a new cell must
  // scan it; pairs with the fence in ScanPins (I3).
  slots_->own().cells_used.store(needed, std::memory_order_seq_cst);
  EVE_STEP("cells.counted");
  usable_.store(needed, std::memory_order_release);
  SetAside(needed);
  return absl::OkStatus();
}

// Whoever has taken of it sets as much aside again, if there is room. Backed
// pages stay so: a slot that was used once, or set aside for, needs no more.
void ReaderCells::SetAside(uint32_t used_cells) const {
  const uint32_t own = std::min(used_cells + kCellsPerStep,
                                static_cast<uint32_t>(kCellsPerProcessMax));
  // Without it the next to need room will ask for it, and be told.
  region_->EnsureCells(slots_->index(), own).IgnoreError();
  EVE_STEP("cells.set_aside");
  const uint32_t used = slots_->used();
  const uint32_t end =
      std::min(used + kProcessesAhead, static_cast<uint32_t>(kProcessesMax));
  for (uint32_t process = used; process < end; ++process) {
    if (!region_->EnsureCells(process, kCellsPerStep).ok()) break;
  }
}

absl::StatusOr<uint32_t> ReaderCells::Acquire() {
  if (!hint_drawn) {
    cell_hint = next_hint.fetch_add(2, std::memory_order_relaxed);
    hint_drawn = true;
  }
  while (true) {
    const uint32_t usable = usable_.load(std::memory_order_acquire);
    uint32_t cell = cell_hint;
    for (uint32_t i = 0; i < usable; ++i, ++cell) {
      if (cell >= usable) cell %= usable;
      if (taken_[cell].load(std::memory_order_relaxed) == 0 &&
          taken_[cell].exchange(1, std::memory_order_acquire) == 0) {
        cell_hint = cell;
        return cell;
      }
    }
    EVE_RETURN_IF_ERROR(Grow(usable + kCellsPerStep));
  }
}

PinSet ScanPins(const SharedRegion& region, const ProcessSlots& slots,
                RangePinMemory& memory) {
  // Pairs with the exchange in BeginPin (I3): whoever pinned a root older than
  // the one this collector has read is seen by the loads below.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  PinSet pins;
  std::vector<RangePinMemory::Seen> ranges;
  std::vector<RangePinMemory::Seen> words;
  for (uint32_t process = 0; process < slots.used(); ++process) {
    words.clear();
    const uint32_t cells =
        region.process(process).cells_used.load(std::memory_order_seq_cst);
    for (uint32_t cell = 0; cell < cells; ++cell) {
      // acquire: pairs with Unpin (I4).
      const uint64_t word =
          region.cell(process, cell).word.load(std::memory_order_acquire);
      if (word != kNoPin) words.push_back({process, cell, word});
    }
    // After the cells: a slot that died and was claimed again in between
    // answers alive, and the stale words are honoured for once.
    if (words.empty() || !slots.IsAlive(process)) continue;
    for (const RangePinMemory::Seen& seen : words) {
      uint64_t word = seen.word;
      if (word == kRevokedPin) continue;
      if ((word & kRangePinBit) != 0) {
        const bool met_before =
            std::find(memory.seen.begin(), memory.seen.end(), seen) !=
            memory.seen.end();
        EVE_STEP("scan.range");
        if (met_before &&
            region.cell(process, seen.cell)
                .word.compare_exchange_strong(word, kRevokedPin,
                                              std::memory_order_seq_cst)) {
          slots.own().cells_revoked.fetch_add(1, std::memory_order_relaxed);
          continue;
        }
        // A failed swap means that it became exact or went away meanwhile:
        // `word` holds what it is now.
        if (word == kNoPin || word == kRevokedPin) continue;
        if ((word & kRangePinBit) != 0) {
          ranges.push_back({process, seen.cell, word});
          pins.range_low = std::min(pins.range_low, word & ~kRangePinBit);
          continue;
        }
      }
      pins.exact.push_back(word);
    }
  }
  memory.seen = std::move(ranges);
  std::sort(pins.exact.begin(), pins.exact.end());
  pins.exact.erase(std::unique(pins.exact.begin(), pins.exact.end()),
                   pins.exact.end());
  return pins;
}

}  // namespace eve
