// Page cache: whether what it has of a file is what the device has.
//
// After a failed flush the kernel counts pages as clean that the device never
// got, and drops none that somebody has mapped, whoever asks it to.
//
// Threads:    any.
// Processes:  others may read the file; if they write, nothing is told.
// Owns:       nothing beyond the call.
// Lifetime:   none.
// Errors:     of reading, as Status; kUnavailable: the device cannot read it.
// Cost:       of a whole file none after DropCache(), if nobody has it mapped
//             (before Linux 6.5: if no reader without a slot has it open). Else
//             asks the kernel which pages it has of what is asked about, and
//             reads those from cache and device.
#ifndef EVE_ENGINE_FILE_PAGE_CACHE_H_
#define EVE_ENGINE_FILE_PAGE_CACHE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/file/file.h"
#include "engine/file/io_ring.h"

namespace eve {

// Of the first `bytes`. True also where it cannot be told: on file systems
// without direct reads, as those in memory are, and without /proc. What waits
// to be written back counts as written: a direct read has the kernel do that
// first.
absl::StatusOr<bool> IsCacheOnDevice(const File& file, uint64_t bytes);
// The same of these bytes. REQUIRES: nobody writes to them meanwhile; to others
// in their pages they may. `device`: what OpenDirect() gave before, if
// anything; who has none, and may not open it now, is told true.
absl::StatusOr<bool> IsCacheOnDevice(const File& file,
                                     const std::vector<ByteRange>& ranges,
                                     const File* device = nullptr);

// Drops what can be dropped; what others have mapped stays. kFailedPrecondition
// if that is not what the device has. REQUIRES: the file was flushed.
absl::Status DropAndCheckCache(const File& file);

}  // namespace eve

#endif  // EVE_ENGINE_FILE_PAGE_CACHE_H_
