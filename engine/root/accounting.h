// Accounting: how much of each segment is live at a commit, exactly.
//
// The accounting vector that a record names covers all commits up to its
// folded_version; the deltas of the records after that are applied on top.
//
// Threads:    pure functions on immutable blocks.
// Processes:  same result everywhere.
// Owns:       nothing.
// Lifetime:   the record must be pinned: that protects its chain (P8).
// Errors:     kDataLoss with the offset: a record or vector node that is none,
//             a checksum that failed, more retired than was live.
// Cost:       O(segments + unfolded commits).
#ifndef EVE_ENGINE_ROOT_ACCOUNTING_H_
#define EVE_ENGINE_ROOT_ACCOUNTING_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/file/block_view.h"
#include "engine/format/accounting_row.h"
#include "engine/format/commit_record.h"

namespace eve {

// A record of the chain, checked.
struct ChainRecord {
  Offset offset;
  const CommitRecord* record = nullptr;
  uint64_t hash = 0;  // BlockHash of the record
};

// The deltas of a record: of its list (if it spilled), its data, its catalog.
struct RecordDeltas {
  absl::Span<const Delta> spilled;
  absl::Span<const Delta> data;
  absl::Span<const Delta> catalog;
  Offset spill;
  uint64_t spill_hash = 0;
  uint64_t spill_units = 0;
};

absl::StatusOr<ChainRecord> ReadRecord(const BlockView& view, Offset offset,
                                       uint64_t salt);
absl::StatusOr<RecordDeltas> ReadDeltas(const BlockView& view,
                                        const ChainRecord& record,
                                        uint64_t salt);

// The records (folded_version, version], oldest first.
absl::StatusOr<std::vector<ChainRecord>> ReadChain(const BlockView& view,
                                                   Offset newest,
                                                   uint64_t salt);

// Rows as folded: index is the segment; at least `record.segment_count` rows.
absl::StatusOr<std::vector<AccountingRow>> ReadFoldedRows(
    const BlockView& view, const CommitRecord& record, uint64_t salt);

// Applies one record's deltas. Grows `rows` as needed.
absl::Status ApplyRecord(const BlockView& view, const ChainRecord& record,
                         uint64_t salt, std::vector<AccountingRow>& rows);

// Vector plus chain.
absl::StatusOr<std::vector<AccountingRow>> ReadExactRows(const BlockView& view,
                                                         Offset newest,
                                                         uint64_t salt);

}  // namespace eve

#endif  // EVE_ENGINE_ROOT_ACCOUNTING_H_
