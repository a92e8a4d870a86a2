// Superblock: page 0 of a domain file, written once when it is created.
//
// Threads:    pure functions.
// Processes:  never rewritten, so a torn write cannot reach it.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     kInvalidArgument: not a domain. kFailedPrecondition: a version,
//             feature or segment size this build does not know. kDataLoss: the
//             checksum failed.
// Cost:       none.
#ifndef EVE_ENGINE_FORMAT_SUPERBLOCK_H_
#define EVE_ENGINE_FORMAT_SUPERBLOCK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "engine/format/constants.h"
#include "engine/format/layout.h"

namespace eve {

// PERSISTED. The first bytes of page 0; the rest of the page is zero.
struct Superblock {
  uint64_t magic;            //  0..7   kDomainMagic
  uint32_t format_version;   //  8..11  kFormatVersion
  uint32_t header_bytes;     // 12..15  sizeof(Superblock)
  uint64_t features_compat;  // 16..23  unknown bits may be ignored
  uint64_t features_read;    // 24..31  unknown bits: read-only at best
  uint64_t features_must;    // 32..39  unknown bits: refuse
  uint8_t uuid[16];          // 40..55  identity; salts every checksum
  uint64_t hash_seed;        // 56..63  of key hashes; another orphans all keys
  uint64_t hash_mask;        // 64..71  all ones; tests force collisions with it
  uint64_t segment_bytes;    // 72..79  kSegmentBytes
  uint8_t reserved[40];      // 80..119 zero
  uint64_t checksum;         // 120..127 HashBytes of bytes 0..119
};
EVE_LAYOUT(Superblock, /*size=*/128, /*align=*/8);

// Fills everything: magic, version, checksum. uuid and seed are given.
Superblock MakeSuperblock(const uint8_t uuid[16], uint64_t hash_seed,
                          uint64_t hash_mask);

// Checks bytes that come from a file. `path` is for the message only.
absl::Status ValidateSuperblock(const Superblock& superblock, const char* path);

}  // namespace eve

#endif  // EVE_ENGINE_FORMAT_SUPERBLOCK_H_
