#include "engine/domain/join.h"

#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/file/file_lock.h"
#include "engine/format/checksum.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {
namespace {

constexpr absl::Duration kOtherRegionTimeout = absl::Milliseconds(500);

// The byte of the data file that all processes of this region lock, shared.
uint64_t RegionLockByte(const Core& core, FileIdentity lock_file) {
  const uint64_t parts[2] = {core.region.header().nonce, lock_file.inode};
  return kRegionLockBase +
         HashBytes(parts, sizeof(parts), kRegionMagic) % kRegionLockRange;
}

absl::Status OtherRegionError(const Core& core) {
  return absl::FailedPreconditionError(
      absl::StrCat(core.path,
                   ": other processes have it open through another lock file; "
                   "was '",
                   core.path,
                   "-lock' deleted or the file renamed or hard-linked? "
                   "Close them all first"));
}

// True if a process of another region has the file open.
absl::StatusOr<bool> HasOtherRegion(const File& file, uint64_t own_byte) {
  EVE_ASSIGN_OR_RETURN(
      const bool before,
      IsRangeLockedByOther(file, kRegionLockBase, own_byte - kRegionLockBase));
  if (before) return true;
  const uint64_t end = kRegionLockBase + kRegionLockRange;
  return IsRangeLockedByOther(file, own_byte + 1, end - own_byte - 1);
}

}  // namespace

absl::Status AwaitNoOtherRegion(const Core& core) {
  const uint64_t begin = MonotonicNanos();
  while (true) {
    EVE_ASSIGN_OR_RETURN(
        const bool elsewhere,
        IsRangeLockedByOther(core.file, kRegionLockBase, kRegionLockRange));
    if (!elsewhere) return absl::OkStatus();
    if (absl::Nanoseconds(MonotonicNanos() - begin) >= kOtherRegionTimeout) {
      return OtherRegionError(core);
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
}

absl::Status CheckLiveRegion(const Core& core) {
  const RegionHeader& header = core.region.header();
  if (header.ready.load(std::memory_order_acquire) != 1 ||
      header.magic != kRegionMagic) {
    return absl::FailedPreconditionError(
        absl::StrCat(core.path,
                     "-lock: not a lock file of this engine, but "
                     "its lock bytes are held"));
  }
  if (header.abi_hash != SharedAbiHash()) {
    return absl::FailedPreconditionError(absl::StrCat(
        core.path, ": open in processes of another build (shared layout 0x",
        absl::Hex(header.abi_hash), ", this build has 0x",
        absl::Hex(SharedAbiHash()), "); close them first"));
  }
  EVE_ASSIGN_OR_RETURN(const FileIdentity identity, core.file.Identity());
  if (header.data_device != identity.device ||
      header.data_inode != identity.inode ||
      std::memcmp(header.uuid, core.superblock.uuid, 16) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(core.path, "-lock: belongs to another file (inode ",
                     header.data_inode, ", this one has ", identity.inode,
                     "); was the domain replaced while it was open?"));
  }
  return absl::OkStatus();
}

absl::Status CheckLockFileInPlace(const Core& core) {
  EVE_ASSIGN_OR_RETURN(const FileIdentity held, core.region.file().Identity());
  absl::StatusOr<FileIdentity> named =
      IdentityOfPath(core.region.file().path());
  if (!named.ok() && !absl::IsNotFound(named.status())) return named.status();
  if (!named.ok() || *named != held) {
    return absl::FailedPreconditionError(
        absl::StrCat(core.region.file().path(),
                     ": replaced while the domain was being opened; retry"));
  }
  return absl::OkStatus();
}

absl::Status Join(Core& core, bool in_memory) {
  EVE_RETURN_IF_ERROR(CheckLiveRegion(core));
  EVE_ASSIGN_OR_RETURN(const FileIdentity identity,
                       core.region.file().Identity());
  const uint64_t byte = RegionLockByte(core, identity);
  if (!in_memory) EVE_RETURN_IF_ERROR(CheckLockFileInPlace(core));
  EVE_ASSIGN_OR_RETURN(const bool other, HasOtherRegion(core.file, byte));
  if (other) return OtherRegionError(core);
  EVE_ASSIGN_OR_RETURN(const bool taken,
                       TryLockByte(core.file, byte, LockKind::kShared));
  if (!taken) return OtherRegionError(core);
  EVE_STEP("open.joining");
  core.slots = std::make_unique<ProcessSlots>(&core.region);
  if (absl::Status slot = core.slots->TakeSlot(); !slot.ok()) {
    // A reader that goes on without it would be taken for another region's.
    UnlockByte(core.file, byte);
    core.slots.reset();
    return slot;
  }
  UnlockByte(core.region.file(), kInitLockByte);
  core.slots->BeginLife();
  core.cells = std::make_unique<ReaderCells>(&core.region, core.slots.get());
  core.incarnation = core.region.header().incarnation;
  return absl::OkStatus();
}

void DetachRegion(Core& core) {
  if (core.slots == nullptr || !core.slots->claimed()) return;
  // The region byte first: an opener that finds no slot held looks at it next.
  const absl::StatusOr<FileIdentity> identity = core.region.file().Identity();
  if (identity.ok()) UnlockByte(core.file, RegionLockByte(core, *identity));
  core.slots->Release();
}

}  // namespace eve
