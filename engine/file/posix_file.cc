#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "engine/file/file.h"
#include "engine/file/file_observer.h"
#include "engine/file/fork_gate.h"
#include "engine/format/constants.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// Moves a descriptor above the standard streams.
int AboveStandardStreams(int fd) {
  if (fd > 2 || fd < 0) return fd;
  const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  const int error = errno;
  ::close(fd);
  errno = error;
  return moved;
}

constexpr char kErrnoPayload[] = "eve/errno";
constexpr char kFullAdvice[] =
    "; free some disk space and try again, nothing was lost";

absl::Status WithErrno(absl::Status status, int error) {
  status.SetPayload(kErrnoPayload, absl::Cord(absl::StrCat(error)));
  return status;
}

// Without the advice of ErrnoStatus: after a failed flush it is too late for
// it.
absl::Status FlushError(int error, const std::string& what) {
  return WithErrno(absl::Status(ErrnoStatus(error, what).code(),
                                absl::StrCat(what, ": ", std::strerror(error))),
                   error);
}

std::string LinkOf(int fd) { return absl::StrCat("/proc/self/fd/", fd); }

}  // namespace

absl::Status ErrnoStatus(int error, const std::string& what) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(
          absl::StrCat(what, ": ", std::strerror(error), kFullAdvice));
    case EFBIG:
      return absl::ResourceExhaustedError(
          absl::StrCat(what, ": ", std::strerror(error),
                       "; the file system or a limit (ulimit -f) caps it"));
    case EISDIR:
      return absl::InvalidArgumentError(
          absl::StrCat(what, ": it is a directory; name a file"));
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(
          absl::StrCat(what, ": ", std::strerror(error)));
    default:
      return absl::ErrnoToStatus(error, what);
  }
}

std::string WithoutAdvice(const absl::Status& status) {
  const std::string said(status.message());
  return said.substr(0, said.find(kFullAdvice));
}

int ErrnoOf(const absl::Status& status, int otherwise) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kErrnoPayload);
  int error = otherwise;
  if (payload.has_value() && !absl::SimpleAtoi(std::string(*payload), &error)) {
    return otherwise;
  }
  return error;
}

File::File(File&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      is_uninherited_(std::exchange(other.is_uninherited_, false)),
      path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    Close();
    fd_ = std::exchange(other.fd_, -1);
    is_uninherited_ = std::exchange(other.is_uninherited_, false);
    path_ = std::move(other.path_);
  }
  return *this;
}

File::~File() { Close(); }

void File::Close() {
  if (fd_ < 0) return;
  const int fd = std::exchange(fd_, -1);
  if (std::exchange(is_uninherited_, false)) {
    ForkGate::Get().Close(fd);
  } else {
    ::close(fd);
  }
}

absl::StatusOr<File> File::Uninherited(
    absl::FunctionRef<absl::StatusOr<File>()> open) {
  ForkGate& gate = ForkGate::Get();
  while (true) {
    const uint64_t forks = gate.forks();
    absl::StatusOr<File> file = open();
    if (!file.ok()) return file;
    EVE_STEP("file.opened");
    if (gate.AddUnlessForked(file->fd_, forks)) {
      file->is_uninherited_ = true;
      return file;
    }
    // A child may have this open file, and would keep its lock bytes. The gate
    // is not held over the call instead: opening may take long (a pipe, a file
    // system far away), and a fork must not.
  }
}

absl::StatusOr<File> File::Open(const std::string& path, int flags,
                                mode_t mode) {
  if (int error = EVE_FAULT("file.open"); error != 0) {
    return ErrnoStatus(error, absl::StrCat("open ", path));
  }
  const int fd =
      AboveStandardStreams(::open(path.c_str(), flags | O_CLOEXEC, mode));
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("open ", path));
  return File(fd, path);
}

absl::StatusOr<File> File::OpenUninherited(const std::string& path, int flags) {
  return Uninherited([&] { return Open(path, flags); });
}

