// File: an open file descriptor and the system calls that Eve makes on it.
//
// Threads:    const methods may be called concurrently.
// Processes:  descriptors are close-on-exec. Nothing here is safe in a forked
//             child but Close().
// Owns:       the descriptor.
// Lifetime:   closes on destruction. Closing drops the OFD locks taken on it.
// Errors:     absl::Status from errno, naming the call, the path and the range.
// Cost:       one system call each, unless said otherwise.
//
// Every call passes a named fault point (util/failpoint.h), so that tests can
// make the N-th one fail.
#ifndef EVE_ENGINE_FILE_FILE_H_
#define EVE_ENGINE_FILE_FILE_H_

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace eve {

// Of a file's content, what the page cache has; and what is in memory only: not
// yet written, or on its way.
struct CachedBytes {
  uint64_t all = 0;
  uint64_t dirty = 0;
};

struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  friend bool operator==(FileIdentity, FileIdentity) = default;
};

class File {
 public:
  File() = default;
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File();

  // `flags` as in open(2); O_CLOEXEC is added. Never returns descriptors 0 to
  // 2: a stray print to a closed stderr must not reach a domain. What it
  // creates gets `mode`, without what the umask forbids.
  static absl::StatusOr<File> Open(const std::string& path, int flags,
                                   mode_t mode = 0644);
  // The same of a file that gets lock bytes: a forked child closes it before
  // anything else (fork_gate.h). May open it more than once, so not for O_EXCL.
  static absl::StatusOr<File> OpenUninherited(const std::string& path,
                                              int flags);
  // The same file opened once more, for reading: it has no part in the lock
  // bytes taken through this one. Fails where /proc is missing.
  absl::StatusOr<File> OpenAgain() const;
  // And for reading from the device, past the page cache; a forked child does
  // not inherit it. Returns an errno: EOPNOTSUPP for files in memory, EINVAL
  // where the file system has no such reads.
  int OpenDirect(File* direct) const;
  // A new file without a name, in the folder of `path`, for reading and
  // writing. If its creator dies before it gets one (LinkTo), nothing is left
  // of it. Its errors name `path`. Not every file system can make one.
  static absl::StatusOr<File> CreateUnnamed(const std::string& path);
  // An anonymous file in memory (memfd), not inherited either.
  static absl::StatusOr<File> CreateMemory(const std::string& name);

  // Another descriptor of the same open file: they share their lock bytes. This
  // one is not inherited.
  absl::StatusOr<File> Duplicate() const;
  // Gives a file of CreateUnnamed() a name, if nothing has that; else EEXIST.
  // Returns an errno.
  int LinkTo(const std::string& path) const;

  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  const std::string& path() const { return path_; }

  // kOutOfRange when the file ends before `size` bytes.
  absl::Status ReadAt(uint64_t offset, void* data, uint64_t size) const;
  absl::Status WriteAt(uint64_t offset, const void* data, uint64_t size) const;
  // Backs [offset, offset + size) with disk space and extends the file when it
  // is shorter. Never shrinks, never writes over data, may be repeated.
  absl::Status Allocate(uint64_t offset, uint64_t size) const;
  // Gives the space of [offset, offset + size) back; it reads zeroes then.
  absl::Status PunchHole(uint64_t offset, uint64_t size) const;
  // Cuts the file. REQUIRES: nobody maps or will write what lies behind (P26).
  absl::Status Truncate(uint64_t size) const;
  // fdatasync. A failure is final: the kernel forgets which pages it lost.
  absl::Status Datasync() const;
  // The same of what is better on the disk and need not be: if it fails, that
  // is no flush that somebody was promised.
  void TryDatasync() const;
  // The same by `call`, which makes it in another way (write_back.h) and gives
  // an errno.
  absl::Status Datasync(absl::FunctionRef<int()> call) const;
  // Begins to write [offset, offset + size), or a part of it, to the device, by
  // `call` as well.
  absl::Status StartWriteBack(uint64_t offset, uint64_t size,
                              absl::FunctionRef<int()> call) const;
  absl::Status Sync() const;
  // syncfs(2): all that its file system has not written yet, names too.
  absl::Status SyncFileSystem() const;
  // fstat(2).
  absl::StatusOr<struct ::stat> Stat() const;
  absl::StatusOr<uint64_t> Size() const;
  // Disk blocks in use, in bytes.
  absl::StatusOr<uint64_t> DiskBytes() const;
  // What the file system has left for files, in bytes; UINT64_MAX where it does
  // not say so, or has no end. Quotas do not show in it.
  uint64_t AvailableBytes() const;
  // Nothing where the kernel cannot tell (before Linux 6.5).
  std::optional<CachedBytes> InCache() const;
  absl::StatusOr<FileIdentity> Identity() const;
  // Whether the range may hold anything but space that was never stored to; if
  // the file system cannot tell, it may.
  bool MayHoldData(uint64_t offset, uint64_t size) const;
  // Asks the kernel to drop clean cached pages, so that what is read next comes
  // from the device.
  void DropCache() const;

  void Close();

 private:
  File(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  absl::Status Error(int error, const char* call, uint64_t offset,
                     uint64_t size) const;

  // Opens what a forked child is to close. `open`: may be called again.
  static absl::StatusOr<File> Uninherited(
      absl::FunctionRef<absl::StatusOr<File>()> open);

  int fd_ = -1;
  bool is_uninherited_ = false;  // listed at the fork gate
  std::string path_;
};

absl::StatusOr<FileIdentity> IdentityOfPath(const std::string& path);

// Of the folder that `path` is in.
std::string DirectoryOf(const std::string& path);

// Makes a rename or link in the folder of `path` durable. kPermissionDenied:
// this process may not read the folder.
absl::Status SyncNameOf(const std::string& path);
// As above, of the name that was just given to `file`, with a flush of the
// whole file system if need be.
absl::Status SyncNewName(const File& file, const std::string& path);

// errno as a Status: "<what>: <strerror>". ENOSPC, EDQUOT and EFBIG are
// kResourceExhausted with advice.
absl::Status ErrnoStatus(int error, const std::string& what);
// What such a status says but the advice, which after a failed flush comes too
// late.
std::string WithoutAdvice(const absl::Status& status);
// The errno of a failed write or flush of a File; else `otherwise`.
int ErrnoOf(const absl::Status& status, int otherwise);

}  // namespace eve

#endif  // EVE_ENGINE_FILE_FILE_H_
