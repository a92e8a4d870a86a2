// SnapshotImpl: what the copies of a Snapshot share: one pin.
//
// Threads:    immutable but for the damage mark, which is atomic.
// Processes:  the pin is seen by all collectors.
// Owns:       the pin, and a reference that keeps the domain open.
// Lifetime:   in a forked child it lets go of nothing shared.
// Errors:     none.
// Cost:       none.
#ifndef EVE_ENGINE_TXN_SNAPSHOT_IMPL_H_
#define EVE_ENGINE_TXN_SNAPSHOT_IMPL_H_

#include <atomic>
#include <memory>

#include "absl/status/statusor.h"
#include "engine/root/pinned_root.h"
#include "engine/txn/core.h"
#include "eve/internal/map_access.h"

namespace eve::internal {

class SnapshotImpl {
 public:
  // `keep_open` is what keeps `core` alive.
  SnapshotImpl(std::shared_ptr<void> keep_open, Core* core)
      : keep_open_(std::move(keep_open)), core_(core) {}
  ~SnapshotImpl();

  // Pins the newest version, or takes the frozen root of a read-only domain
  // that nobody has come to write. Once.
  absl::Status Take();

  const Core& core() const { return *core_; }
  Offset record_offset() const { return record_offset_; }
  const CommitRecord& record() const { return *record_; }
  void MarkDamaged() const { damaged_ = true; }
  bool damaged() const { return damaged_; }
  bool is_of_frozen() const { return is_of_frozen_; }
  absl::Status status() const;

 private:
  absl::Status ReadAt(Offset record);

  std::shared_ptr<void> keep_open_;
  Core* core_;
  PinnedRoot pin_;
  bool is_of_frozen_ = false;
  Offset record_offset_;
  const CommitRecord* record_ = nullptr;
  mutable std::atomic<bool> damaged_{false};
};

// The map of `ref` as `record` shows it; empty if it is not there.
MapView ViewAt(const Core& core, const CommitRecord& record,
               const CollectionRef& ref, const SnapshotImpl* snapshot);

}  // namespace eve::internal

#endif  // EVE_ENGINE_TXN_SNAPSHOT_IMPL_H_
