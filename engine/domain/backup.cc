#include "engine/domain/backup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "engine/checkpoint/boot_id.h"
#include "engine/domain/copy_sink.h"
#include "engine/file/file_lock.h"
#include "engine/format/checksum.h"
#include "engine/format/commit_slot.h"
#include "engine/format/shared_layout.h"
#include "engine/root/accounting.h"
#include "engine/verify/verifier.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve::internal {
namespace {

// More first openers than a domain ever has in one boot: no lock file of the
// source names the incarnation of a copy.
constexpr uint64_t kIncarnationStep = uint64_t{1} << 20;
// Of files that are to stay, and of those that nobody else is to open.
constexpr mode_t kCopyMode = 0644;
constexpr mode_t kOwnMode = 0600;

absl::Status DamagedSegment(const Core& core, uint32_t segment,
                            uint64_t offset) {
  return absl::DataLossError(absl::StrCat(
      core.path, ": damaged at offset ", offset, ", in segment ", segment,
      ": the blocks there are not those that were committed. eve check says "
      "more; eve dump --rescue saves what is intact"));
}

// Copies the blocks of a version as they are, and checks them on the way.
class PlainCopy {
 public:
  PlainCopy(const SnapshotImpl& snapshot, CopySink* sink,
            const BackupOptions& options)
      : snapshot_(snapshot),
        core_(snapshot.core()),
        sink_(sink),
        options_(options),
        buffer_(kSegmentBytes) {}

  absl::StatusOr<BackupResult> Run() {
    // The pin protects the chain, and every segment with something live: what
    // is below its fill is written by nobody any more.
    EVE_ASSIGN_OR_RETURN(
        rows_,
        ReadExactRows(core_.FileView(), snapshot_.record_offset(), core_.salt));
    Measure();
    EVE_RETURN_IF_ERROR(CopyHead());
    for (uint32_t segment = 0; segment < rows_.size(); ++segment) {
      if (rows_[segment].live_units == 0) continue;
      if (rows_[segment].run_index > 0) continue;  // with its head
      EVE_RETURN_IF_ERROR(rows_[segment].run_length > 1 ? CopyRun(segment)
                                                        : CopySegment(segment));
    }
    EVE_RETURN_IF_ERROR(sink_->End(result_.file_bytes));
    return result_;
  }

 private:
  void Measure() {
    result_.version = snapshot_.record().version;
    result_.file_bytes = kSegmentBytes;
    for (uint32_t segment = 0; segment < rows_.size(); ++segment) {
      if (rows_[segment].live_units == 0) continue;
      result_.file_bytes = (segment + uint64_t{1}) * kSegmentBytes;
      progress_.total += BytesOf(segment);
    }
  }

  uint64_t BytesOf(uint32_t segment) const {
    return (rows_[segment].fill_units - SegmentStartUnits(segment)) *
           kUnitBytes;
  }

  absl::Status CopyHead() {
    char page[kPageBytes] = {};
    std::memcpy(page, &core_.superblock, sizeof(core_.superblock));
    EVE_RETURN_IF_ERROR(sink_->Write(0, page, sizeof(page)));
    const CommitRecord& record = snapshot_.record();
    uint32_t dice = 0;
    FillRandom(&dice, sizeof(dice));
    CommitSlotFields fields;
    fields.incarnation =
        record.incarnation + kIncarnationStep + dice % kIncarnationStep;
    fields.version = record.version;
    fields.record = snapshot_.record_offset();
    fields.record_hash = BlockHash(&record, fields.record, core_.salt);
    fields.segment_count = record.segment_count;
    fields.file_bytes = result_.file_bytes;
    const CommitSlot slot = MakeCommitSlot(0, fields, core_.superblock.uuid);
    result_.written_bytes += sizeof(page) + sizeof(slot);
    return sink_->Write(CommitSlotPosition(0), &slot, sizeof(slot));
  }

  // Reads [offset, offset + size) and passes it on.
  absl::Status Pass(uint64_t offset, uint64_t size) {
    EVE_RETURN_IF_ERROR(core_.file.ReadAt(offset, buffer_.data(), size));
    EVE_RETURN_IF_ERROR(sink_->Write(offset, buffer_.data(), size));
    result_.written_bytes += size;
    progress_.done += size;
    return ReportProgress(core_, options_, progress_);
  }

