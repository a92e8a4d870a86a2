#include "engine/domain/create.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/checkpoint/boot_id.h"
#include "engine/format/checksum.h"
#include "engine/format/commit_record.h"
#include "engine/format/commit_slot.h"
#include "engine/format/superblock.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {
namespace {

struct FirstRecord {
  CommitRecord record;
  Delta fill;
  uint64_t padding;
};
static_assert(sizeof(FirstRecord) % kUnitBytes == 0);

// What the first 192 KiB hold: superblock, one commit slot, version 1 with no
// collections.
std::vector<char> MakeImage(uint64_t hash_mask,
                            std::optional<uint64_t> hash_seed) {
  std::vector<char> image(kInitialFileBytes, 0);
  uint8_t uuid[16];
  uint64_t seed;
  FillRandom(uuid, sizeof(uuid));
  FillRandom(&seed, sizeof(seed));
  seed = hash_seed.value_or(seed);
  const Superblock superblock = MakeSuperblock(uuid, seed, hash_mask);
  std::memcpy(image.data(), &superblock, sizeof(superblock));

  const Offset offset = Offset::FromBytes(kFirstBlockOffset);
  FirstRecord first{};
  first.record.header =
      MakeBlockHeader(BlockType::kCommitRecord, 0, 0, sizeof(first), kSystemId);
  first.record.version = 1;
  first.record.incarnation = 1;
  first.record.catalog_version = 1;
  first.record.segment_count = 1;
  first.record.next_collection = kFirstCollectionId;
  first.record.data_delta_count = 1;
  const auto start = static_cast<uint32_t>(offset.units);
  first.fill =
      Delta{0, static_cast<uint32_t>(DeltaKind::kFill), start,
            static_cast<uint32_t>(start + sizeof(first) / kUnitBytes), 0};
  const uint64_t hash = BlockHash(&first, offset, ChecksumSalt(uuid));
  first.record.header.checksum = ChecksumOf(hash);
  std::memcpy(image.data() + offset.bytes(), &first, sizeof(first));

  const CommitSlot slot = MakeCommitSlot(
      0, CommitSlotFields{1, 1, offset, hash, 1, kSegmentBytes}, uuid);
  std::memcpy(image.data() + CommitSlotPosition(0), &slot, sizeof(slot));
  return image;
}

// Puts the file in place by `link` unless the name is taken.
absl::Status LinkInPlace(const File& file, const std::string& path,
                         absl::FunctionRef<int()> link) {
  EVE_STEP("create.before_link");
  const int error = link();
  if (error != 0 && error != EEXIST) {
    return ErrnoStatus(error, absl::StrCat("link ", path));
  }
  EVE_STEP("create.linked");
  return SyncNewName(file, path);
}

}  // namespace

absl::Status WriteNewDomain(const File& file, uint64_t hash_mask,
                            std::optional<uint64_t> hash_seed) {
  const std::vector<char> image = MakeImage(hash_mask, hash_seed);
  // The slots and the first blocks; between the superblock and the slots a hole
  // stays. The last page of the segment gives the file its length: a damaged
  // offset inside the segment then reads zeroes instead of faulting.
  EVE_RETURN_IF_ERROR(file.Allocate(kCommitSlotsOffset,
                                    kInitialFileBytes - kCommitSlotsOffset));
  EVE_RETURN_IF_ERROR(file.Allocate(kSegmentBytes - kPageBytes, kPageBytes));
  EVE_RETURN_IF_ERROR(file.WriteAt(0, image.data(), kPageBytes));
  EVE_RETURN_IF_ERROR(file.WriteAt(kCommitSlotsOffset,
                                   image.data() + kCommitSlotsOffset,
                                   image.size() - kCommitSlotsOffset));
  EVE_STEP("create.written");
  return file.Sync();
}

absl::Status CreateDomainFile(const std::string& path, uint64_t hash_mask,
                              std::optional<uint64_t> hash_seed) {
  // An unnamed file leaves nothing behind when its creator dies.
  const absl::StatusOr<File> unnamed = File::CreateUnnamed(path);
  if (unnamed.ok()) {
    EVE_RETURN_IF_ERROR(WriteNewDomain(*unnamed, hash_mask, hash_seed));
    return LinkInPlace(*unnamed, path, [&] { return unnamed->LinkTo(path); });
  }
  if (absl::IsNotFound(unnamed.status()) ||
      absl::IsPermissionDenied(unnamed.status())) {
    return unnamed.status();
  }
  // File systems without unnamed files.
  uint64_t unique;
  FillRandom(&unique, sizeof(unique));
  const std::string temporary =
      absl::StrCat(path, ".new-", absl::Hex(unique, absl::kZeroPad16));
  EVE_ASSIGN_OR_RETURN(const File named,
                       File::Open(temporary, O_CREAT | O_EXCL | O_RDWR));
  absl::Status status = WriteNewDomain(named, hash_mask, hash_seed);
  if (status.ok()) {
    status = LinkInPlace(named, path, [&] {
      if (const int error = EVE_FAULT("file.link"); error != 0) return error;
      return ::link(temporary.c_str(), path.c_str()) == 0 ? 0 : errno;
    });
  }
  ::unlink(temporary.c_str());
  return status;
}

absl::StatusOr<File> CreateMemoryDomain(const std::string& name,
                                        uint64_t hash_mask) {
  EVE_ASSIGN_OR_RETURN(File file, File::CreateMemory(name));
  EVE_RETURN_IF_ERROR(WriteNewDomain(file, hash_mask, /*hash_seed=*/{}));
  return file;
}

}  // namespace eve
