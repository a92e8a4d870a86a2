// Block checksums: one 64-bit hash serves the block and its segment's sum.
//
// Threads:    pure functions.
// Processes:  same result everywhere.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       one pass of XXH3 over the block.
#ifndef EVE_ENGINE_FORMAT_CHECKSUM_H_
#define EVE_ENGINE_FORMAT_CHECKSUM_H_

#include <cstddef>
#include <cstdint>

#include "engine/format/block.h"
#include "engine/format/offset.h"

namespace eve {

// XXH3-64 of the block's body, mixed with its header (checksum left out), its
// offset and the domain's salt. Its low half is stored in the header; the
// whole of it goes into the 64-bit wrapping sums of fill deltas and accounting
// rows, which is what finds a lost or stale write (P15): a valid checksum
// alone does not say that this is the block of this commit.
// REQUIRES: `block` has header.bytes() readable bytes.
uint64_t BlockHash(const void* block, Offset offset, uint64_t salt);

// The same from the XXH3-64 of the body, for blocks that are too large to be in
// memory at once.
uint64_t BlockHashFromBody(const BlockHeader& header, uint64_t body_hash,
                           Offset offset, uint64_t salt);

inline uint32_t ChecksumOf(uint64_t block_hash) {
  return static_cast<uint32_t>(block_hash);
}

// Salt of a domain's blocks, from its uuid.
uint64_t ChecksumSalt(const uint8_t uuid[16]);

// Plain XXH3-64 of bytes, for the superblock, slots and lock-file identity.
uint64_t HashBytes(const void* data, size_t size, uint64_t seed);

}  // namespace eve

#endif  // EVE_ENGINE_FORMAT_CHECKSUM_H_
