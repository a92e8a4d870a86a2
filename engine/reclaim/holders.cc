#include "engine/reclaim/holders.h"

#include <algorithm>
#include <tuple>

#include "engine/file/file_lock.h"
#include "engine/root/accounting.h"
#include "engine/txn/snapshot_impl.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// An exact pin, by where it stands in the list of processes.
struct SortedPin {
  uint64_t version;
  size_t process;
  size_t pin;
};

class Attribution {
 public:
  Attribution(const std::vector<AttachedProcess>& processes,
              const std::vector<uint64_t>& durable, bool has_unpinned_reader,
              Holdings& holdings)
      : durable_(durable),
        has_unpinned_reader_(has_unpinned_reader),
        holdings_(holdings) {
    holdings_.pins.resize(processes.size());
    holdings_.alone_bytes.resize(processes.size());
    for (size_t i = 0; i < processes.size(); ++i) {
      holdings_.pins[i].resize(processes[i].pins.size());
      for (size_t k = 0; k < processes[i].pins.size(); ++k) {
        const CellPin& pin = processes[i].pins[k];
        (pin.is_range ? ranges_ : exact_).push_back({pin.version, i, k});
      }
    }
    std::sort(exact_.begin(), exact_.end(),
              [](const SortedPin& a, const SortedPin& b) {
                return std::tie(a.version, a.process, a.pin) <
                       std::tie(b.version, b.process, b.pin);
              });
    held_steps_.resize(exact_.size() + 1);
    same_process_until_.resize(exact_.size());
    for (size_t i = exact_.size(); i-- > 0;) {
      const bool goes_on =
          i + 1 < exact_.size() && exact_[i + 1].process == exact_[i].process;
      same_process_until_[i] = goes_on ? same_process_until_[i + 1] : i + 1;
    }
  }

  void Add(const AccountingRow& row) {
    const uint64_t bytes = uint64_t{row.fill_units} * kUnitBytes;
    // The pins in [birth, death) stand side by side.
    const size_t first = FirstAtOrAbove(row.birth);
    const size_t end = std::max(first, FirstAtOrAbove(row.death));
    const bool is_durable = HoldsDurable(row);
    for (const SortedPin& range : ranges_) {
      if (range.version < row.death) HoldingOf(range).held_bytes += bytes;
    }
    if (first == end && !has_unpinned_reader_) {
      (is_durable ? holdings_.durable_held_bytes : holdings_.loose_bytes) +=
          bytes;
      return;
    }
    holdings_.pinned_bytes += bytes;
    if (first == end) return;
    held_steps_[first] += bytes;
    held_steps_[end] -= bytes;
    if (is_durable || has_unpinned_reader_) return;
    if (end - first == 1) HoldingOf(exact_[first]).alone_bytes += bytes;
    if (same_process_until_[first] >= end) {
      holdings_.alone_bytes[exact_[first].process] += bytes;
    }
  }

  void Finish() {
    uint64_t held = 0;  // a sum of steps that wrap around
    for (size_t i = 0; i < exact_.size(); ++i) {
      held += held_steps_[i];
      HoldingOf(exact_[i]).held_bytes = held;
    }
  }

 private:
  size_t FirstAtOrAbove(uint64_t version) const {
    const auto at = std::lower_bound(
        exact_.begin(), exact_.end(), version,
        [](const SortedPin& pin, uint64_t v) { return pin.version < v; });
    return static_cast<size_t>(at - exact_.begin());
  }
  bool HoldsDurable(const AccountingRow& row) const {
    const auto at =
        std::lower_bound(durable_.begin(), durable_.end(), row.birth);
    return at != durable_.end() && *at < row.death;
  }
  PinHolding& HoldingOf(const SortedPin& pin) {
    return holdings_.pins[pin.process][pin.pin];
  }

  const std::vector<uint64_t>& durable_;
  const bool has_unpinned_reader_;
  Holdings& holdings_;
  std::vector<SortedPin> exact_;
  std::vector<SortedPin> ranges_;
  // What the pins hold, as differences to the pin before.
  std::vector<uint64_t> held_steps_;
  std::vector<size_t> same_process_until_;
};

std::vector<SegmentWord> ReadSegmentWords(const Core& core) {
  // Read-only domains have no table of their own.
  const SegmentTable table(&core.region, core.slots.get(),
                           /*mapped_segments=*/0);
  std::vector<SegmentWord> words(table.capacity());
  for (uint32_t i = 0; i < words.size(); ++i) words[i] = table.Load(i);
  return words;
}

}  // namespace

Holdings WhoHolds(const std::vector<AccountingRow>& dead,
                  const std::vector<AttachedProcess>& processes,
                  const std::vector<uint64_t>& durable,
                  bool has_unpinned_reader) {
  Holdings holdings;
  Attribution attribution(processes, durable, has_unpinned_reader, holdings);
  for (const AccountingRow& row : dead) attribution.Add(row);
  attribution.Finish();
  return holdings;
}

bool Survey::IsDead(uint32_t segment) const {
  const AccountingRow& row = rows[segment];
  return segment < words.size() &&
         words[segment].state() == SegmentState::kSealed &&
         row.live_units == 0 && row.fill_units > 0;
}

absl::StatusOr<Survey> TakeSurvey(
    Core& core, const std::function<std::vector<uint64_t>()>& read_durable) {
  Survey survey;
  if (core.is_frozen()) core.frozen.lookout->Look(/*also_idle=*/true);
  // Once more if somebody comes meanwhile, and not twice: nobody is frozen
  // again.
  bool is_done = false;
  while (!is_done) {
    // No region, or nobody in it.
    survey.is_frozen = core.is_frozen();
    if (!survey.is_frozen) survey.words = ReadSegmentWords(core);
    internal::SnapshotImpl snapshot(nullptr, &core);
    EVE_RETURN_IF_ERROR(snapshot.Take());
    is_done = snapshot.is_of_frozen() == survey.is_frozen;
    survey.record = snapshot.record();
    EVE_ASSIGN_OR_RETURN(
        survey.rows,
        ReadExactRows(core.FileView(), snapshot.record_offset(), core.salt));
  }  // so that the pins below are those of others
  EVE_ASSIGN_OR_RETURN(
      survey.has_unpinned_reader,
      IsRangeLockedByOther(core.file, kUnpinnedReadersLockByte, 1));
  survey.is_unpinned_reader = survey.is_frozen || core.slots == nullptr;
  if (survey.is_frozen) return survey;
  const ProcessSlots nobody(&core.region);
  survey.processes =
      ListAttached(core.region, core.slots != nullptr ? *core.slots : nobody);
  survey.counters = SumCounters(core.region);
  std::vector<AccountingRow> dead;
  for (uint32_t i = 0; i < survey.rows.size(); ++i) {
    if (survey.IsDead(i)) dead.push_back(survey.rows[i]);
  }
  survey.holdings =
      WhoHolds(dead, survey.processes, read_durable(),
               survey.has_unpinned_reader || survey.is_unpinned_reader);
  return survey;
}

}  // namespace eve
