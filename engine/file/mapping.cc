#include "engine/file/mapping.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/file/fork_gate.h"
#include "engine/format/constants.h"
#include "util/align.h"
#include "util/check.h"
#include "util/failpoint.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define EVE_SANITIZED 1
#else
#define EVE_SANITIZED 0
#endif

namespace eve {

uint64_t ViewReserveBytes() {
  // The sanitizers keep most of the address space for themselves.
  if (EVE_SANITIZED) return uint64_t{16} << 30;
  return kSegmentsMax * kSegmentBytes;
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

void Mapping::DropPages(uint64_t offset, uint64_t size) const {
  const uint64_t begin = AlignDown(offset, kPageBytes);
  const uint64_t end = std::min(AlignUp(offset + size, kPageBytes), bytes_);
  // Whatever it says: it is about speed.
  if (begin < end) ::madvise(data_ + begin, end - begin, MADV_DONTNEED);
}

bool Mapping::Populate(uint64_t offset, uint64_t size) const {
  if (offset + size > bytes_ || EVE_FAULT("file.populate") != 0) return false;
  return ::madvise(data_ + offset, size, MADV_POPULATE_WRITE) == 0;
}

bool CanBeRead(const void* bytes, uint64_t size) {
  if (EVE_FAULT("file.read_ahead") != 0) return false;
  const uint64_t skip = reinterpret_cast<uintptr_t>(bytes) % kPageBytes;
  char* const begin = static_cast<char*>(const_cast<void*>(bytes)) - skip;
  return ::madvise(begin, AlignUp(skip + size, kPageBytes),
                   MADV_POPULATE_READ) == 0 ||
         (errno != EFAULT && errno != EHWPOISON);
}

namespace {

void* MapUninherited(char* at, uint64_t bytes, Mapping::Access access,
                     const File& file) {
  const int protection =
      access == Mapping::Access::kReadOnly ? PROT_READ : PROT_READ | PROT_WRITE;
  const int sharing =
      access == Mapping::Access::kPrivate ? MAP_PRIVATE : MAP_SHARED;
  // No fork between the two calls: the child's mapping would keep the open
  // file, and so its lock bytes.
  const auto no_fork = ForkGate::Get().Hold();
  void* mapped = ::mmap(at, bytes, protection,
                        sharing | MAP_FIXED | MAP_NORESERVE, file.fd(), 0);
  // A forked child may not write. What it still reads through readers of before
  // the fork is what happens to be there.
  if (mapped != MAP_FAILED && access != Mapping::Access::kReadOnly) {
    (void)::madvise(mapped, bytes, MADV_DONTFORK);
  }
  return mapped;
}

}  // namespace

absl::StatusOr<Mapping> Mapping::Map(const File& file, uint64_t wanted_bytes,
                                     uint64_t least_bytes, Access access) {
  int error = EVE_FAULT("file.map");
  for (uint64_t bytes = wanted_bytes; error == 0; bytes /= 2) {
    bytes = std::max(AlignUp(bytes, kSegmentBytes),
                     AlignUp(least_bytes, kSegmentBytes));
    // Reserve with room to align, then map the file over the aligned part.
    const uint64_t padded = bytes + kSegmentBytes;
    void* reserved = ::mmap(nullptr, padded, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) {
      error = errno;
    } else {
      char* begin = static_cast<char*>(reserved);
      const uint64_t skip =
          (kSegmentBytes - reinterpret_cast<uintptr_t>(begin) % kSegmentBytes) %
          kSegmentBytes;
      void* mapped = MapUninherited(begin + skip, bytes, access, file);
      if (mapped != MAP_FAILED) {
        if (skip > 0) ::munmap(begin, skip);
        ::munmap(begin + skip + bytes, kSegmentBytes - skip);
        Mapping mapping;
        mapping.data_ = static_cast<char*>(mapped);
        mapping.bytes_ = bytes;
        // Advice: a kernel without large folios maps small pages instead.
        // A private copy of a page would split a huge entry each time.
        (void)::madvise(
            mapped, bytes,
            access == Access::kPrivate ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
        // Segments are taken one at a time: without this a fault also makes
        // the folio of the next, which may be nobody's.
        if (access == Access::kReadWrite) {
          (void)::madvise(mapped, bytes, MADV_RANDOM);
        }
        return mapping;
      }
      error = errno;
      ::munmap(reserved, padded);
    }
    if (bytes <= AlignUp(least_bytes, kSegmentBytes)) break;
    error = 0;
  }
  return ErrnoStatus(error, absl::StrCat(file.path(), ": mmap of at least ",
                                         least_bytes, " bytes; see ulimit -v"));
}

ForkGuard::ForkGuard() {
  void* page = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EVE_CHECK(page != MAP_FAILED, "no memory for one page");
  ::madvise(page, kPageBytes, MADV_WIPEONFORK);
  page_ = static_cast<uint64_t*>(page);
  *page_ = 1;
}

ForkGuard::~ForkGuard() { ::munmap(page_, kPageBytes); }

}  // namespace eve
