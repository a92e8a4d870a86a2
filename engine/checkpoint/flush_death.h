// A death inside a flush, and what it leaves. Recovery looks at it for the
// first opener (DiedInFailedFlush), a Checkpointer for a survivor (CheckDevice,
// in the same file as this).
//
// The kernel tells of a failed write-back once, to whoever flushes first, and
// takes the pages for clean from then on. If that process is killed before it
// notes what it was told, the next flush succeeds and says nothing of them. So
// after a death with a flush announced (RegionWords::pending) no flush is
// believed before what it was about has been compared with the device (P22);
// with its sums, too, as the cache may have dropped what was lost. Who is
// stopped before he notes it is as good as dead to those who come later.
// To write it again would not do: ext4 has such pages down as written, and does
// not convert the space below them.
//
// Threads:    any.
// Processes:  any; committed bytes do not change.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       a pass over the accounting here. The look that it serves reads
//             what is not durable yet from cache and device, and hashes it: as
//             much as a flush of it would write.
#ifndef EVE_ENGINE_CHECKPOINT_FLUSH_DEATH_H_
#define EVE_ENGINE_CHECKPOINT_FLUSH_DEATH_H_

#include <cstdint>
#include <vector>

#include "engine/file/io_ring.h"
#include "engine/file/shared_region.h"
#include "engine/format/accounting_row.h"

namespace eve {

// Announces a flush for the sake of no version in particular: it protects none
// that anybody needs.
inline constexpr uint64_t kNoVersion = 1;

// Whether somebody is in a flush, or died in one.
bool IsFlushAnnounced(const SharedRegion& region);

// What lives by `rows` and was not there by `before`.
std::vector<ByteRange> WrittenSince(const std::vector<AccountingRow>& before,
                                    const std::vector<AccountingRow>& rows);

}  // namespace eve

#endif  // EVE_ENGINE_CHECKPOINT_FLUSH_DEATH_H_
