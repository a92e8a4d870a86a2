// RescueScan: blocks that verify, wherever they lie.
//
// Threads:    one.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   the file outlives it.
// Errors:     what does not verify is stepped over, 16 bytes at a time.
// Cost:       reads the file once.
#ifndef EVE_ENGINE_VERIFY_RESCUE_SCAN_H_
#define EVE_ENGINE_VERIFY_RESCUE_SCAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "engine/file/file.h"
#include "engine/format/accounting_row.h"
#include "engine/verify/rescue_walk.h"

namespace eve::verify {

// All bytes of a segment; zeroes where they cannot be read, or where the file
// has ended.
std::string ReadSegment(const File& file, uint64_t file_bytes,
                        uint32_t segment);

// Calls `found` for each, in the order in which their segments began to be
// filled, as far as `rows` say; empty: nothing is known of that. A segment that
// has nothing live, by them, is left out. `stop` of found: false ends the scan.
void ScanBlocks(const RescueContext& context,
                const std::vector<AccountingRow>& rows,
                absl::FunctionRef<bool(const WholeBlock&)> found);

}  // namespace eve::verify

#endif  // EVE_ENGINE_VERIFY_RESCUE_SCAN_H_
