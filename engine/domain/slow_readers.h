// SlowReaders: tells of pins that hold much garbage, and holds writers back
// when they hold too much. Both are off unless the options ask for them.
//
// Who writes or grows the file says that a look is wanted; whoever can afford
// it takes it: a reclaiming pass, or the next writer before its closure runs.
// A refused writer looks again each time, so the block ends with the pin that
// causes it, whoever is there to notice.
//
// Threads:    every method may be called concurrently. Looks are one at a time.
// Processes:  each follows its own options; the figures are those of all.
// Owns:       what it has told, by pin.
// Lifetime:   inside a DomainImpl, whose `survey` it calls.
// Errors:     a survey that fails is no reason to refuse a write.
// Cost:       off: one relaxed load a swap; on: a few. A look is O(segments +
//             unfolded commits), and the seldomer the larger the domain is.
#ifndef EVE_ENGINE_DOMAIN_SLOW_READERS_H_
#define EVE_ENGINE_DOMAIN_SLOW_READERS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/reclaim/holders.h"
#include "eve/options.h"

namespace eve::internal {

class SlowReaders {
 public:
  SlowReaders(const DomainOptions& options,
              std::function<absl::StatusOr<Survey>()> survey)
      : options_(options), survey_(std::move(survey)) {}

  bool is_on() const {
    return options_.max_pinned_bytes > 0 || options_.on_slow_reader != nullptr;
  }

  // Garbage may have been made, or the file grown for it.
  void WantLook();
  // This process has committed, as `own` counts: every so many commits and
  // bytes are a reason to look.
  void CountCommit(const ProcessSlot& own);
  // Measures anew.
  void LookNow();

  // kResourceExhausted if the pinned garbage is above the limit; names the
  // domain at `path` and the pin that holds most.
  absl::Status CheckPressure(const std::string& path) {
    if (state_.load(std::memory_order_relaxed) == 0) return absl::OkStatus();
    return LookAndCheck(path);
  }

  // Whether the last look found more than max_pinned_bytes.
  bool is_over_limit() const {
    return (state_.load(std::memory_order_relaxed) & kOverLimit) != 0;
  }

  // Calls back with what looks have found. Not inside a closure: the callback
  // may use the domain.
  void Deliver();

 private:
  // Bits of state_.
  static constexpr uint32_t kLookWanted = 1;
  static constexpr uint32_t kOverLimit = 2;

  // One pin, not the next in the same cell.
  using PinKey = std::tuple<uint32_t, uint64_t, uint32_t, uint64_t>;
  struct Told {
    PinKey pin;
    uint64_t bytes;
  };

  absl::Status LookAndCheck(const std::string& path);
  void Look();
  void FindReports(const Survey& survey);
  void FindBlame(const Survey& survey);
  bool CallBackWithAll();

  const DomainOptions& options_;
  const std::function<absl::StatusOr<Survey>()> survey_;
  std::atomic<uint32_t> state_{0};
  // Of this process at the last look that commits were the reason for.
  std::atomic<uint64_t> commits_seen_{0};
  std::atomic<uint64_t> bytes_seen_{0};
  std::atomic<uint64_t> segments_{0};  // how much a look has to read

  std::mutex look_mutex_;
  std::vector<Told> told_;
  std::string blame_;  // what a refused writer is told

  std::mutex reports_mutex_;
  std::vector<SlowReader> reports_;
  std::atomic<bool> has_reports_{false};
  std::atomic<bool> is_delivering_{false};
};

// The public form of a pin, `newest` being the newest version.
PinInfo DescribePin(const CellPin& pin, const PinHolding& holding,
                    uint64_t newest);

// Which reader holds most, for an error message; empty if there is none.
std::string DescribeLargestHolder(const Survey& survey);

}  // namespace eve::internal

#endif  // EVE_ENGINE_DOMAIN_SLOW_READERS_H_
