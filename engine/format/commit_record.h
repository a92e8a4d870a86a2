// CommitRecord: what one commit published, and the deltas that account for it.
//
// Threads:    immutable once published.
// Processes:  the root word holds the offset of the newest one; `version` is
//             inside what is swapped, never beside it.
// Owns:       nothing.
// Lifetime:   a record is retired by the fold that covers it (P8), so a pin on
//             version c protects the chain (folded_version(c), c].
// Errors:     none.
// Cost:       none.
#ifndef EVE_ENGINE_FORMAT_COMMIT_RECORD_H_
#define EVE_ENGINE_FORMAT_COMMIT_RECORD_H_

#include <cstdint>

#include "engine/format/block.h"
#include "engine/format/layout.h"
#include "engine/format/node_layout.h"
#include "engine/format/offset.h"

namespace eve {

// PERSISTED. Never renumber.
enum class DeltaKind : uint32_t {
  kFill = 1,    // this commit wrote units [from, to) of the segment
  kRetire = 2,  // this commit made `to` units of the segment garbage
  kRun = 3,     // one block of `to` units begins here and fills whole segments
};

// PERSISTED. The sum of a fill is over the hashes of its blocks except the
// commit record and its delta list, which hold the sum and so cannot be in it;
// whoever folds the record adds their hashes.
struct Delta {
  uint32_t segment;     //  0..3
  uint32_t kind;        //  4..7   DeltaKind
  uint32_t from_units;  //  8..11  kFill only, else 0
  uint32_t to_units;    // 12..15
  uint64_t sum;         // 16..23  kFill and kRun, else 0
};
EVE_LAYOUT(Delta, /*size=*/24, /*align=*/8);

// PERSISTED. Followed by data_delta_count, then catalog_delta_count deltas;
// a restamp keeps the first list and rebuilds the second (P9).
struct CommitRecord {
  BlockHeader header;            //   0..15  type kCommitRecord, kSystemId
  uint64_t version;              //  16..23
  uint64_t incarnation;          //  24..31  of the region it was made in
  Offset previous;               //  32..39  record of version - 1
  NodeSlot catalog_root;         //  40..47  a trie of names
  Offset accounting_root;        //  48..55  null: no rows yet
  uint64_t folded_version;       //  56..63  the rows account for all up to here
  uint64_t catalog_version;      //  64..71  of the last create or drop
  uint32_t segment_count;        //  72..75  what this root can reach
  uint32_t accounting_rows;      //  76..79  rows in the vector
  uint32_t next_collection;      //  80..83  id of the next created one
  uint32_t collection_count;     //  84..87
  uint32_t writer;               //  88..91  process slot, for people
  uint32_t data_delta_count;     //  92..95  in this record
  uint32_t catalog_delta_count;  //  96..99
  uint32_t spilled_delta_count;  // 100..103 in the delta list
  Offset spill;                  // 104..111 DeltaList; null: none
};
EVE_LAYOUT(CommitRecord, /*size=*/112, /*align=*/8);

// PERSISTED. Data deltas that would make the record long; followed by
// `spilled_delta_count` deltas. Written with the data, kept by a restamp.
struct DeltaList {
  BlockHeader header;  //  0..15  type kDeltaList
  uint64_t count;      // 16..23
  uint64_t reserved;   // 24..31  zero
};
EVE_LAYOUT(DeltaList, /*size=*/32, /*align=*/8);

// More data deltas than this go into a DeltaList.
inline constexpr uint32_t kInlineDeltasMax = 32;

}  // namespace eve

#endif  // EVE_ENGINE_FORMAT_COMMIT_RECORD_H_
