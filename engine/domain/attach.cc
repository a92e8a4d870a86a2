#include "engine/domain/attach.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/domain/create.h"
#include "engine/file/file_lock.h"
#include "engine/file/file_system.h"
#include "engine/format/checksum.h"
#include "engine/verify/verifier.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {
namespace {

constexpr absl::Duration kInitTimeout = absl::Seconds(10);
constexpr absl::Duration kOtherRegionTimeout = absl::Milliseconds(500);

absl::Status CheckRegularFile(const File& file) {
  EVE_ASSIGN_OR_RETURN(const struct ::stat info, file.Stat());
  if (S_ISDIR(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": it is a directory; name a file"));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": not a regular file"));
  }
  return absl::OkStatus();
}

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

// A process that is closing or dying drops its slot byte and its region byte
// one after the other; only one that stays is another region's.
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

// Takes a process slot and the region's byte. REQUIRES: the init byte, which it
// gives back as soon as others see the slot taken: nobody rebuilds the region
// then, and one that is stopped later is in nobody's way.
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
  EVE_RETURN_IF_ERROR(core.slots->TakeSlot());
  UnlockByte(core.region.file(), kInitLockByte);
  core.slots->BeginLife();
  core.cells = std::make_unique<ReaderCells>(&core.region, core.slots.get());
  core.incarnation = core.region.header().incarnation;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RecoveryContext> MakeRecoveryContext(const Core& core) {
  RecoveryContext context;
  context.file = &core.file;
  context.superblock = &core.superblock;
  context.salt = core.salt;
  EVE_ASSIGN_OR_RETURN(context.file_bytes, core.file.Size());
  context.verify_fallback = [&core](Offset record) -> absl::Status {
    VerifyOptions options;
    options.record_offset = record.bytes();
    EVE_ASSIGN_OR_RETURN(const VerifyReport report,
                         VerifyDomain(core.file, options));
    if (report.ok()) return absl::OkStatus();
    // It may be whole: nothing was found wrong with what was not read.
    EVE_RETURN_IF_ERROR(report.unreadable);
    const VerifyError& first = report.errors.front();
    return absl::DataLossError(absl::StrCat(
        core.path, ": not all is there that its newest whole root reaches. If ",
        "it is a copy it was taken while others wrote: make one with 'eve "
        "copy'. ",
        "Else it is damaged: 'eve dump --rescue' saves what is left. ",
        report.error_count, " errors, the first at offset ", first.offset, ": ",
        first.what, ", expected ", first.expected, ", found ", first.found));
  };
  context.view = BlockView{
      core.view.base,
      std::min(core.view.limit_units, context.file_bytes / kUnitBytes),
      /*is_cold=*/true};
  return context;
}

