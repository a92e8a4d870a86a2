// BlockHeader: the 16 bytes in front of everything that lives in a segment.
//
// Threads:    a published block is immutable.
// Processes:  as above.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     see validate.h for checks on untrusted bytes.
// Cost:       none.
#ifndef EVE_ENGINE_FORMAT_BLOCK_H_
#define EVE_ENGINE_FORMAT_BLOCK_H_

#include <cstdint>

#include "engine/format/constants.h"
#include "engine/format/layout.h"
#include "engine/format/offset.h"

namespace eve {

// PERSISTED.
struct BlockHeader {
  uint8_t type;         //  0      BlockType
  uint8_t depth;        //  1      level in its tree; the root has depth 0
  uint16_t count;       //  2..3   entries, where the type has some
  uint32_t size_units;  //  4..7   whole block, header included, 16-byte units
  uint32_t collection;  //  8..11  owner: a collection id, kCatalogId, kSystemId
  uint32_t checksum;    // 12..15  low half of BlockHash(); 0 until the commit

  uint64_t bytes() const { return uint64_t{size_units} * kUnitBytes; }
};
EVE_LAYOUT(BlockHeader, /*size=*/16, /*align=*/4);

constexpr BlockHeader MakeBlockHeader(BlockType type, uint8_t depth,
                                      uint16_t count, uint64_t size_bytes,
                                      uint32_t collection) {
  return BlockHeader{static_cast<uint8_t>(type),
                     depth,
                     count,
                     static_cast<uint32_t>(UnitsForBytes(size_bytes)),
                     collection,
                     /*checksum=*/0};
}

}  // namespace eve

#endif  // EVE_ENGINE_FORMAT_BLOCK_H_
