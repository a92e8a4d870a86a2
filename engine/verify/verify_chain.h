// The chain of commit records behind a root, and the accounting that it and
// the vector add up to: the verifier's own reading of both.
//
// Threads:    one at a time.
// Processes:  the root is pinned, or nobody writes.
// Owns:       what it read.
// Lifetime:   within one VerifyDomain().
// Errors:     into the log.
// Cost:       O(segments + unfolded commits).
#ifndef EVE_ENGINE_VERIFY_VERIFY_CHAIN_H_
#define EVE_ENGINE_VERIFY_VERIFY_CHAIN_H_

#include <cstdint>
#include <vector>

#include "engine/format/accounting_row.h"
#include "engine/format/commit_record.h"
#include "engine/verify/block_reader.h"
#include "engine/verify/reach_map.h"

namespace eve::verify {

struct ReadRecord {
  Offset offset;
  CommitRecord fields;
  uint64_t hash = 0;
  std::vector<Delta> deltas;  // of the list, of the data, of the catalog
  uint64_t spill_hash = 0;
};

struct Chain {
  std::vector<ReadRecord> records;  // newest first; empty: no root
  bool is_complete = false;         // (folded_version, version]

  const CommitRecord& root() const { return records.front().fields; }
};

// Reads the records from `newest` down and marks them and their delta lists.
Chain ReadChain(Offset newest, BlockReader& reader, ReachMap& reach,
                ErrorLog& log);

// One row a segment: the vector of the root, whose blocks are marked, with the
// chain applied. Returns false if damage left them without meaning.
bool ReadRows(const Chain& chain, BlockReader& reader, ReachMap& reach,
              ErrorLog& log, std::vector<AccountingRow>& rows);

}  // namespace eve::verify

#endif  // EVE_ENGINE_VERIFY_VERIFY_CHAIN_H_