namespace {

// Joins the region or, when nobody is attached, rebuilds it.
absl::Status JoinOrRecover(Core& core, bool in_memory) {
  const File& lock_file = core.region.file();
  absl::Cleanup unlock = [&lock_file] { UnlockByte(lock_file, kInitLockByte); };
  EVE_RETURN_IF_ERROR(
      LockByte(lock_file, kInitLockByte, LockKind::kShared, kInitTimeout));
  EVE_STEP("open.init_shared");
  EVE_ASSIGN_OR_RETURN(bool attached, ProcessSlots::AnyAttached(lock_file));
  if (attached) return Join(core, in_memory);
  UnlockByte(lock_file, kInitLockByte);
  EVE_RETURN_IF_ERROR(
      LockByte(lock_file, kInitLockByte, LockKind::kExclusive, kInitTimeout));
  EVE_STEP("open.init_exclusive");
  EVE_ASSIGN_OR_RETURN(attached, ProcessSlots::AnyAttached(lock_file));
  if (attached) return Join(core, in_memory);
  if (!in_memory) EVE_RETURN_IF_ERROR(CheckLockFileInPlace(core));
  EVE_RETURN_IF_ERROR(AwaitNoOtherRegion(core));
  EVE_ASSIGN_OR_RETURN(RecoveryContext context, MakeRecoveryContext(core));
  context.drop_pages = [&core, bytes = context.file_bytes] {
    core.read_mapping.DropPages(0, bytes);
    core.write_mapping.DropPages(0, bytes);
  };
  if (!in_memory) {
    context.sync_name = [&core] {
      absl::Status synced = SyncNameOf(core.path);
      // Who gave it that name flushed the whole file system, which is too much
      // to ask of each opening.
      return absl::IsPermissionDenied(synced) ? absl::OkStatus() : synced;
    };
  }
  EVE_ASSIGN_OR_RETURN(const Recovered recovered,
                       RecoverAndRebuild(context, core.region));
  core.recovery_note = recovered.note;
  return Join(core, in_memory);
}

// A reader that nobody's collector can see as a pin (P25): the newest durable
// root, for as long as it is attached.
absl::Status AttachUnpinned(Core& core, bool has_region) {
  // Held exclusively by somebody who is cutting the file, for a moment.
  EVE_RETURN_IF_ERROR(LockByte(core.file, kUnpinnedReadersLockByte,
                               LockKind::kShared, kInitTimeout));
  // Before the size: somebody may be at work whom this one cannot see, and let
  // the file grow.
  std::vector<uint32_t> damaged;
  EVE_ASSIGN_OR_RETURN(std::vector<CommitSlot> slots,
                       ReadCommitSlots(core.file, core.superblock, &damaged));
  EVE_ASSIGN_OR_RETURN(RecoveryContext context, MakeRecoveryContext(core));
  if (slots.empty()) {
    return absl::DataLossError(
        absl::StrCat(core.path, ": all commit slots fail their checksums"));
  }
  // A slot whose flush failed, or that nobody lived to flush, is in the cache
  // only, and this opener may not write what would change that.
  bool belongs = false;
  if (has_region) {
    EVE_ASSIGN_OR_RETURN(belongs, RegionBelongs(core.region, context));
  }
  EVE_ASSIGN_OR_RETURN(
      context.why_unknown,
      WhyUnknown(has_region ? &core.region : nullptr, context, slots));
  if (belongs) DropUnacknowledged(core.region, slots);
  EVE_ASSIGN_OR_RETURN(
      const RootCandidate durable,
      ChooseDurableRoot(context, slots, damaged,
                        belongs ? PromisedVersion(core.region, slots) : 0));
  if (belongs && RootSlot(&core.region).Load() != durable.record) {
    return absl::FailedPreconditionError(absl::StrCat(
        core.path,
        ": was not closed; its newest commits need recovery, which "
        "a read-only open does not do. Open it for writing once"));
  }
  core.recovery_note =
      absl::StrCat("durable version ", durable.version, durable.note);
  EVE_RETURN_IF_ERROR(ReadIfDoubtful(context, durable, &core.recovery_note));
  core.frozen_root = durable.record;
  core.frozen_segments = SegmentsForBytes(context.file_bytes);
  return absl::OkStatus();
}

absl::Status AttachReadOnly(Core& core) {
  const std::string lock_path = core.path + "-lock";
  bool writable = true;
  absl::StatusOr<File> lock_file = File::OpenUninherited(lock_path, O_RDWR);
  if (absl::IsPermissionDenied(lock_file.status())) {
    writable = false;
    lock_file = File::OpenUninherited(lock_path, O_RDONLY);
  }
  // What is there and may not be read says as little as what is not. But of
  // who has no descriptor left, all others may be attached.
  if (absl::IsNotFound(lock_file.status()) ||
      absl::IsPermissionDenied(lock_file.status())) {
    return AttachUnpinned(core, /*has_region=*/false);
  }
  EVE_RETURN_IF_ERROR(lock_file.status());
  EVE_ASSIGN_OR_RETURN(const uint64_t size, lock_file->Size());
  if (size < kSegmentStatesOffset) {
    return AttachUnpinned(core, /*has_region=*/false);
  }
  EVE_ASSIGN_OR_RETURN(core.region,
                       SharedRegion::Map(*std::move(lock_file), writable));
  core.root = std::make_unique<RootSlot>(&core.region);
  const File& file = core.region.file();
  EVE_RETURN_IF_ERROR(
      LockByte(file, kInitLockByte, LockKind::kShared, kInitTimeout));
  absl::Cleanup unlock = [&file] { UnlockByte(file, kInitLockByte); };
  EVE_ASSIGN_OR_RETURN(const bool attached, ProcessSlots::AnyAttached(file));
  if (!attached) return AttachUnpinned(core, /*has_region=*/true);
  if (writable) return Join(core, /*in_memory=*/false);
  EVE_RETURN_IF_ERROR(CheckLiveRegion(core));
  EVE_ASSIGN_OR_RETURN(
      const bool taken,
      TryLockByte(core.file, kUnpinnedReadersLockByte, LockKind::kShared));
  if (!taken) return absl::UnavailableError(core.path + ": readers' lock held");
  return absl::OkStatus();
}

// All views, of one size.
absl::Status MapViews(Core& core, bool in_memory) {
  EVE_ASSIGN_OR_RETURN(const uint64_t size, core.file.Size());
  // A mapping keeps the open file that it was made of, and so the lock bytes
  // taken through that. A forked child inherits the read view and may outlive
  // its parent, so the view is made of an open file without locks.
  const absl::StatusOr<File> unlocked = core.file.OpenAgain();
  const File& file = unlocked.ok() ? *unlocked : core.file;
  EVE_ASSIGN_OR_RETURN(
      core.read_mapping,
      Mapping::Map(file, ViewReserveBytes(), size, Mapping::Access::kReadOnly));
  const uint64_t granted = core.read_mapping.bytes();
  if (granted < ViewReserveBytes()) {
    // Addresses are short (ulimit -v) and this may be nearly all of them. The
    // write view is as large, and the region and the program need some too.
    core.read_mapping = Mapping();
    EVE_ASSIGN_OR_RETURN(
        core.read_mapping,
        Mapping::Map(file, granted / 4, size, Mapping::Access::kReadOnly));
  }
  core.view = BlockView{core.read_mapping.data(),
                        core.read_mapping.bytes() / kUnitBytes};
  if (core.read_only) return absl::OkStatus();
  EVE_ASSIGN_OR_RETURN(
      core.write_mapping,
      Mapping::Map(core.file, core.read_mapping.bytes(),
                   core.read_mapping.bytes(), Mapping::Access::kReadWrite));
  if (granted < ViewReserveBytes() || in_memory) return absl::OkStatus();
  // Without it synchronous commits write more, and that is all.
  absl::StatusOr<Mapping> staging =
      Mapping::Map(core.file, granted, granted, Mapping::Access::kPrivate);
  if (staging.ok()) core.staging_mapping = *std::move(staging);
  return absl::OkStatus();
}

std::string ResolvePath(const std::string& path) {
  // Through symbolic links, so that all names lead to one lock file.
  char* resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return path;
  std::string result(resolved);
  std::free(resolved);
  return result;
}

}  // namespace

