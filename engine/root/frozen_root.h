// FrozenRoot: what a read-only domain shows that nobody had open to write: the
// newest durable root, protected by the readers' byte of the data file (P25).
// When somebody opens it to write the reader joins: pins of its own protect
// what its snapshots still show.
//
// Threads:    as said at each member.
// Processes:  this one's.
// Owns:       the pins of the roots that were shown.
// Lifetime:   shorter than the core's cells.
// Errors:     none.
// Cost:       of a domain that is not frozen, a load.
#ifndef EVE_ENGINE_ROOT_FROZEN_ROOT_H_
#define EVE_ENGINE_ROOT_FROZEN_ROOT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/root/pinned_root.h"

namespace eve {

// Looks out for those who come to write. Any thread.
class WriterLookout {
 public:
  virtual ~WriterLookout() = default;
  // Joins who has come, so that the core is not frozen any more. `also_idle`:
  // also who has committed nothing yet.
  virtual void Look(bool also_idle) = 0;
  // Nobody shows a frozen root any more. REQUIRES: the core is not frozen.
  virtual void DropPins() = 0;
  // Why it could not join at the last look; empty: it could, or nobody came.
  virtual std::string why_not() const = 0;
};

struct FrozenRoot {
  std::atomic<bool> is_current_word{false};
  // Of the commit record, and what the file has room for.
  std::atomic<uint64_t> record_units{0};
  std::atomic<uint64_t> version_word{0};
  std::atomic<uint64_t> segments_word{0};
  // Snapshots that show one (I23).
  std::atomic<uint64_t> uses{0};
  std::vector<PinnedRoot> pins;  // once it is not current; dropped once
  std::atomic<bool> are_pins_dropped{false};
  std::unique_ptr<WriterLookout> lookout;  // null in domains that may write

  // seq_cst, all: see Use(). Who sees that it is not current sees the region.
  bool is_current() const {
    return is_current_word.load(std::memory_order_seq_cst);
  }
  Offset record() const {
    return Offset{record_units.load(std::memory_order_seq_cst)};
  }
  uint64_t version() const {
    return version_word.load(std::memory_order_seq_cst);
  }
  uint64_t segments() const {
    return segments_word.load(std::memory_order_seq_cst);
  }

  // False: it is not current any more.
  bool Use() {
    // seq_cst, both: either who joins sees the count, or this that he has.
    uses.fetch_add(1, std::memory_order_seq_cst);
    if (is_current()) return true;
    EndUse();
    return false;
  }
  void EndUse() {
    // seq_cst: who drops the pins comes after every read through them.
    if (uses.fetch_sub(1, std::memory_order_seq_cst) == 1 && !is_current()) {
      lookout->DropPins();
    }
  }
};

}  // namespace eve

#endif  // EVE_ENGINE_ROOT_FROZEN_ROOT_H_
