// IsBlockIntact: whether a block is of its type and has its checksum.
//
// Threads:    pure function over immutable bytes.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     false: the checksum fails, or there is no such block.
// Cost:       hashes the block.
#ifndef EVE_ENGINE_COLLECTIONS_BLOCK_CHECKSUM_H_
#define EVE_ENGINE_COLLECTIONS_BLOCK_CHECKSUM_H_

#include <cstdint>

#include "engine/file/block_view.h"
#include "engine/format/checksum.h"

namespace eve {

inline bool IsBlockIntact(const BlockView& view, Offset offset, BlockType type,
                          uint64_t salt) {
  const BlockHeader* header = view.Block(offset, type, sizeof(BlockHeader));
  return header != nullptr &&
         ChecksumOf(BlockHash(header, offset, salt)) == header->checksum;
}

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_BLOCK_CHECKSUM_H_
