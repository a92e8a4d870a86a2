// Which file systems a domain may lie on.
//
// Threads:    any.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     kFailedPrecondition names the file system, or its type.
// Cost:       a system call.
#ifndef EVE_ENGINE_FILE_FILE_SYSTEM_H_
#define EVE_ENGINE_FILE_FILE_SYSTEM_H_

#include "absl/status/status.h"
#include "engine/file/file.h"

namespace eve {

// Refuses those whose lock bytes do not end with the process that holds them,
// or whose mappings do not show what other machines write: liveness and reuse
// rest on both. What is not known to be a machine's own may be such a one.
absl::Status CheckFileSystem(const File& file);

}  // namespace eve

#endif  // EVE_ENGINE_FILE_FILE_SYSTEM_H_