absl::Status OpenDataFile(const std::string& path, const DomainOptions& options,
                          Core& core) {
  if (options.in_memory) {
    core.path = path;
    if (!core.file.is_open()) {
      EVE_ASSIGN_OR_RETURN(core.file, CreateMemoryDomain(path, ~uint64_t{0}));
    }
  } else {
    // Who opens a pipe to read would wait for a writer.
    absl::StatusOr<File> opened = File::OpenUninherited(
        path, options.read_only ? O_RDONLY | O_NONBLOCK : O_RDWR);
    if (absl::IsNotFound(opened.status()) && options.create &&
        !options.read_only) {
      EVE_RETURN_IF_ERROR(CreateDomainFile(path, ~uint64_t{0}));
      opened = File::OpenUninherited(path, O_RDWR);
    }
    EVE_RETURN_IF_ERROR(opened.status());
    core.file = *std::move(opened);
    core.path = ResolvePath(path);
  }
  EVE_RETURN_IF_ERROR(CheckRegularFile(core.file));
  EVE_RETURN_IF_ERROR(CheckFileSystem(core.file));
  absl::Status read =
      core.file.ReadAt(0, &core.superblock, sizeof(core.superblock));
  if (absl::IsOutOfRange(read)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": not an Eve domain: shorter than a superblock of ",
                     sizeof(Superblock), " bytes"));
  }
  EVE_RETURN_IF_ERROR(read);
  EVE_RETURN_IF_ERROR(ValidateSuperblock(core.superblock, path.c_str()));
  core.salt = ChecksumSalt(core.superblock.uuid);
  core.hasher = KeyHasher{core.superblock.hash_seed, core.superblock.hash_mask};
  core.read_only = options.read_only;
  core.verify_reads = options.verify_reads;
  EVE_RETURN_IF_ERROR(MapViews(core, options.in_memory));
  // Asked when a flush may have failed (P22): by then this process may have no
  // right to open the file any more, or no descriptor left.
  if (!core.read_only) (void)core.file.OpenDirect(&core.device);
  return absl::OkStatus();
}

void DetachRegion(Core& core) {
  if (core.slots == nullptr || !core.slots->claimed()) return;
  // The region byte first: an opener that finds no slot held looks at it next.
  const absl::StatusOr<FileIdentity> identity = core.region.file().Identity();
  if (identity.ok()) UnlockByte(core.file, RegionLockByte(core, *identity));
  core.slots->Release();
}

absl::Status AttachRegion(const DomainOptions& options, Core& core) {
  if (options.read_only) return AttachReadOnly(core);
  File lock_file;
  if (options.in_memory) {
    EVE_ASSIGN_OR_RETURN(lock_file, File::CreateMemory(core.path + "-lock"));
  } else {
    EVE_ASSIGN_OR_RETURN(lock_file, File::OpenUninherited(core.path + "-lock",
                                                          O_RDWR | O_CREAT));
  }
  EVE_RETURN_IF_ERROR(CheckRegularFile(lock_file));
  EVE_ASSIGN_OR_RETURN(core.region,
                       SharedRegion::Map(std::move(lock_file), true));
  core.root = std::make_unique<RootSlot>(&core.region);
  EVE_RETURN_IF_ERROR(JoinOrRecover(core, options.in_memory));
  SegmentSource::Limits limits;
  limits.max_bytes = options.max_bytes;
  if (options.durability == Durability::kSync) {
    limits.backing_step_bytes = kSyncBackingStepBytes;
    limits.all_stepped = true;
  }
  limits.populate_used = options.durability == Durability::kCheckpoint;
  limits.mapped_segments = static_cast<uint32_t>(std::min<uint64_t>(
      kSegmentsMax, core.read_mapping.bytes() / kSegmentBytes));
  core.turn = std::make_unique<WritersTurn>(&core.region, core.slots.get());
  core.table = std::make_unique<SegmentTable>(&core.region, core.slots.get(),
                                              limits.mapped_segments);
  core.source = std::make_unique<SegmentSource>(
      &core.region, &core.file, &core.write_mapping, core.table.get(), limits);
  return absl::OkStatus();
}

}  // namespace eve