  absl::Status CopySegment(uint32_t segment) {
    const AccountingRow& row = rows_[segment];
    const uint32_t start = SegmentStartUnits(segment);
    const Offset begin{SegmentOffset(segment).units + start};
    if (row.fill_units < start || row.fill_units > kSegmentUnits) {
      return DamagedSegment(core_, segment, begin.bytes());
    }
    EVE_RETURN_IF_ERROR(Pass(begin.bytes(), BytesOf(segment)));
    const uint64_t units = row.fill_units - start;
    uint64_t sum = 0;
    for (uint64_t at = 0; at < units;) {
      const char* block = buffer_.data() + at * kUnitBytes;
      const Offset offset{begin.units + at};
      BlockHeader header;
      std::memcpy(&header, block, sizeof(header));
      if (header.size_units == 0 || header.size_units > units - at) {
        return DamagedSegment(core_, segment, offset.bytes());
      }
      const uint64_t hash = BlockHash(block, offset, core_.salt);
      if (ChecksumOf(hash) != header.checksum) {
        return DamagedSegment(core_, segment, offset.bytes());
      }
      sum += hash;
      at += header.size_units;
    }
    if (sum != row.sum) return DamagedSegment(core_, segment, begin.bytes());
    return absl::OkStatus();
  }

  // One block that fills several segments.
  absl::Status CopyRun(uint32_t segment) {
    const Offset begin = SegmentOffset(segment);
    const uint64_t end = uint64_t{segment} + rows_[segment].run_length;
    if (end > rows_.size()) {
      return DamagedSegment(core_, segment, begin.bytes());
    }
    for (uint32_t part = segment; part < end; ++part) {
      const uint64_t size = BytesOf(part);
      if (size > kSegmentBytes) {
        return DamagedSegment(core_, segment, begin.bytes());
      }
      EVE_RETURN_IF_ERROR(Pass(SegmentOffset(part).bytes(), size));
    }
    // In one piece in the view, and it has just been read.
    const auto* header = core_.FileView().As<BlockHeader>(begin);
    const uint64_t room = (end - segment) * kSegmentUnits;
    if (header->size_units <= kSegmentUnits || header->size_units > room) {
      return DamagedSegment(core_, segment, begin.bytes());
    }
    const uint64_t hash = BlockHash(header, begin, core_.salt);
    if (hash != rows_[segment].sum || ChecksumOf(hash) != header->checksum) {
      return DamagedSegment(core_, segment, begin.bytes());
    }
    return absl::OkStatus();
  }

  const SnapshotImpl& snapshot_;
  const Core& core_;
  CopySink* sink_;
  const BackupOptions& options_;
  std::vector<char> buffer_;
  std::vector<AccountingRow> rows_;
  BackupResult result_;
  BackupProgress progress_;
};

// A file that gets its name when it is whole.
class TemporaryCopy {
 public:
  // `mode` is of the name that it may have at first.
  TemporaryCopy(const Core& source, const std::string& path, mode_t mode)
      : source_(source), path_(path), mode_(mode) {}
  ~TemporaryCopy() {
    // A child's parent goes on with it.
    if (!name_.empty() && source_.CheckUsable().ok()) ::unlink(name_.c_str());
  }
  TemporaryCopy(const TemporaryCopy&) = delete;
  TemporaryCopy& operator=(const TemporaryCopy&) = delete;

  absl::Status Create() {
    absl::StatusOr<File> file = File::CreateUnnamed(path_);
    if (!file.ok() && !absl::IsNotFound(file.status()) &&
        !absl::IsPermissionDenied(file.status())) {
      // File systems without unnamed files.
      const std::string name = FreshName();
      file = File::Open(name, O_CREAT | O_EXCL | O_RDWR, mode_);
      if (file.ok()) name_ = name;
    }
    EVE_RETURN_IF_ERROR(file.status());
    file_ = *std::move(file);
    return absl::OkStatus();
  }

  const File& file() const { return file_; }

  // Of a file that is to have no name at all. It lives as long as this.
  absl::Status DropName() {
    if (name_.empty()) return absl::OkStatus();
    int error = EVE_FAULT("backup.unlink");
    if (error == 0 && ::unlink(name_.c_str()) != 0) error = errno;
    if (error != 0) return ErrnoStatus(error, absl::StrCat("unlink ", name_));
    name_.clear();
    return absl::OkStatus();
  }

