// Snapshot: an immutable, pinned version of the whole domain.
//
// Threads:    may be used by any thread, and by several at once.
// Processes:  pins what this version can see, in all processes, until the last
//             copy dies. A forked child has no part in that: by an inherited
//             one it finds nothing, and status() says why; readers and cursors
//             of before the fork may show anything there.
// Owns:       one pin, shared by all copies; keeps the domain open.
// Lifetime:   every Bytes read through it is valid while a copy of it lives.
// Errors:     status() becomes kDataLoss when a read met damaged bytes, and
//             kFailedPrecondition in a forked child.
// Cost:       Domain::Now() is an allocation and a pin; copying counts a
//             reference; nothing that writers do makes a snapshot slower.
#ifndef EVE_SNAPSHOT_H_
#define EVE_SNAPSHOT_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"

namespace eve {

namespace internal {
class SnapshotImpl;
}  // namespace internal

class Snapshot {
 public:
  // The version that it shows. Versions grow by one with every commit.
  uint64_t version() const;
  absl::Status status() const;

  // For the verifier: where the commit record of this version lies.
  uint64_t internal_record_offset() const;

  // For collection handles.
  const internal::SnapshotImpl& impl() const { return *impl_; }
  explicit Snapshot(std::shared_ptr<const internal::SnapshotImpl> impl)
      : impl_(std::move(impl)) {}

 private:
  std::shared_ptr<const internal::SnapshotImpl> impl_;
};

}  // namespace eve

#endif  // EVE_SNAPSHOT_H_
