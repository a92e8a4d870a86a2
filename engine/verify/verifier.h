// VerifyDomain: proves a root of a domain sound, from the file alone.
//
// Shares no code with the engine beyond the format and the file layer, so that
// it cannot share the engine's mistakes. It checks that everything reachable
// from the root is well formed and where it belongs, that the accounting is
// right to the byte, and that each live segment holds exactly the blocks that
// were committed to it (their checksums and their 64-bit sums, P15). Damaged
// bytes give errors in the report; nothing in a file is trusted before it was
// checked.
//
// Threads:    may be called concurrently.
// Processes:  reads the file only. Other processes may write meanwhile if the
//             caller holds a pin on the root that it names.
// Owns:       nothing beyond the call.
// Lifetime:   `file` outlives the call.
// Errors:     kInvalidArgument: not a domain. kFailedPrecondition: a version
//             of the format that this build does not know. kOutOfRange: the
//             options name no place in the file. Others: reading failed before
//             anything could be verified. All other findings are in the report.
// Cost:       reads all live segments twice; 16 KiB of memory a segment.
#ifndef EVE_ENGINE_VERIFY_VERIFIER_H_
#define EVE_ENGINE_VERIFY_VERIFIER_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "engine/file/file.h"
#include "engine/verify/report.h"

namespace eve {

struct VerifyOptions {
  // Byte offset of the commit record to verify, pinned by the caller; 0: that
  // of the newest valid commit slot.
  uint64_t record_offset = 0;
  // Errors kept in the report; all are counted.
  size_t errors_kept = 100;
};

absl::StatusOr<VerifyReport> VerifyDomain(const File& file,
                                          const VerifyOptions& options = {});

}  // namespace eve

#endif  // EVE_ENGINE_VERIFY_VERIFIER_H_
