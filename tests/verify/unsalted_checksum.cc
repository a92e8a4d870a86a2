// The planted bug: checksums that know neither the domain nor the offset of a
// block. All of engine/format/checksum.cc, so that a program that has this one
// does not take that one from the library.
#include <cstring>

#include "engine/format/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace eve {

uint64_t BlockHashFromBody(const BlockHeader& header, uint64_t body_hash,
                           Offset, uint64_t) {
  uint64_t first;
  std::memcpy(&first, &header, sizeof(first));
  const uint64_t parts[] = {first, body_hash, header.collection};
  return XXH3_64bits(parts, sizeof(parts));
}

uint64_t BlockHash(const void* block, Offset offset, uint64_t salt) {
  BlockHeader header;
  std::memcpy(&header, block, sizeof(header));
  const char* body = static_cast<const char*>(block) + sizeof(header);
  return BlockHashFromBody(
      header, XXH3_64bits(body, header.bytes() - sizeof(header)), offset, salt);
}

uint64_t ChecksumSalt(const uint8_t[16]) { return 0; }

uint64_t HashBytes(const void* data, size_t size, uint64_t seed) {
  return XXH3_64bits_withSeed(data, size, seed);
}

}  // namespace eve
