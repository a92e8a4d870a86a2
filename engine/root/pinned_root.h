// PinnedRoot: a commit record that cannot be reused while this object lives.
//
// Threads:    move it to whoever needs it; one owner at a time.
// Processes:  the pin is seen by the collectors of all processes, and is
//             ignored as soon as this process is dead.
// Owns:       one reader cell.
// Lifetime:   shorter than the ReaderCells'. In a forked child, call Abandon().
// Errors:     kResourceExhausted: no cell. kUnavailable: the newest commit lies
//             beyond what this process could map; kDataLoss: it is no record.
// Cost:       an exchange, two loads and a compare-and-swap.
#ifndef EVE_ENGINE_ROOT_PINNED_ROOT_H_
#define EVE_ENGINE_ROOT_PINNED_ROOT_H_

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/epoch/reader_cells.h"
#include "engine/file/block_view.h"
#include "engine/format/commit_record.h"
#include "engine/root/root_slot.h"

namespace eve {

class PinnedRoot {
 public:
  PinnedRoot() = default;
  PinnedRoot(PinnedRoot&& other) noexcept { *this = std::move(other); }
  PinnedRoot& operator=(PinnedRoot&& other) noexcept {
    std::swap(cells_, other.cells_);
    std::swap(cell_, other.cell_);
    std::swap(offset_, other.offset_);
    std::swap(record_, other.record_);
    return *this;
  }
  ~PinnedRoot() { Reset(); }

  // Pins the newest commit. `view` is all that this process has mapped.
  static absl::StatusOr<PinnedRoot> PinNewest(const RootSlot& root,
                                              ReaderCells* cells,
                                              const BlockView& view);

  // Pins the commit whose record is there. REQUIRES: nobody can free anything
  // of it until this returns.
  static absl::StatusOr<PinnedRoot> PinKept(ReaderCells* cells,
                                            const BlockView& view,
                                            Offset record);

  // Pins that version, of which `record` is the commit record, and looks at
  // nothing of it. The pin holds only if afterwards that version is one of the
  // two newest durable ones: what may have been that while they scanned pins,
  // collectors leave alone (P6).
  static absl::StatusOr<PinnedRoot> PinVersion(ReaderCells* cells,
                                               const BlockView& view,
                                               Offset record, uint64_t version);

  Offset offset() const { return offset_; }
  const CommitRecord& record() const { return *record_; }
  uint64_t version() const { return record_->version; }
  bool is_pinned() const { return record_ != nullptr; }

  void Reset();
  // Forgets the pin without touching shared memory.
  void Abandon() {
    cells_ = nullptr;
    record_ = nullptr;
  }

 private:
  ReaderCells* cells_ = nullptr;
  uint32_t cell_ = 0;
  Offset offset_;
  const CommitRecord* record_ = nullptr;
};

}  // namespace eve

#endif  // EVE_ENGINE_ROOT_PINNED_ROOT_H_
