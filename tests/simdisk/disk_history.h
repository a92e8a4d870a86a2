// DiskHistory: what a file was at each event, and what of it the disk may have
// had if power failed there.
//
// The rules. A page that was written may reach the disk at any time after, in
// any version that it has had since its lower bound. The bound of a page rises
// only when a flush returns without an error, to what the page was when that
// flush began. The size of the file is a version of its own with its own bound.
// A flush that fails leaves what it should have written clean in the cache: a
// later one writes only what has changed since.
//
// Threads:    none of its own; the recorder holds a lock.
// Processes:  none.
// Owns:       the contents of all pages, each content once.
// Lifetime:   contents live as long as anybody has a pointer to them.
// Errors:     none.
// Cost:       4 KiB for each version of a page.
#ifndef EVE_TESTS_SIMDISK_DISK_HISTORY_H_
#define EVE_TESTS_SIMDISK_DISK_HISTORY_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/format/constants.h"

namespace eve::simdisk {

constexpr uint64_t kSectorBytes = 512;
constexpr uint64_t kSectors = kPageBytes / kSectorBytes;

// A page's content; null: zeroes.
using Page = std::array<char, kPageBytes>;
using PageRef = std::shared_ptr<const Page>;

uint64_t HashPage(const PageRef& page);

struct PageVersion {
  uint32_t event = 0;  // at which it was seen first
  PageRef bytes;
  uint64_t hash = 0;
};

struct Flush {
  uint32_t begin = 0;  // events
  uint32_t end = 0;
  bool ok = true;
  bool is_alone = false;  // nobody else is attached
  // Lies (planted_bugs.h): what it did not do although it said so.
  bool skips_size = false;
  bool skips_fresh_pages = false;
};

// A call that changed where the file has space, or took it away.
struct RangeChange {
  uint32_t event = 0;
  uint64_t first_page = 0;
  uint64_t end_page = 0;
};

// A page whose content after a crash is not certain: versions [low, high].
struct InFlight {
  uint64_t page = 0;
  uint32_t low = 0;
  uint32_t high = 0;
};

// A page that the disk need not have as the cache shows it, when a process dies
// in a flush.
struct Unflushed {
  uint64_t page = 0;
  PageRef on_device;
  // That flush failed for it: it counts as clean. Else it is written still.
  bool is_lost = false;
};

// What the disk may have had at an event.
struct CrashPoint {
  uint32_t event = 0;
  std::vector<InFlight> in_flight;       // by page
  std::vector<uint32_t> settled;         // version of each page, or the low one
  std::vector<uint64_t> sizes;           // bound first, newest last
  std::vector<RangeChange> open_ranges;  // changed since their bound
};

class DiskHistory {
 public:
  // Begins with everything on the disk.
  void Begin(const std::vector<PageRef>& pages, uint64_t size);
  // Begins behind a flush that failed. `pages`, `size`: what the cache shows.
  void BeginUnflushed(const std::vector<PageRef>& pages, uint64_t size,
                      const std::vector<Unflushed>& unflushed,
                      uint64_t size_on_device);

  uint32_t last_event() const { return last_event_; }
  uint32_t NewEvent() { return ++last_event_; }

  // The content of a page at the last event, if it differs from before.
  void Put(uint64_t page, PageRef bytes);
  // Rewritten with the content that it had.
  void Touch(uint64_t page);
  void PutSize(uint64_t size);
  void AddFlush(const Flush& flush);
  void AddRange(uint64_t offset, uint64_t bytes);
  // The cache of a page that a failed flush has lost was dropped: what the disk
  // has is this version.
  void Settle(uint64_t page, uint32_t version);

  uint64_t pages() const { return pages_.size(); }
  // Those that are not zeroes.
  uint64_t CountPages() const;
  const PageVersion& version(uint64_t page, uint32_t index) const {
    return pages_[page].versions[index];
  }
  const PageVersion& newest(uint64_t page) const {
    return pages_[page].versions.back();
  }
  uint64_t newest_size() const { return sizes_.back().bytes; }
  // Whether anything was written, flushed or resized at that event.
  bool IsEventful(uint32_t event) const {
    return event < eventful_.size() && eventful_[event];
  }
  // What a direct read gives now: the newest, which the kernel writes first if
  // it has to, or what a failed flush has left there.
  const PageVersion& OnDevice(uint64_t page) const;
  // One that was begun there, and has returned later; null: none.
  const Flush* FlushBegunAt(uint32_t event) const;
  // Pages that a failed flush has lost and that were not written since.
  std::vector<InFlight> LostPages() const;

  CrashPoint At(uint32_t event) const;

 private:
  struct Settled {
    uint32_t event;
    uint32_t version;
  };
  struct PageHistory {
    std::vector<PageVersion> versions;  // never empty; by event
    std::vector<Settled> settled;
  };
  struct SizeVersion {
    uint32_t event;
    uint64_t bytes;
  };

  void Grow(uint64_t pages);
  void Mark();  // the last event
  // The version that a page has at an event.
  static uint32_t IndexAt(const PageHistory& page, uint32_t event);
  // Its lower bound at an event; `lost`: the version that a failed flush lost,
  // if it is still the newest one.
  uint32_t BoundAt(const PageHistory& page, uint32_t event,
                   uint32_t* lost) const;

  uint32_t last_event_ = 0;
  std::vector<bool> eventful_;
  std::vector<PageHistory> pages_;
  std::vector<SizeVersion> sizes_;
  std::vector<Flush> flushes_;
  std::vector<RangeChange> ranges_;
};

}  // namespace eve::simdisk

#endif  // EVE_TESTS_SIMDISK_DISK_HISTORY_H_
