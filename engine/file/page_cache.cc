#include "engine/file/page_cache.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "engine/file/file_lock.h"
#include "engine/file/file_observer.h"
#include "engine/format/constants.h"
#include "engine/format/shared_layout.h"
#include "util/align.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// How much is looked at at once.
constexpr uint64_t kWindowBytes = kSegmentBytes;
constexpr uint64_t kWindowPages = kWindowBytes / kPageBytes;

struct Freer {
  void operator()(char* bytes) const { std::free(bytes); }
};
using Buffer = std::unique_ptr<char, Freer>;

// As direct reads want it.
Buffer NewBuffer() {
  return Buffer(
      static_cast<char*>(std::aligned_alloc(kPageBytes, kWindowBytes)));
}

// Whether the kernel has any of it in the page cache. Before Linux 6.5 it does
// not say so, and to ask for each page of each file that is opened would take
// too long; readers without a slot are known by their byte.
bool MayBeCached(const File& file) {
  if (const std::optional<CachedBytes> cached = file.InCache()) {
    return cached->all > 0;
  }
  return IsRangeLockedByOther(file, kUnpinnedReadersLockByte, 1).value_or(true);
}

class CacheCheck {
 public:
  // `device`: the file opened for direct reads, if that was possible when it
  // mattered; null: now is when it does.
  CacheCheck(const File& file, const File* device)
      : file_(file), kept_(device) {}

  // False: there are no direct reads here.
  absl::StatusOr<bool> Open() {
    const bool is_kept = kept_ != nullptr && kept_->is_open();
    int error =
        Observed({FileOp::kOpenDevice, file_.fd(), file_.path()}, 0,
                 [&] { return is_kept ? 0 : file_.OpenDirect(&opened_); });
    // Without /proc it is not there.
    if (error == EINVAL || error == EOPNOTSUPP || error == ENOENT) return false;
    // Who may not, and has not been able to before, cannot ask.
    const bool is_denied = error == EACCES || error == EPERM;
    if (is_denied && kept_ != nullptr) return false;
    cached_ = NewBuffer();
    device_ = NewBuffer();
    if (cached_ == nullptr || device_ == nullptr) error = ENOMEM;
    if (error == 0) return true;
    return ErrnoStatus(
        error, absl::StrCat("open ", file_.path(), " to read from the device"));
  }

  // Of the window of `range` that begins at `offset`, a multiple of a page.
  absl::StatusOr<bool> CheckWindow(uint64_t offset, const ByteRange& range) {
    const uint64_t size =
        std::min(kWindowBytes, range.offset + range.size - offset);
    void* const view = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file_.fd(),
                              static_cast<off_t>(offset));
    int error = view == MAP_FAILED ? errno : 0;
    if (error != 0) return CannotLook(error);
    const absl::Cleanup unmap = [=] { ::munmap(view, size); };
    const uint64_t pages = (size + kPageBytes - 1) / kPageBytes;
    error = EVE_FAULT("file.mincore");
    if (error == 0 && ::mincore(view, size, resident_.data()) != 0) {
      error = errno;
    }
    if (error == ENOSYS) return true;
    if (error != 0) return CannotLook(error);
    for (uint64_t page = 0; page < pages;) {
      uint64_t end = page;
      while (end < pages && (resident_[end] & 1) != 0) ++end;
      if (end == page) {
        ++page;
        continue;
      }
      const uint64_t from = page * kPageBytes;
      EVE_ASSIGN_OR_RETURN(
          const bool is_same,
          IsSame(offset + from, std::min(end * kPageBytes, size) - from,
                 range.offset));
      if (!is_same) return false;
      page = end;
    }
    return true;
  }

 private:
  absl::Status CannotLook(int error) const {
    return ErrnoStatus(error, absl::StrCat("look which pages of ", file_.path(),
                                           " are in the page cache"));
  }
  // An errno; ENODATA: the file has been cut.
  int ReadDirect(uint64_t offset, uint64_t size) {
    const File& device = opened_.is_open() ? opened_ : *kept_;
    for (uint64_t done = 0; done < size;) {
      const ssize_t n = ::pread(device.fd(), device_.get() + done,
                                AlignUp(size, kPageBytes) - done,
                                static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno;
      if (n == 0) return ENODATA;
      done += static_cast<uint64_t>(n);
    }
    return 0;
  }
  // What lies before `begin` does not count.
  absl::StatusOr<bool> IsSame(uint64_t offset, uint64_t size, uint64_t begin) {
    EVE_RETURN_IF_ERROR(file_.ReadAt(offset, cached_.get(), size));
    const int error = Observed({FileOp::kReadDevice, file_.fd(), file_.path(),
                                offset, size, device_.get()},
                               EVE_FAULT("file.read_device"),
                               [&] { return ReadDirect(offset, size); });
    // Some file systems say only now that they have no such reads.
    if (error == EINVAL || error == ENODATA) return true;
    const std::string what =
        absl::StrCat(file_.path(), ": read of ", size, " bytes at offset ",
                     offset, " of the device");
    if (error == EIO) {
      return absl::UnavailableError(
          absl::StrCat(what, ": ", std::strerror(EIO)));
    }
    if (error != 0) return ErrnoStatus(error, what);
    const uint64_t skip = begin > offset ? begin - offset : 0;
    return std::memcmp(cached_.get() + skip, device_.get() + skip,
                       size - skip) == 0;
  }

  const File& file_;
  const File* const kept_;
  File opened_;
  Buffer cached_;
  Buffer device_;
  std::vector<unsigned char> resident_ =
      std::vector<unsigned char>(kWindowPages);
};

}  // namespace

absl::StatusOr<bool> IsCacheOnDevice(const File& file,
                                     const std::vector<ByteRange>& ranges,
                                     const File* device) {
  if (ranges.empty()) return true;
  CacheCheck check(file, device);
  EVE_ASSIGN_OR_RETURN(const bool can_look, check.Open());
  if (!can_look) return true;
  for (const ByteRange& range : ranges) {
    const uint64_t end = range.offset + range.size;
    for (uint64_t offset = range.offset / kPageBytes * kPageBytes; offset < end;
         offset += kWindowBytes) {
      EVE_ASSIGN_OR_RETURN(const bool is_same,
                           check.CheckWindow(offset, range));
      if (!is_same) return false;
    }
  }
  return true;
}

absl::StatusOr<bool> IsCacheOnDevice(const File& file, uint64_t bytes) {
  if (!MayBeCached(file)) return true;
  return IsCacheOnDevice(file, {ByteRange{0, bytes}});
}

absl::Status DropAndCheckCache(const File& file) {
  file.DropCache();
  EVE_ASSIGN_OR_RETURN(const uint64_t bytes, file.Size());
  EVE_ASSIGN_OR_RETURN(const bool is_on_device, IsCacheOnDevice(file, bytes));
  if (is_on_device) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      file.path(),
      ": a flush has failed, so the disk does not have all that memory shows, "
      "and somebody still has the file mapped, which keeps it there. Close it "
      "there first; then what the disk has counts"));
}

}  // namespace eve
