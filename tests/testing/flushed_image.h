// FlushedImage: what a power failure leaves of a file, of a disk that is lazy.
//
// Threads:    any may flush, one at a time, as those of a domain do.
// Processes:  forked children add to it; two processes do not flush at once.
// Owns:       two images in shared memory, of files up to 64 MiB.
// Lifetime:   made before the file is, and the only observer of files then.
// Errors:     aborts.
// Cost:       reads the file at each flush.
#ifndef EVE_TESTS_TESTING_FLUSHED_IMAGE_H_
#define EVE_TESTS_TESTING_FLUSHED_IMAGE_H_

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/file/file_observer.h"
#include "util/check.h"

namespace eve::testing {

// What is on a disk that writes nothing before it has to: the domain file as it
// was when the last flush that succeeded began. After one that failed the pages
// are clean and lost: no flush writes them, until the cache is dropped. Forked
// children add to it, but two processes do not flush at once.
class FlushedImage : public FileObserver {
 public:
  static constexpr off_t kBytesMax = 64 << 20;

  explicit FlushedImage(std::string path) : path_(std::move(path)) {
    void* bytes = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    EVE_CHECK(bytes != MAP_FAILED, "room for two images");
    shared_ = static_cast<Shared*>(bytes);
    SetFileObserver(this);
  }
  ~FlushedImage() override {
    SetFileObserver(nullptr);
    ::munmap(shared_, sizeof(Shared));
  }
  FlushedImage(const FlushedImage&) = delete;
  FlushedImage& operator=(const FlushedImage&) = delete;

  std::optional<int> Before(const FileCall& call) override {
    if (!IsFlush(call)) return std::nullopt;
    std::lock_guard lock(mutex_);
    // By its number: a new file has no name yet. Slots come first, so that what
    // they lead to is read after them.
    const std::string name = absl::StrCat("/proc/self/fd/", call.fd);
    const int fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
    Read(fd, shared_->images[1 - shared_->valid]);
    ::close(fd);
    return std::nullopt;
  }
  void After(const FileCall& call, int error) override {
    std::lock_guard lock(mutex_);
    if (call.path == path_ && call.op == FileOp::kDropCache) shared_->lost = 0;
    if (!IsFlush(call)) return;
    struct stat file;
    EVE_CHECK(::fstat(call.fd, &file) == 0, "it is open");
    if (error != 0) {
      shared_->lost = file.st_ino;
    } else if (shared_->lost != file.st_ino) {
      shared_->valid = 1 - shared_->valid;
    }
  }
  // From now on no more of the file is read than that, which is quicker: there
  // is nothing behind, as far as this one knows.
  void set_bytes_max(off_t bytes) { bytes_max_ = bytes; }
  // What is on the disk there; zeroes where there is nothing.
  void ReadAt(off_t offset, void* to, size_t size) const {
    std::lock_guard lock(mutex_);
    std::memset(to, 0, size);
    const Image& image = shared_->images[shared_->valid];
    const auto end = offset + static_cast<off_t>(size);
    const char* from = image.bytes;
    for (int i = 0; i < image.extents; ++i) {
      const auto [at, bytes] = image.extent[i];
      const off_t first = std::max(offset, at);
      const off_t last = std::min(end, at + bytes);
      if (first < last) {
        std::memcpy(static_cast<char*>(to) + (first - offset),
                    from + (first - at), static_cast<size_t>(last - first));
      }
      from += bytes;
    }
  }
  // False if there was no flush.
  bool SaveTo(const std::string& path) const {
    std::lock_guard lock(mutex_);
    const Image& image = shared_->images[shared_->valid];
    if (image.file_bytes == 0) return false;
    const int fd = ::open(path.c_str(), O_CREAT | O_EXCL | O_RDWR, 0644);
    bool is_saved = ::ftruncate(fd, image.file_bytes) == 0;
    const char* from = image.bytes;
    for (int i = 0; i < image.extents; ++i) {
      const auto [offset, size] = image.extent[i];
      is_saved &= ::pwrite(fd, from, static_cast<size_t>(size), offset) == size;
      from += size;
    }
    ::close(fd);
    EVE_CHECK(is_saved, "the image is written");
    return true;
  }

 private:
  // A file without its holes.
  struct Image {
    static constexpr int kExtentsMax = 4096;
    struct Extent {
      off_t offset;
      off_t size;
    };
    off_t file_bytes;
    int extents;
    Extent extent[kExtentsMax];
    char bytes[kBytesMax];
  };
  struct Shared {
    int valid;
    ino_t lost;  // the file that has lost pages; 0: none has
    Image images[2];
  };

  void Read(int fd, Image& image) const {
    image.file_bytes = ::lseek(fd, 0, SEEK_END);
    image.extents = 0;
    off_t used = 0;
    for (off_t at = 0; (at = ::lseek(fd, at, SEEK_DATA)) >= 0;) {
      if (at >= bytes_max_) return;
      // The end of the file counts as a hole.
      const off_t end = std::min(::lseek(fd, at, SEEK_HOLE), bytes_max_);
      const off_t size = end - at;
      EVE_CHECK(image.extents < Image::kExtentsMax && used + size <= kBytesMax,
                "a small file");
      EVE_CHECK(::pread(fd, image.bytes + used, static_cast<size_t>(size),
                        at) == size,
                "the file is read");
      image.extent[image.extents++] = {at, size};
      used += size;
      at += size;
    }
  }
  bool IsFlush(const FileCall& call) const {
    return (call.op == FileOp::kDatasync || call.op == FileOp::kSync) &&
           call.path == path_;
  }

  const std::string path_;
  off_t bytes_max_ = kBytesMax;
  mutable std::mutex mutex_;
  Shared* shared_ = nullptr;
};

}  // namespace eve::testing

#endif  // EVE_TESTS_TESTING_FLUSHED_IMAGE_H_
