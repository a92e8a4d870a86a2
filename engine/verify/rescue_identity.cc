#include "engine/verify/rescue_identity.h"

#include <fcntl.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/format/checksum.h"
#include "engine/format/commit_slot.h"
#include "engine/format/shared_layout.h"
#include "engine/format/superblock.h"
#include "engine/verify/salt_search.h"

namespace eve::verify {
namespace {

RescueIdentity Of(const uint8_t* uuid, std::string source) {
  RescueIdentity identity;
  identity.source = std::move(source);
  identity.uuid.emplace();
  std::copy_n(uuid, identity.uuid->size(), identity.uuid->begin());
  identity.salt = ChecksumSalt(uuid);
  return identity;
}

std::optional<RescueIdentity> FromSuperblock(const File& file) {
  Superblock superblock;
  if (!file.ReadAt(0, &superblock, sizeof(superblock)).ok() ||
      !ValidateSuperblock(superblock, file.path().c_str()).ok()) {
    return std::nullopt;
  }
  RescueIdentity identity = Of(superblock.uuid, "the superblock");
  identity.hash_seed = superblock.hash_seed;
  identity.hash_mask = superblock.hash_mask;
  return identity;
}

std::optional<RescueIdentity> FromSlots(const File& file) {
  auto slot = std::make_unique<CommitSlot>();
  for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
    if (file.ReadAt(CommitSlotPosition(i), slot.get(), sizeof(*slot)).ok() &&
        IsValidCommitSlot(*slot, i, slot->uuid)) {
      return Of(slot->uuid, absl::StrCat("commit slot ", i));
    }
  }
  return std::nullopt;
}

std::optional<RescueIdentity> FromLockFile(const File& file) {
  const absl::StatusOr<File> lock = File::Open(file.path() + "-lock", O_RDONLY);
  uint8_t head[sizeof(uint64_t) * 9];
  static_assert(offsetof(RegionHeader, uuid) + 16 <= sizeof(head));
  if (!lock.ok() || !lock->ReadAt(0, head, sizeof(head)).ok() ||
      std::memcmp(head, &kRegionMagic, sizeof(kRegionMagic)) != 0) {
    return std::nullopt;
  }
  return Of(head + offsetof(RegionHeader, uuid), "the lock file");
}

}  // namespace

absl::StatusOr<RescueIdentity> Identify(const File& file, uint64_t file_bytes,
                                        RescueSink& sink) {
  const std::vector<SaltProbe> probes = CollectProbes(file, file_bytes);
  for (const auto from : {FromSuperblock, FromSlots, FromLockFile}) {
    std::optional<RescueIdentity> identity = from(file);
    if (!identity.has_value()) continue;
    // It may be another domain's: a lock file that lay there before.
    if (probes.size() < kSaltAgreeingMin ||
        CountAgreeing(probes, identity->salt) > 0) {
      return *std::move(identity);
    }
    sink.Note(absl::StrCat(identity->source,
                           " is of another domain: no block agrees with it"));
  }
  if (probes.size() >= kSaltAgreeingMin) {
    sink.Note(
        "superblock, commit slots and lock file are all damaged, so blocks are "
        "asked which checksums they agree on: up to half a minute, some "
        "minutes where many are damaged");
  }
  if (const std::optional<FoundSalt> found = SearchSalt(probes);
      found.has_value()) {
    RescueIdentity identity;
    identity.source = absl::StrCat("checksums on which ", found->agreeing,
                                   " of ", probes.size(), " blocks agree");
    identity.salt = found->salt;
    return identity;
  }
  return absl::DataLossError(absl::StrCat(
      file.path(),
      ": superblock, commit slots and lock file are all damaged or of no "
      "domain, and of ",
      probes.size(), " blocks no ", kSaltAgreeingMin,
      " agree, so nothing says which are right"));
}

}  // namespace eve::verify
