// Mapping: a range of addresses backed by a file, reserved once for good.
//
// The whole reserve is mapped onto the file in one piece when the domain opens,
// although the file is shorter: pages beyond its end become usable by
// themselves as it grows. So addresses never move, and neither a commit nor a
// snapshot ever makes a mapping call.
//
// Threads:    immutable after Map().
// Processes:  each has its own addresses. Not inherited by a forked child.
// Owns:       the address range.
// Lifetime:   unmaps on destruction.
// Errors:     kResourceExhausted when not even the smallest reserve is granted.
// Cost:       one mmap; page-table pages for what is touched.
#ifndef EVE_ENGINE_FILE_MAPPING_H_
#define EVE_ENGINE_FILE_MAPPING_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "engine/file/file.h"

namespace eve {

class Mapping {
 public:
  // kPrivate: stores make private copies of pages, which nobody else sees.
  enum class Access { kReadOnly, kReadWrite, kPrivate };

  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  // Maps `wanted_bytes`, or what the system grants by halving, but at least
  // `least_bytes`; aligned to 2 MiB so that folios map as huge pages.
  static absl::StatusOr<Mapping> Map(const File& file, uint64_t wanted_bytes,
                                     uint64_t least_bytes, Access access);

  // Takes the pages of a shared mapping out of this process's page tables,
  // where the next access puts them again; what was stored stays in the file's
  // cache. Before such pages are written back: the kernel has to make each of
  // them read-only, which interrupts all processors that run this process, page
  // by page; here it is once for the range.
  void DropPages(uint64_t offset, uint64_t size) const;

  // Makes the pages of a range as ready for stores as if each had been stored
  // to, and changes nothing that they hold; in whole folios where the range is
  // aligned to 2 MiB. Unlike a write(2) it does not hold the inode's lock, so
  // it keeps no one waiting who writes, allocates or does the same. Pages that
  // are on the disk only are read, and all of them are dirty afterwards.
  // Whether it could: not before Linux 5.14. REQUIRES: the range has its disk
  // space, and is mapped kReadWrite.
  bool Populate(uint64_t offset, uint64_t size) const;

  char* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }

 private:
  char* data_ = nullptr;
  uint64_t bytes_ = 0;
};

// Reads mapped bytes of a file ahead. False: the device cannot read some of
// them, where a load would end the process (SIGBUS). Does nothing, and says
// true, before Linux 5.14.
bool CanBeRead(const void* bytes, uint64_t size);

// How much a domain reserves for each of its two views.
uint64_t ViewReserveBytes();

// A page that reads 1 in the process that made it and 0 in a forked child,
// whatever way it was forked (MADV_WIPEONFORK).
class ForkGuard {
 public:
  ForkGuard();
  ForkGuard(const ForkGuard&) = delete;
  ForkGuard& operator=(const ForkGuard&) = delete;
  ~ForkGuard();

  bool IsForkedChild() const { return *page_ == 0; }

 private:
  uint64_t* page_;
};

}  // namespace eve

#endif  // EVE_ENGINE_FILE_MAPPING_H_