  absl::Status TakeName(bool overwrite) {
    EVE_STEP("backup.before_rename");
    int error = EVE_FAULT("backup.rename");
    // rename(2) would replace what has come there meanwhile.
    if (error == 0) error = LinkTo(path_);
    const bool replaces = error == EEXIST && overwrite;
    if (replaces) error = Replace();
    if (error == EEXIST) {
      return absl::AlreadyExistsError(absl::StrCat(path_, ": exists"));
    }
    if (error != 0) {
      return ErrnoStatus(error, absl::StrCat("rename to ", path_));
    }
    EVE_STEP("backup.renamed");
    absl::Status synced = SyncNewName(file_, path_);
    // What was replaced is gone: then the copy stays, which is whole.
    if (!synced.ok() && !replaces) ::unlink(path_.c_str());
    return synced;
  }

 private:
  std::string FreshName() const {
    uint32_t unique;
    FillRandom(&unique, sizeof(unique));
    return absl::StrCat(path_, ".copy-", absl::Hex(unique, absl::kZeroPad8));
  }

  // Both return an errno.
  int LinkTo(const std::string& to) const {
    if (name_.empty()) return file_.LinkTo(to);
    if (const int error = EVE_FAULT("file.link"); error != 0) return error;
    return ::link(name_.c_str(), to.c_str()) == 0 ? 0 : errno;
  }
  int Replace() {
    // Only what has a name can take the place of another.
    if (name_.empty()) {
      const std::string name = FreshName();
      if (const int error = LinkTo(name); error != 0) return error;
      name_ = name;
    }
    EVE_STEP("backup.named");
    if (const int error = EVE_FAULT("file.rename"); error != 0) return error;
    if (::rename(name_.c_str(), path_.c_str()) != 0) return errno;
    name_.clear();
    return 0;
  }

  const Core& source_;
  const std::string path_;
  const mode_t mode_;
  File file_;
  std::string name_;  // to be removed; empty if there is none
};

absl::Status CheckDestination(const Core& source, const std::string& path,
                              bool overwrite) {
  struct stat info;
  int error = EVE_FAULT("file.stat_path");
  if (error == 0 && ::stat(path.c_str(), &info) != 0) error = errno;
  if (error == ENOENT) return absl::OkStatus();
  if (error != 0) return ErrnoStatus(error, absl::StrCat("stat ", path));
  // Nor is a device replaced.
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": not a regular file"));
  }
  const absl::StatusOr<File> there = File::Open(path, O_RDONLY);
  if (there.ok()) {
    EVE_ASSIGN_OR_RETURN(const FileIdentity its, there->Identity());
    EVE_ASSIGN_OR_RETURN(const FileIdentity own, source.file.Identity());
    if (its == own) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": is the domain itself; name another file"));
    }
  }
  if (!overwrite) {
    return absl::AlreadyExistsError(absl::StrCat(
        path, ": exists; name another file, or say that it may go"));
  }
  EVE_RETURN_IF_ERROR(there.status());
  // Those who have it open would go on with a file that has no name.
  EVE_ASSIGN_OR_RETURN(const bool is_open,
                       IsRangeLockedByOther(*there, kUnpinnedReadersLockByte,
                                            kRegionLockRange + 1));
  if (is_open) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": somebody has it open; close it there first"));
  }
  return absl::OkStatus();
}

absl::Status DamageOf(const std::string& path, const VerifyReport& report) {
  if (report.ok()) return absl::OkStatus();
  const VerifyError& first = report.errors.front();
  return absl::DataLossError(absl::StrCat(
      path, ": ", report.error_count, " errors, the first at offset ",
      first.offset, ": ", first.what, ", expected ", first.expected, ", found ",
      first.found));
}

// From the device, not from what is left in memory of writing it.
absl::Status VerifyCopy(const File& file, uint64_t version, bool compact) {
  file.DropCache();
  EVE_ASSIGN_OR_RETURN(const VerifyReport report, VerifyDomain(file));
  EVE_RETURN_IF_ERROR(DamageOf("the copy", report));
  if (!compact && report.version != version) {
    return absl::DataLossError(absl::StrCat("the copy has version ",
                                            report.version, ", not ", version));
  }
  return absl::OkStatus();
}

absl::StatusOr<BackupResult> WritePlain(const SnapshotImpl& snapshot,
                                        const File& file,
                                        const BackupOptions& options) {
  FileSink sink(&file);
  EVE_ASSIGN_OR_RETURN(const BackupResult result,
                       PlainCopy(snapshot, &sink, options).Run());
  EVE_STEP("backup.written");
  EVE_RETURN_IF_ERROR(file.Sync());
  return result;
}

