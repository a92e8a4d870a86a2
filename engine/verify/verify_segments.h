// Compares the accounting of each segment with what is in it.
//
// Threads:    one at a time.
// Processes:  the root is pinned, or nobody writes.
// Owns:       nothing.
// Lifetime:   within one VerifyDomain().
// Errors:     into the log.
// Cost:       reads every segment that holds anything live, front to back.
#ifndef EVE_ENGINE_VERIFY_VERIFY_SEGMENTS_H_
#define EVE_ENGINE_VERIFY_VERIFY_SEGMENTS_H_

#include <cstdint>
#include <vector>

#include "engine/format/accounting_row.h"
#include "engine/verify/block_reader.h"
#include "engine/verify/reach_map.h"

namespace eve::verify {

// REQUIRES: all that the root reaches was marked in `reach`.
void CheckSegments(const std::vector<AccountingRow>& rows, uint64_t version,
                   const ReachMap& reach, BlockReader& reader, ErrorLog& log,
                   VerifyReport& report);

}  // namespace eve::verify

#endif  // EVE_ENGINE_VERIFY_VERIFY_SEGMENTS_H_
