#include "engine/domain/slow_readers.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "util/failpoint.h"

namespace eve::internal {
namespace {

// What this process may write between two looks. A look reads 40 bytes and more
// a segment, so in a large domain they are further apart: a commit for each
// sixteen segments, so that each bears some hundred nanoseconds of a look.
constexpr uint64_t kBytesPerLook = 16 << 20;
constexpr uint64_t kCommitsPerLook = 256;
constexpr uint64_t kBytesPerSegment = 128;
constexpr uint64_t kSegmentsPerCommit = 16;

}  // namespace

PinInfo DescribePin(const CellPin& pin, const PinHolding& holding,
                    uint64_t newest) {
  PinInfo info;
  info.cell = pin.cell;
  info.version = pin.version;
  info.lag = newest - std::min(newest, pin.version);
  info.held_bytes = holding.held_bytes;
  info.alone_bytes = holding.alone_bytes;
  info.is_range = pin.is_range;
  return info;
}

std::string DescribeLargestHolder(const Survey& survey) {
  if (survey.has_unpinned_reader) {
    return "a reader without a process slot (it may not write the lock file, "
           "or "
           "came before all writers and has read nothing since) holds all of "
           "it";
  }
  const AttachedProcess* process = nullptr;
  PinInfo most;
  for (size_t i = 0; i < survey.processes.size(); ++i) {
    for (size_t k = 0; k < survey.processes[i].pins.size(); ++k) {
      const CellPin& pin = survey.processes[i].pins[k];
      const PinInfo info =
          DescribePin(pin, survey.holdings.pins[i][k], survey.record.version);
      if (pin.is_range) continue;
      // Of two that hold the same the older one is further from letting go.
      if (process == nullptr || info.held_bytes > most.held_bytes ||
          (info.held_bytes == most.held_bytes && info.version < most.version)) {
        process = &survey.processes[i];
        most = info;
      }
    }
  }
  // No exact pin: nothing is pinned.
  if (process == nullptr) return "";
  return absl::StrCat("most is held by pid ", process->pid,
                      process->is_self ? " (this process)" : "", ", slot ",
                      process->slot, ": its pin on version ", most.version,
                      " is ", most.lag, " behind and holds ", most.held_bytes,
                      " bytes, ", most.alone_bytes, " of them alone");
}

void SlowReaders::WantLook() {
  if (!is_on()) return;
  state_.fetch_or(kLookWanted, std::memory_order_relaxed);
}

void SlowReaders::CountCommit(const ProcessSlot& own) {
  if (!is_on()) return;
  const uint64_t commits = own.commits.load(std::memory_order_relaxed);
  const uint64_t bytes = own.bytes_committed.load(std::memory_order_relaxed);
  const uint64_t segments = segments_.load(std::memory_order_relaxed);
  // Two threads that get here at once want the same look.
  if (commits - commits_seen_.load(std::memory_order_relaxed) <
          std::max(kCommitsPerLook, segments / kSegmentsPerCommit) &&
      bytes - bytes_seen_.load(std::memory_order_relaxed) <
          std::max(kBytesPerLook, segments * kBytesPerSegment)) {
    return;
  }
  commits_seen_.store(commits, std::memory_order_relaxed);
  bytes_seen_.store(bytes, std::memory_order_relaxed);
  WantLook();
}

void SlowReaders::LookNow() {
  if (!is_on()) return;
  std::lock_guard lock(look_mutex_);
  Look();
}

absl::Status SlowReaders::LookAndCheck(const std::string& path) {
  // Without a limit this is for the callback alone, which the background
  // thread looks for.
  if (options_.max_pinned_bytes == 0 && options_.background) {
    return absl::OkStatus();
  }
  std::lock_guard lock(look_mutex_);
  if (state_.load(std::memory_order_relaxed) != 0) Look();
  if ((state_.load(std::memory_order_relaxed) & kOverLimit) == 0) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(absl::StrCat(path, ": ", blame_));
}

void SlowReaders::Look() {
  // Before measuring: what is made meanwhile is a reason for the next look.
  state_.fetch_and(~kLookWanted, std::memory_order_relaxed);
  const absl::StatusOr<Survey> survey = survey_();
  EVE_STEP("slow_readers.surveyed");
  if (!survey.ok()) {
    // Met again, and reported, by whoever reads the accounting for a purpose.
    state_.fetch_and(~kOverLimit, std::memory_order_relaxed);
    return;
  }
  segments_.store(survey->rows.size(), std::memory_order_relaxed);
  if (options_.on_slow_reader != nullptr) FindReports(*survey);
  if (options_.max_pinned_bytes > 0 &&
      survey->holdings.pinned_bytes > options_.max_pinned_bytes) {
    FindBlame(*survey);
    state_.fetch_or(kOverLimit, std::memory_order_relaxed);
  } else {
    state_.fetch_and(~kOverLimit, std::memory_order_relaxed);
  }
}

void SlowReaders::FindReports(const Survey& survey) {
  std::vector<Told> still;  // forgets the pins that are gone
  std::vector<SlowReader> found;
  for (size_t i = 0; i < survey.processes.size(); ++i) {
    const AttachedProcess& process = survey.processes[i];
    for (size_t k = 0; k < process.pins.size(); ++k) {
      const CellPin& pin = process.pins[k];
      const PinHolding& holding = survey.holdings.pins[i][k];
      if (pin.is_range) continue;
      const PinKey key{process.slot, process.generation, pin.cell, pin.version};
      const auto before =
          std::find_if(told_.begin(), told_.end(),
                       [&](const Told& told) { return told.pin == key; });
      const bool is_told = before != told_.end();
      const bool is_slow = holding.alone_bytes > options_.slow_reader_bytes;
      if (!is_slow || (is_told && holding.alone_bytes / 2 < before->bytes)) {
        if (is_told) still.push_back(*before);
        continue;
      }
      still.push_back(Told{key, holding.alone_bytes});
      found.push_back(
          SlowReader{process.slot, process.pid, process.is_self,
                     DescribePin(pin, holding, survey.record.version)});
    }
  }
  told_ = std::move(still);
  if (found.empty()) return;
  std::lock_guard lock(reports_mutex_);
  reports_.insert(reports_.end(), found.begin(), found.end());
  has_reports_.store(true, std::memory_order_release);
}

void SlowReaders::FindBlame(const Survey& survey) {
  blame_ = absl::StrCat(
      "readers keep ", survey.holdings.pinned_bytes,
      " bytes of garbage from being reused, and max_pinned_bytes is ",
      options_.max_pinned_bytes, "; ", DescribeLargestHolder(survey));
}

void SlowReaders::Deliver() {
  // Until the queue is empty after the mark is gone: a report that came while
  // another thread was about to leave would wait for the next one.
  while (has_reports_.load(std::memory_order_acquire) &&
         !is_delivering_.exchange(true, std::memory_order_acq_rel)) {
    while (CallBackWithAll()) {
    }
    is_delivering_.store(false, std::memory_order_release);
  }
}

bool SlowReaders::CallBackWithAll() {
  std::vector<SlowReader> taken;
  {
    std::lock_guard lock(reports_mutex_);
    taken.swap(reports_);
    has_reports_.store(false, std::memory_order_release);
  }
  for (const SlowReader& reader : taken) options_.on_slow_reader(reader);
  return !taken.empty();
}

}  // namespace eve::internal