// What is copied record by record is not copied with its checksums: so that rot
// does not become right, all of it is verified first.
absl::StatusOr<BackupResult> WriteChecked(const SnapshotImpl& snapshot,
                                          const File& file,
                                          const BackupOptions& options) {
  VerifyOptions at;
  at.record_offset = snapshot.record_offset().bytes();
  EVE_ASSIGN_OR_RETURN(const VerifyReport report,
                       VerifyDomain(snapshot.core().file, at));
  EVE_RETURN_IF_ERROR(DamageOf(snapshot.core().path, report));
  EVE_RETURN_IF_ERROR(WritePacked(snapshot, file, options));
  EVE_STEP("backup.written");
  EVE_RETURN_IF_ERROR(file.Sync());
  BackupResult result;
  result.version = snapshot.record().version;
  EVE_ASSIGN_OR_RETURN(result.file_bytes, file.Size());
  EVE_ASSIGN_OR_RETURN(result.written_bytes, file.DiskBytes());
  return result;
}

// What a domain is packed into that has no file of its own.
std::string ScratchPath() {
  const char* folder = ::secure_getenv("TMPDIR");
  if (folder == nullptr || *folder == '\0') folder = "/tmp";
  return absl::StrCat(folder, "/eve-packed");
}

// All of it is in the file before the first byte goes out: to pack is to write
// here and there.
absl::StatusOr<BackupResult> StreamPacked(const SnapshotImpl& snapshot,
                                          StreamSink& sink,
                                          const BackupOptions& options) {
  // Many may open what is in the folder; whoever did would have all that is
  // written later.
  TemporaryCopy scratch(snapshot.core(), ScratchPath(), kOwnMode);
  EVE_RETURN_IF_ERROR(scratch.Create());
  EVE_RETURN_IF_ERROR(scratch.DropName());
  const File& file = scratch.file();
  EVE_ASSIGN_OR_RETURN(const BackupResult result,
                       WriteChecked(snapshot, file, options));
  EVE_RETURN_IF_ERROR(ReportProgress(
      snapshot.core(), options,
      BackupProgress{true, result.written_bytes, result.written_bytes}));
  EVE_RETURN_IF_ERROR(VerifyCopy(file, result.version, /*compact=*/true));
  std::vector<char> buffer(kSegmentBytes);
  for (uint64_t at = 0; at < result.file_bytes;) {
    const uint64_t size =
        std::min<uint64_t>(buffer.size(), result.file_bytes - at);
    EVE_RETURN_IF_ERROR(file.ReadAt(at, buffer.data(), size));
    EVE_RETURN_IF_ERROR(sink.Write(at, buffer.data(), size));
    at += size;
    EVE_RETURN_IF_ERROR(
        ReportProgress(snapshot.core(), options,
                       BackupProgress{false, at, result.file_bytes}));
  }
  return result;
}

}  // namespace

absl::Status ReportProgress(const Core& source, const BackupOptions& options,
                            const BackupProgress& now) {
  if (!options.progress) return absl::OkStatus();
  const bool goes_on = options.progress(now);
  EVE_RETURN_IF_ERROR(source.CheckUsable());
  if (goes_on) return absl::OkStatus();
  return absl::CancelledError("stopped by the progress callback");
}

absl::StatusOr<BackupResult> BackupToPath(const SnapshotImpl& snapshot,
                                          const std::string& path,
                                          const BackupOptions& options) {
  const Core& core = snapshot.core();
  EVE_RETURN_IF_ERROR(core.CheckUsable());
  EVE_RETURN_IF_ERROR(CheckDestination(core, path, options.overwrite));
  TemporaryCopy copy(core, path, kCopyMode);
  EVE_RETURN_IF_ERROR(copy.Create());
  EVE_ASSIGN_OR_RETURN(const BackupResult result,
                       options.compact
                           ? WriteChecked(snapshot, copy.file(), options)
                           : WritePlain(snapshot, copy.file(), options));
  EVE_RETURN_IF_ERROR(ReportProgress(
      core, options,
      BackupProgress{true, result.written_bytes, result.written_bytes}));
  EVE_RETURN_IF_ERROR(VerifyCopy(copy.file(), result.version, options.compact));
  EVE_RETURN_IF_ERROR(CheckDestination(core, path, options.overwrite));
  EVE_RETURN_IF_ERROR(copy.TakeName(options.overwrite));
  return result;
}

absl::StatusOr<BackupResult> BackupToStream(const SnapshotImpl& snapshot,
                                            int descriptor,
                                            const BackupOptions& options) {
  EVE_RETURN_IF_ERROR(snapshot.core().CheckUsable());
  StreamSink sink(descriptor);
  if (options.compact) return StreamPacked(snapshot, sink, options);
  return PlainCopy(snapshot, &sink, options).Run();
}

}  // namespace eve::internal
