#include "engine/file/file_lock.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "util/failpoint.h"

namespace eve {
namespace {

struct flock MakeLock(short type, uint64_t first, uint64_t count) {
  struct flock lock;
  std::memset(&lock, 0, sizeof(lock));
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(first);
  lock.l_len = static_cast<off_t>(count);
  return lock;  // l_pid is 0, as OFD locks demand
}

short TypeOf(LockKind kind) {
  return kind == LockKind::kExclusive ? F_WRLCK : F_RDLCK;
}

}  // namespace

absl::StatusOr<bool> TryLockByte(const File& file, uint64_t byte,
                                 LockKind kind) {
  if (int error = EVE_FAULT("file.lock"); error != 0) {
    return ErrnoStatus(error, absl::StrCat(file.path(), ": lock"));
  }
  struct flock lock = MakeLock(TypeOf(kind), byte, 1);
  while (::fcntl(file.fd(), F_OFD_SETLK, &lock) != 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EACCES) return false;
    return ErrnoStatus(errno, absl::StrCat(file.path(), ": lock"));
  }
  return true;
}

absl::Status LockByte(const File& file, uint64_t byte, LockKind kind,
                      absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    absl::StatusOr<bool> taken = TryLockByte(file, byte, kind);
    if (!taken.ok()) return taken.status();
    if (*taken) return absl::OkStatus();
    if (absl::Now() >= deadline) {
      struct flock lock = MakeLock(TypeOf(kind), byte, 1);
      ::fcntl(file.fd(), F_OFD_GETLK, &lock);
      return absl::DeadlineExceededError(absl::StrCat(
          file.path(),
          ": another process (it may be stopped) has held the "
          "opening lock for ",
          absl::FormatDuration(timeout), "; look for it with lslocks"));
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
}

void UnlockByte(const File& file, uint64_t byte) {
  struct flock lock = MakeLock(F_UNLCK, byte, 1);
  while (::fcntl(file.fd(), F_OFD_SETLK, &lock) != 0 && errno == EINTR) {
  }
}

absl::StatusOr<bool> IsRangeLockedByOther(const File& file, uint64_t first,
                                          uint64_t count) {
  if (count == 0) return false;
  struct flock lock = MakeLock(F_WRLCK, first, count);
  while (::fcntl(file.fd(), F_OFD_GETLK, &lock) != 0) {
    if (errno == EINTR) continue;
    return ErrnoStatus(errno, absl::StrCat(file.path(), ": query lock"));
  }
  return lock.l_type != F_UNLCK;
}

}  // namespace eve
