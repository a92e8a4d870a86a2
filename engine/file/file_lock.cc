#include "engine/file/file_lock.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "util/clock.h"
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

struct LockBytes {
  uint64_t first;
  uint64_t last;
};

// Whether a line of /proc/PID/fdinfo/FD is of an OFD lock on any of these. They
// look like "lock:\t1: OFDLCK  ADVISORY  WRITE -1 00:2f:77 1099511627776 EOF".
bool IsLockOf(const std::string& line, const LockBytes& bytes) {
  const std::vector<std::string> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (words.size() != 9 || words[0] != "lock:" || words[2] != "OFDLCK") {
    return false;
  }
  uint64_t first = 0;
  uint64_t last = ~uint64_t{0};
  return absl::SimpleAtoi(words[7], &first) &&
         (words[8] == "EOF" || absl::SimpleAtoi(words[8], &last)) &&
         first <= bytes.last && bytes.first <= last;
}

// The names in a folder that may change or go meanwhile.
std::vector<std::string> NamesIn(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator at(folder, error);
  while (!error && at != std::filesystem::directory_iterator()) {
    names.push_back(at->path().filename());
    at.increment(error);
  }
  return names;
}

bool HasSuchALock(const std::string& process, const std::string& descriptor,
                  const LockBytes& bytes) {
  std::ifstream lines(absl::StrCat(process, "/fdinfo/", descriptor));
  for (std::string line; std::getline(lines, line);) {
    if (IsLockOf(line, bytes)) return true;
  }
  return false;
}

// Does not look at what other descriptors lead to: that may be on a server that
// does not answer.
bool HoldsLock(const std::string& process, const FileIdentity& file,
               const LockBytes& bytes) {
  for (const std::string& name : NamesIn(process + "/fdinfo")) {
    if (!HasSuchALock(process, name, bytes)) continue;
    const absl::StatusOr<FileIdentity> its =
        IdentityOfPath(absl::StrCat(process, "/fd/", name));
    if (its.ok() && *its == file) return true;
  }
  return false;
}

}  // namespace

std::string DescribeHolders(const File& file, uint64_t first, uint64_t count) {
  const LockBytes bytes = {first, first + count - 1};
  const absl::StatusOr<FileIdentity> identity = file.Identity();
  std::vector<std::string> holders;
  for (const std::string& id : NamesIn("/proc")) {
    const std::string process = "/proc/" + id;
    uint64_t number = 0;
    if (!identity.ok() || !absl::SimpleAtoi(id, &number) ||
        !HoldsLock(process, *identity, bytes)) {
      continue;
    }
    std::string name;
    std::getline(std::ifstream(process + "/comm"), name);
    holders.push_back(absl::StrCat("process ", id, " (", name, ")"));
  }
  std::sort(holders.begin(), holders.end());
  if (holders.empty()) return "another process";
  return absl::StrJoin(holders, ", ");
}

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
  // Not by the wall clock, which may be set meanwhile.
  const uint64_t begin = MonotonicNanos();
  while (true) {
    absl::StatusOr<bool> taken = TryLockByte(file, byte, kind);
    if (!taken.ok()) return taken.status();
    if (*taken) return absl::OkStatus();
    if (absl::Nanoseconds(MonotonicNanos() - begin) >= timeout) {
      return absl::DeadlineExceededError(
          absl::StrCat(file.path(), ": waited ", absl::FormatDuration(timeout),
                       " for a lock that opening needs; it is held by ",
                       DescribeHolders(file, byte), ". Is it stopped?"));
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
  if (int error = EVE_FAULT("file.query_lock"); error != 0) {
    return ErrnoStatus(error, absl::StrCat(file.path(), ": query lock"));
  }
  struct flock lock = MakeLock(F_WRLCK, first, count);
  while (::fcntl(file.fd(), F_OFD_GETLK, &lock) != 0) {
    if (errno == EINTR) continue;
    return ErrnoStatus(errno, absl::StrCat(file.path(), ": query lock"));
  }
  return lock.l_type != F_UNLCK;
}

}  // namespace eve
