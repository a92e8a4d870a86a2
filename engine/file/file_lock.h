// OFD byte locks: who opens, who is alive, who writes a commit slot.
//
// Threads:    OFD locks do not exclude threads of one process: an in-process
//             table stands above every byte that threads could fight for.
// Processes:  the kernel drops a lock when the last descriptor of its open file
//             description closes, which at the latest is the process's death.
// Owns:       nothing; a lock belongs to the File.
// Lifetime:   until Unlock, or until the File closes.
// Errors:     absl::Status from errno.
// Cost:       one system call.
#ifndef EVE_ENGINE_FILE_FILE_LOCK_H_
#define EVE_ENGINE_FILE_FILE_LOCK_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/file/file.h"

namespace eve {

enum class LockKind { kShared, kExclusive };

// True: taken. False: somebody else holds a lock that excludes it.
absl::StatusOr<bool> TryLockByte(const File& file, uint64_t byte,
                                 LockKind kind);

// Who holds a lock on any of the bytes, for people: "process 17 (name)",
// several of them, or "another process", if this one may not look into it or it
// is in another PID namespace. The kernel tells nobody whose an OFD lock is
// (F_OFD_GETLK says -1), but shows the locks of each descriptor in
// /proc/PID/fdinfo. Cost: reads much of /proc, some ten ms.
std::string DescribeHolders(const File& file, uint64_t first,
                            uint64_t count = 1);

// Polls until taken. kDeadlineExceeded names the process that holds it, if
// DescribeHolders can.
absl::Status LockByte(const File& file, uint64_t byte, LockKind kind,
                      absl::Duration timeout);

void UnlockByte(const File& file, uint64_t byte);

// Whether another open file description holds any lock in the range. One's own
// locks do not show (P-Fences: own liveness is known by definition).
absl::StatusOr<bool> IsRangeLockedByOther(const File& file, uint64_t first,
                                          uint64_t count);

}  // namespace eve

#endif  // EVE_ENGINE_FILE_FILE_LOCK_H_
