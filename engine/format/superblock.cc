#include "engine/format/superblock.h"

#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/format/checksum.h"

namespace eve {
namespace {

uint64_t SuperblockChecksum(const Superblock& superblock) {
  return HashBytes(&superblock, offsetof(Superblock, checksum), kDomainMagic);
}

}  // namespace

Superblock MakeSuperblock(const uint8_t uuid[16], uint64_t hash_seed,
                          uint64_t hash_mask) {
  Superblock superblock;
  std::memset(&superblock, 0, sizeof(superblock));
  superblock.magic = kDomainMagic;
  superblock.format_version = kFormatVersion;
  superblock.header_bytes = sizeof(Superblock);
  std::memcpy(superblock.uuid, uuid, sizeof(superblock.uuid));
  superblock.hash_seed = hash_seed;
  superblock.hash_mask = hash_mask;
  superblock.segment_bytes = kSegmentBytes;
  superblock.checksum = SuperblockChecksum(superblock);
  return superblock;
}

absl::Status ValidateSuperblock(const Superblock& superblock,
                                const char* path) {
  if (superblock.magic != kDomainMagic) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": not an Eve domain (offset 0: found magic 0x",
                     absl::Hex(superblock.magic), ", expected 0x",
                     absl::Hex(kDomainMagic), ")"));
  }
  // The version comes before the checksum: another version may place it
  // elsewhere.
  if (superblock.format_version != kFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": format version ", superblock.format_version,
                     ", this build reads version ", kFormatVersion,
                     "; open it with a build of that version"));
  }
  const uint64_t expected = SuperblockChecksum(superblock);
  if (superblock.checksum != expected) {
    return absl::DataLossError(absl::StrFormat(
        "%s: superblock is corrupt: checksum at offset %d is 0x%x, expected "
        "0x%x",
        path, offsetof(Superblock, checksum), superblock.checksum, expected));
  }
  if (superblock.features_must != 0 || superblock.features_read != 0) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s: needs features this build does not know (must 0x%x, read 0x%x)",
        path, superblock.features_must, superblock.features_read));
  }
  if (superblock.segment_bytes != kSegmentBytes) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": segment size ", superblock.segment_bytes,
                     ", this build maps ", kSegmentBytes));
  }
  return absl::OkStatus();
}

}  // namespace eve
