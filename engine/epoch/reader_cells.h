// ReaderCells: the pins of this process, and the collector's scan of all pins.
//
// A cell's word is 0 (no pin), a range pin [lo, inf), an exact pin (a version)
// or the revoked mark. Pinning takes three steps:
//   1. BeginPin: store a range pin, with a full barrier;
//   2. the caller loads the root word and the version of its record;
//   3. FinishPin: compare-and-swap the range into the exact version. It fails
//      if a collector revoked the range (P1): start again at 1.
// A pin never moves (P2): snapshots that are shared share the cell.
//
// Threads:    a cell belongs to one pin at a time; Acquire and Release may be
//             called concurrently.
// Processes:  cells of dead processes are ignored; liveness is read after the
//             cell.
// Owns:       the in-process table of which cells are taken.
// Lifetime:   shorter than the region's.
// Errors:     kResourceExhausted when a process holds kCellsPerProcessMax pins.
// Cost:       a pin is one exchange and one compare-and-swap on a line that
//             nobody else writes; an unpin is one store.
#ifndef EVE_ENGINE_EPOCH_READER_CELLS_H_
#define EVE_ENGINE_EPOCH_READER_CELLS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/epoch/process_slots.h"
#include "engine/file/shared_region.h"
#include "util/failpoint.h"

namespace eve {

inline constexpr uint64_t kNoPin = 0;
inline constexpr uint64_t kRangePinBit = uint64_t{1} << 63;
inline constexpr uint64_t kRevokedPin = uint64_t{1} << 62;

class ReaderCells {
 public:
  ReaderCells(const SharedRegion* region, const ProcessSlots* slots);

  // A free cell of this process.
  absl::StatusOr<uint32_t> Acquire();
  // REQUIRES: the cell holds no pin.
  void Release(uint32_t cell) {
    // release: the next taker sees last_seen_.
    taken_[cell].store(0, std::memory_order_release);
  }

  // Step 1.
  void BeginPin(uint32_t cell) {
    // seq_cst exchange: the root load that follows cannot pass this store;
    // pairs with the fence in ScanPins (I3).
    Word(cell).exchange(kRangePinBit | last_seen_[cell],
                        std::memory_order_seq_cst);
  }
  // Whether what was loaded since step 1 can be believed so far: the range was
  // not revoked.
  bool IsBegun(uint32_t cell) {
    // seq_cst: not before what the caller has loaded.
    return Word(cell).load(std::memory_order_seq_cst) ==
           (kRangePinBit | last_seen_[cell]);
  }
  // Step 3. False: the range was revoked, begin again.
  bool FinishPin(uint32_t cell, uint64_t version) {
    uint64_t expected = kRangePinBit | last_seen_[cell];
    if (!Word(cell).compare_exchange_strong(expected, version,
                                            std::memory_order_seq_cst)) {
      return false;
    }
    last_seen_[cell] = version;
    return true;
  }
  void Unpin(uint32_t cell) {
    // release: every read through the pin is done before the collector can see
    // it gone; pairs with the acquire loads in ScanPins (I4).
    Word(cell).store(kNoPin, std::memory_order_release);
    EVE_STEP("pin.dropped");
  }

 private:
  SharedWord& Word(uint32_t cell) {
    return region_->cell(slots_->index(), cell).word;
  }
  absl::Status Grow(uint32_t needed);
  // Room on the disk for a step more of these, and for processes to come.
  void SetAside(uint32_t used_cells) const;

  const SharedRegion* region_;
  const ProcessSlots* slots_;
  std::unique_ptr<std::atomic<uint8_t>[]> taken_;
  std::unique_ptr<uint64_t[]> last_seen_;  // owned with the cell
  std::atomic<uint32_t> usable_{0};        // cells below this are backed
  std::mutex grow_mutex_;
};

// What a scan met. Range pins protect everything that dies after `range_low`.
struct PinSet {
  std::vector<uint64_t> exact;  // sorted, unique
  uint64_t range_low = UINT64_MAX;
};

// Remembers the range pins that the previous scan met, so that the second
// meeting revokes them (P1). One per collector.
struct RangePinMemory {
  struct Seen {
    uint32_t process;
    uint32_t cell;
    uint64_t word;
    friend bool operator==(const Seen&, const Seen&) = default;
  };
  std::vector<Seen> seen;
};

// Collects the pins of all live processes. REQUIRES: the caller has read the
// root, the segment states and the accounting that it will judge (P6).
PinSet ScanPins(const SharedRegion& region, const ProcessSlots& slots,
                RangePinMemory& memory);

}  // namespace eve

#endif  // EVE_ENGINE_EPOCH_READER_CELLS_H_
