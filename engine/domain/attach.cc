#include "engine/domain/attach.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "engine/domain/attach_reader.h"
#include "engine/domain/create.h"
#include "engine/domain/join.h"
#include "engine/file/file_lock.h"
#include "engine/file/file_system.h"
#include "engine/format/checksum.h"
#include "engine/verify/verifier.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {
namespace {

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

absl::Status AttachRegion(const DomainOptions& options, Core& core) {
  if (options.read_only) return AttachReader(core);
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
