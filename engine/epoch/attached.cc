#include "engine/epoch/attached.h"

#include <algorithm>
#include <optional>

#include "engine/epoch/reader_cells.h"

namespace eve {
namespace {

// Looks at a slot whose owner changes while it is read.
constexpr int kLooksMax = 4;

struct CounterField {
  uint64_t SlotCounters::*copy;
  SharedWord ProcessSlot::*word;
};
constexpr CounterField kCounterFields[] = {
    {&SlotCounters::commits, &ProcessSlot::commits},
    {&SlotCounters::conflicts, &ProcessSlot::conflicts},
    {&SlotCounters::restamps, &ProcessSlot::restamps},
    {&SlotCounters::folds, &ProcessSlot::folds},
    {&SlotCounters::segments_claimed, &ProcessSlot::segments_claimed},
    {&SlotCounters::segments_freed, &ProcessSlot::segments_freed},
    {&SlotCounters::checkpoints, &ProcessSlot::checkpoints},
    {&SlotCounters::bytes_committed, &ProcessSlot::bytes_committed},
    {&SlotCounters::cells_revoked, &ProcessSlot::cells_revoked},
    {&SlotCounters::blocks_moved, &ProcessSlot::blocks_moved},
    {&SlotCounters::bytes_moved, &ProcessSlot::bytes_moved},
    {&SlotCounters::bytes_punched, &ProcessSlot::bytes_punched},
    {&SlotCounters::turns, &ProcessSlot::turns},
    {&SlotCounters::waits, &ProcessSlot::waits},
};
static_assert(sizeof(SlotCounters) ==
                  std::size(kCounterFields) * sizeof(uint64_t),
              "every counter is copied");

SlotCounters ReadCounters(const ProcessSlot& slot) {
  SlotCounters counters;
  for (const CounterField& field : kCounterFields) {
    counters.*field.copy = (slot.*field.word).load(std::memory_order_relaxed);
  }
  return counters;
}

uint32_t SlotsUsed(const SharedRegion& region) {
  return std::min(region.words().processes_used.load(std::memory_order_acquire),
                  kProcessesMax);
}

std::vector<CellPin> ReadPins(const SharedRegion& region, uint32_t slot) {
  std::vector<CellPin> pins;
  const uint32_t cells =
      std::min(region.process(slot).cells_used.load(std::memory_order_acquire),
               kCellsPerProcessMax);
  for (uint32_t cell = 0; cell < cells; ++cell) {
    const uint64_t word =
        region.cell(slot, cell).word.load(std::memory_order_acquire);
    if (word == kNoPin || word == kRevokedPin) continue;
    pins.push_back(
        CellPin{cell, word & ~kRangePinBit, (word & kRangePinBit) != 0});
  }
  return pins;
}

std::optional<AttachedProcess> ReadProcess(const SharedRegion& region,
                                           const ProcessSlots& slots,
                                           uint32_t slot) {
  for (int look = 0; look < kLooksMax; ++look) {
    const ProcessSlot& words = region.process(slot);
    AttachedProcess process;
    process.slot = slot;
    process.generation = words.generation.load(std::memory_order_acquire);
    process.pid = words.pid.load(std::memory_order_relaxed);
    process.is_self = slots.claimed() && slots.index() == slot;
    process.pins = ReadPins(region, slot);
    process.counters = ReadCounters(words);
    // Liveness after the words that it judges; the generation last, so that
    // all of it is one process's.
    if (!slots.IsAlive(slot)) return std::nullopt;
    if (words.generation.load(std::memory_order_acquire) ==
        process.generation) {
      return process;
    }
  }
  return std::nullopt;
}

}  // namespace

SlotCounters& SlotCounters::operator+=(const SlotCounters& other) {
  for (const CounterField& field : kCounterFields) {
    this->*field.copy += other.*field.copy;
  }
  return *this;
}

std::vector<AttachedProcess> ListAttached(const SharedRegion& region,
                                          const ProcessSlots& slots) {
  std::vector<AttachedProcess> attached;
  const uint32_t used = SlotsUsed(region);
  for (uint32_t slot = 0; slot < used; ++slot) {
    std::optional<AttachedProcess> process = ReadProcess(region, slots, slot);
    if (process.has_value()) attached.push_back(*std::move(process));
  }
  return attached;
}

SlotCounters SumCounters(const SharedRegion& region) {
  SlotCounters sum;
  const uint32_t used = SlotsUsed(region);
  for (uint32_t slot = 0; slot < used; ++slot) {
    sum += ReadCounters(region.process(slot));
  }
  return sum;
}

void ClearCounters(const SharedRegion& region) {
  region.words().replays.store(0, std::memory_order_relaxed);
  for (uint32_t slot = 0; slot < kProcessesMax; ++slot) {
    for (const CounterField& field : kCounterFields) {
      (region.process(slot).*field.word).store(0, std::memory_order_relaxed);
    }
  }
}

}  // namespace eve