absl::StatusOr<File> File::OpenAgain() const {
  absl::StatusOr<File> again = Open(LinkOf(fd_), O_RDONLY);
  if (again.ok()) again->path_ = path_;
  return again;
}

int File::OpenDirect(File* direct) const {
  if (const int error = EVE_FAULT("file.open_device")) return error;
  struct statfs info;
  if (::fstatfs(fd_, &info) == 0 &&
      (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC)) {
    return EOPNOTSUPP;
  }
  int error = 0;
  absl::StatusOr<File> opened = Uninherited([&]() -> absl::StatusOr<File> {
    const int fd = AboveStandardStreams(
        ::open(LinkOf(fd_).c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
    if (fd >= 0) return File(fd, path_);
    error = errno;
    return ErrnoStatus(error, absl::StrCat("open ", path_));
  });
  if (opened.ok()) *direct = *std::move(opened);
  return error;
}

absl::StatusOr<File> File::CreateUnnamed(const std::string& path) {
  if (int error = EVE_FAULT("file.create_unnamed"); error != 0) {
    return ErrnoStatus(error, absl::StrCat("open ", path));
  }
  absl::StatusOr<File> file = Open(DirectoryOf(path), O_TMPFILE | O_RDWR);
  if (!file.ok()) return file;
  // Where /proc is missing it could not get a name.
  if (::access(LinkOf(file->fd_).c_str(), F_OK) != 0) {
    return ErrnoStatus(EOPNOTSUPP, absl::StrCat("open ", path));
  }
  file->path_ = path;
  return file;
}

absl::StatusOr<File> File::Duplicate() const {
  if (int error = EVE_FAULT("file.duplicate"); error != 0) {
    return ErrnoStatus(error, absl::StrCat(path_, ": fcntl"));
  }
  return Uninherited([&]() -> absl::StatusOr<File> {
    const int fd = ::fcntl(fd_, F_DUPFD_CLOEXEC, 3);
    if (fd < 0) return ErrnoStatus(errno, absl::StrCat(path_, ": fcntl"));
    return File(fd, path_);
  });
}

int File::LinkTo(const std::string& path) const {
  if (int error = EVE_FAULT("file.link"); error != 0) return error;
  const int done = ::linkat(AT_FDCWD, LinkOf(fd_).c_str(), AT_FDCWD,
                            path.c_str(), AT_SYMLINK_FOLLOW);
  return done == 0 ? 0 : errno;
}

absl::StatusOr<File> File::CreateMemory(const std::string& name) {
  if (int error = EVE_FAULT("file.create_memory"); error != 0) {
    return ErrnoStatus(error, "memfd_create");
  }
  return Uninherited([&]() -> absl::StatusOr<File> {
    const int fd = AboveStandardStreams(
        static_cast<int>(::memfd_create(name.c_str(), MFD_CLOEXEC)));
    if (fd < 0) return ErrnoStatus(errno, "memfd_create");
    return File(fd, absl::StrCat("memory:", name));
  });
}

absl::Status File::Error(int error, const char* call, uint64_t offset,
                         uint64_t size) const {
  return ErrnoStatus(error, absl::StrCat(path_, ": ", call, " of ", size,
                                         " bytes at offset ", offset));
}

absl::Status File::ReadAt(uint64_t offset, void* data, uint64_t size) const {
  if (int error = EVE_FAULT("file.read"); error != 0) {
    return Error(error, "read", offset, size);
  }
  char* to = static_cast<char*>(data);
  uint64_t done = 0;
  while (done < size) {
    const ssize_t n =
        ::pread(fd_, to + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error(errno, "read", offset, size);
    if (n == 0) {
      return absl::OutOfRangeError(absl::StrCat(
          path_, ": the file ends at offset ", Size().value_or(offset + done),
          ", expected ", size, " bytes at offset ", offset));
    }
    done += static_cast<uint64_t>(n);
  }
  return absl::OkStatus();
}

// Whether the file may not become so long. The kernel would not only refuse it,
// but send a signal (SIGXFSZ) by which a process ends that has not thought of
// it.
static bool IsAboveLimit(int fd, uint64_t end) {
  rlimit limit;
  struct stat info;
  return ::getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
         limit.rlim_cur != RLIM_INFINITY && end > limit.rlim_cur &&
         ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
         end > static_cast<uint64_t>(info.st_size);
}

absl::Status File::WriteAt(uint64_t offset, const void* data,
                           uint64_t size) const {
  const auto write = [&] {
    if (IsAboveLimit(fd_, offset + size)) return EFBIG;
    const char* from = static_cast<const char*>(data);
    uint64_t done = 0;
    while (done < size) {
      const ssize_t n = ::pwrite(fd_, from + done, size - done,
                                 static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno;
      done += static_cast<uint64_t>(n);
    }
    return 0;
  };
  const int error = Observed({FileOp::kWrite, fd_, path_, offset, size},
                             EVE_FAULT("file.write"), write);
  if (error != 0) return WithErrno(Error(error, "write", offset, size), error);
  return absl::OkStatus();
}

absl::Status File::StartWriteBack(uint64_t offset, uint64_t size,
                                  absl::FunctionRef<int()> call) const {
  const int error = Observed({FileOp::kWriteBack, fd_, path_, offset, size},
                             EVE_FAULT("file.write_back"), call);
  if (error != 0) {
    return WithErrno(Error(error, "write-back", offset, size), error);
  }
  return absl::OkStatus();
}

namespace {

// The result of a call that is made again while signals interrupt it.
template <class MakeCall>
int Uninterrupted(MakeCall make_call) {
  while (make_call() != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

}  // namespace

absl::Status File::Allocate(uint64_t offset, uint64_t size) const {
  const auto allocate = [&] {
    if (IsAboveLimit(fd_, offset + size)) return EFBIG;
    return Uninterrupted([&] {
      return ::fallocate(fd_, 0, static_cast<off_t>(offset),
                         static_cast<off_t>(size));
    });
  };
  const int error = Observed({FileOp::kAllocate, fd_, path_, offset, size},
                             EVE_FAULT("file.allocate"), allocate);
  if (error != 0) return Error(error, "fallocate", offset, size);
  return absl::OkStatus();
}

absl::Status File::PunchHole(uint64_t offset, uint64_t size) const {
  const auto punch = [&] {
    return Uninterrupted([&] {
      return ::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                         static_cast<off_t>(offset), static_cast<off_t>(size));
    });
  };
  const int error = Observed({FileOp::kPunch, fd_, path_, offset, size},
                             EVE_FAULT("file.punch"), punch);
  if (error != 0) return Error(error, "punch", offset, size);
  return absl::OkStatus();
}

absl::Status File::Truncate(uint64_t size) const {
  const auto truncate = [&] {
    if (IsAboveLimit(fd_, size)) return EFBIG;
    return Uninterrupted(
        [&] { return ::ftruncate(fd_, static_cast<off_t>(size)); });
  };
  const int error = Observed({FileOp::kTruncate, fd_, path_, size},
                             EVE_FAULT("file.truncate"), truncate);
  if (error != 0) return Error(error, "ftruncate", size, 0);
  return absl::OkStatus();
}

absl::Status File::Datasync() const {
  return Datasync([&] { return ::fdatasync(fd_) == 0 ? 0 : errno; });
}

void File::TryDatasync() const {
  const auto sync = [&] { return ::fdatasync(fd_) == 0 ? 0 : errno; };
  Observed({FileOp::kDatasync, fd_, path_}, EVE_FAULT("file.try_datasync"),
           sync);
}

absl::Status File::Datasync(absl::FunctionRef<int()> call) const {
  const int error = Observed({FileOp::kDatasync, fd_, path_},
                             EVE_FAULT("file.datasync"), call);
  if (error == 0) return absl::OkStatus();
  return FlushError(error, absl::StrCat(path_, ": fdatasync"));
}

absl::Status File::Sync() const {
  const auto sync = [&] { return ::fsync(fd_) == 0 ? 0 : errno; };
  const int error =
      Observed({FileOp::kSync, fd_, path_}, EVE_FAULT("file.sync"), sync);
  if (error == 0) return absl::OkStatus();
  return FlushError(error, absl::StrCat(path_, ": fsync"));
}

absl::Status File::SyncFileSystem() const {
  const auto sync = [&] { return ::syncfs(fd_) == 0 ? 0 : errno; };
  const int error =
      Observed({FileOp::kSync, fd_, path_}, EVE_FAULT("file.sync"), sync);
  if (error == 0) return absl::OkStatus();
  return ErrnoStatus(error, absl::StrCat(path_, ": syncfs"));
}

absl::StatusOr<struct ::stat> File::Stat() const {
  if (int error = EVE_FAULT("file.stat"); error != 0) {
    return ErrnoStatus(error, absl::StrCat(path_, ": fstat"));
  }
  struct ::stat info;
  if (::fstat(fd_, &info) != 0) {
    return ErrnoStatus(errno, absl::StrCat(path_, ": fstat"));
  }
  return info;
}

absl::StatusOr<uint64_t> File::Size() const {
  EVE_ASSIGN_OR_RETURN(const struct ::stat info, Stat());
  return static_cast<uint64_t>(info.st_size);
}

absl::StatusOr<uint64_t> File::DiskBytes() const {
  EVE_ASSIGN_OR_RETURN(const struct ::stat info, Stat());
  return static_cast<uint64_t>(info.st_blocks) * 512;
}

uint64_t File::AvailableBytes() const {
  if (EVE_FAULT("file.statvfs") != 0) return UINT64_MAX;
  struct statvfs info;
  // Files in memory have a file system without a size.
  if (::fstatvfs(fd_, &info) != 0 || info.f_blocks == 0) return UINT64_MAX;
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

std::optional<CachedBytes> File::InCache() const {
  if (EVE_FAULT("file.cachestat") != 0) return std::nullopt;
  // cachestat(2); no header of Debian 12 has it.
  constexpr long kCachestat = 451;
  struct {
    uint64_t offset = 0;
    uint64_t size = 0;  // all of it
  } range;
  struct {
    uint64_t cached, dirty, under_way, evicted, recently_evicted;
  } pages{};
  if (::syscall(kCachestat, fd_, &range, &pages, 0) != 0) return std::nullopt;
  return CachedBytes{pages.cached * kPageBytes,
                     (pages.dirty + pages.under_way) * kPageBytes};
}

absl::StatusOr<FileIdentity> File::Identity() const {
  EVE_ASSIGN_OR_RETURN(const struct ::stat info, Stat());
  return FileIdentity{info.st_dev, info.st_ino};
}

bool File::MayHoldData(uint64_t offset, uint64_t size) const {
  if (EVE_FAULT("file.seek_data") != 0) return true;
  const off_t data = ::lseek(fd_, static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0) return errno != ENXIO;  // ENXIO: none to the end of the file
  return static_cast<uint64_t>(data) < offset + size;
}

void File::DropCache() const {
  // Advice only: a failure leaves the cache as it was.
  Observed({FileOp::kDropCache, fd_, path_}, 0,
           [&] { return ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED); });
}

absl::StatusOr<FileIdentity> IdentityOfPath(const std::string& path) {
  if (int error = EVE_FAULT("file.stat_path"); error != 0) {
    return ErrnoStatus(error, absl::StrCat("stat ", path));
  }
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) {
    return ErrnoStatus(errno, absl::StrCat("stat ", path));
  }
  return FileIdentity{info.st_dev, info.st_ino};
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status SyncNameOf(const std::string& path) {
  absl::StatusOr<File> opened =
      File::Open(DirectoryOf(path), O_RDONLY | O_DIRECTORY);
  if (!opened.ok()) return opened.status();
  return opened->Sync();
}

absl::Status SyncNewName(const File& file, const std::string& path) {
  absl::Status synced = SyncNameOf(path);
  return absl::IsPermissionDenied(synced) ? file.SyncFileSystem() : synced;
}

}  // namespace eve
