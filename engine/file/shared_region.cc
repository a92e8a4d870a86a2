#include "engine/file/shared_region.h"

#include <algorithm>
#include <utility>

#include "util/align.h"
#include "util/status_macros.h"

namespace eve {

absl::StatusOr<SharedRegion> SharedRegion::Map(File lock_file, bool writable) {
  SharedRegion region;
  region.file_ = std::move(lock_file);
  if (writable) {
    EVE_RETURN_IF_ERROR(region.file_.Allocate(0, kSegmentStatesOffset));
  }
  EVE_ASSIGN_OR_RETURN(region.mapping_,
                       Mapping::Map(region.file_, kRegionBytes, kRegionBytes,
                                    writable ? Mapping::Access::kReadWrite
                                             : Mapping::Access::kReadOnly));
  return region;
}

absl::Status SharedRegion::ClearSegmentStates() const {
  EVE_ASSIGN_OR_RETURN(const uint64_t size, file_.Size());
  if (size <= kSegmentStatesOffset) return absl::OkStatus();
  const uint64_t end = std::min(size, kReaderCellsOffset);
  return file_.PunchHole(kSegmentStatesOffset, end - kSegmentStatesOffset);
}

absl::Status SharedRegion::EnsureSegmentStates(uint64_t segments) const {
  const uint64_t bytes = AlignUp(segments * sizeof(SharedWord), kPageBytes);
  return file_.Allocate(kSegmentStatesOffset, bytes);
}

absl::Status SharedRegion::EnsureCells(uint32_t process, uint32_t cells) const {
  const uint64_t first = kReaderCellsOffset + uint64_t{process} *
                                                  kCellsPerProcessMax *
                                                  sizeof(ReaderCell);
  return file_.Allocate(first, uint64_t{cells} * sizeof(ReaderCell));
}

}  // namespace eve
