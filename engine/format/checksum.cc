#include "engine/format/checksum.h"

#include <cstring>

#include "engine/format/checksum_avx2.h"
#include "engine/format/checksum_mix.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace eve {
namespace {

// Below this the loop that differs is not reached.
constexpr size_t kLongBytes = 256;

#if defined(__x86_64__)
const bool has_avx2 = __builtin_cpu_supports("avx2");
#endif

uint64_t HashBody(const void* data, size_t size) {
#if defined(__x86_64__)
  if (size >= kLongBytes && has_avx2) return Xxh3WithAvx2(data, size);
#endif
  return XXH3_64bits(data, size);
}

}  // namespace

uint64_t BlockHashFromBody(const BlockHeader& header, uint64_t body_hash,
                           Offset offset, uint64_t salt) {
  uint64_t first;
  std::memcpy(&first, &header, sizeof(first));
  uint64_t h = body_hash ^ Mix(first + kMixA);
  h = Mix(h + salt) ^ ((offset.units + 1) * kMixA);
  return Mix(h + header.collection);
}

uint64_t BlockHash(const void* block, Offset offset, uint64_t salt) {
  BlockHeader header;
  std::memcpy(&header, block, sizeof(header));
  const char* body = static_cast<const char*>(block) + sizeof(header);
  return BlockHashFromBody(
      header, HashBody(body, header.bytes() - sizeof(header)), offset, salt);
}

uint64_t ChecksumSalt(const uint8_t uuid[16]) {
  return XXH3_64bits_withSeed(uuid, 16, kMixA);
}

uint64_t HashBytes(const void* data, size_t size, uint64_t seed) {
  return XXH3_64bits_withSeed(data, size, seed);
}

}  // namespace eve
