#include "tests/simdisk/disk_history.h"

#include <algorithm>
#include <utility>

#include "engine/format/checksum.h"

namespace eve::simdisk {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

}  // namespace

uint64_t HashPage(const PageRef& page) {
  return page == nullptr ? 0 : HashBytes(page->data(), page->size(), 1);
}

void DiskHistory::Begin(const std::vector<PageRef>& pages, uint64_t size) {
  *this = DiskHistory();
  for (const PageRef& page : pages) {
    pages_.push_back({{PageVersion{0, page, HashPage(page)}}, {}});
  }
  sizes_.push_back({0, size});
  Mark();
}

void DiskHistory::BeginUnflushed(const std::vector<PageRef>& pages,
                                 uint64_t size,
                                 const std::vector<Unflushed>& unflushed,
                                 uint64_t size_on_device) {
  std::vector<PageRef> on_device = pages;
  on_device.resize(std::max<uint64_t>(
      pages.size(), (size_on_device + kPageBytes - 1) / kPageBytes));
  for (const Unflushed& page : unflushed) {
    if (page.page < pages.size()) on_device[page.page] = page.on_device;
  }
  Begin(on_device, size_on_device);
  const auto put = [&](bool is_lost) {
    NewEvent();
    PutSize(size);
    for (const Unflushed& page : unflushed) {
      if (page.is_lost == is_lost && page.page < pages.size()) {
        Put(page.page, pages[page.page]);
      }
    }
  };
  put(/*is_lost=*/true);
  AddFlush(Flush{last_event_, last_event_, /*ok=*/false});
  put(/*is_lost=*/false);
}

void DiskHistory::Grow(uint64_t pages) {
  while (pages_.size() < pages) pages_.push_back({{PageVersion{}}, {}});
}

void DiskHistory::Put(uint64_t page, PageRef bytes) {
  Grow(page + 1);
  const uint64_t hash = HashPage(bytes);
  std::vector<PageVersion>& versions = pages_[page].versions;
  if (versions.back().hash == hash) return;
  versions.push_back(PageVersion{last_event_, std::move(bytes), hash});
  Mark();
}

void DiskHistory::Touch(uint64_t page) {
  Grow(page + 1);
  std::vector<PageVersion>& versions = pages_[page].versions;
  if (versions.back().event == last_event_) return;
  PageVersion again = versions.back();
  again.event = last_event_;
  versions.push_back(std::move(again));
  Mark();
}

void DiskHistory::PutSize(uint64_t size) {
  Grow((size + kPageBytes - 1) / kPageBytes);
  if (sizes_.empty() || sizes_.back().bytes != size) {
    sizes_.push_back({last_event_, size});
    Mark();
  }
}

void DiskHistory::AddRange(uint64_t offset, uint64_t bytes) {
  const uint64_t first = offset / kPageBytes;
  const uint64_t end = (offset + bytes + kPageBytes - 1) / kPageBytes;
  Grow(end);
  ranges_.push_back(RangeChange{last_event_, first, end});
}

void DiskHistory::Settle(uint64_t page, uint32_t version) {
  PageHistory& history = pages_[page];
  PageVersion now = history.versions[version];
  now.event = last_event_;
  history.versions.push_back(std::move(now));
  Mark();
  history.settled.push_back(
      {last_event_, static_cast<uint32_t>(history.versions.size() - 1)});
}

uint64_t DiskHistory::CountPages() const {
  return static_cast<uint64_t>(std::count_if(
      pages_.begin(), pages_.end(),
      [](const PageHistory& page) { return page.versions.back().hash != 0; }));
}

void DiskHistory::AddFlush(const Flush& flush) {
  flushes_.push_back(flush);
  Mark();
}

void DiskHistory::Mark() {
  if (eventful_.size() <= last_event_) eventful_.resize(last_event_ + 1);
  eventful_[last_event_] = true;
}

uint32_t DiskHistory::IndexAt(const PageHistory& page, uint32_t event) {
  uint32_t index = 0;
  while (index + 1 < page.versions.size() &&
         page.versions[index + 1].event <= event) {
    ++index;
  }
  return index;
}

uint32_t DiskHistory::BoundAt(const PageHistory& page, uint32_t event,
                              uint32_t* lost) const {
  uint32_t bound = 0;
  *lost = kNone;
  if (page.versions.size() == 1) return bound;
  size_t settled = 0;
  const auto settle_until = [&](uint32_t until) {
    while (settled < page.settled.size() &&
           page.settled[settled].event <= until) {
      bound = std::max(bound, page.settled[settled++].version);
      *lost = kNone;
    }
  };
  for (const Flush& flush : flushes_) {
    if (flush.end > event) continue;
    settle_until(flush.end);
    const uint32_t then = IndexAt(page, flush.begin);
    if (!flush.ok) {
      if (then > bound) *lost = then;
      continue;
    }
    if (then == *lost) continue;  // clean in the cache: not written
    if (flush.skips_fresh_pages && page.versions[bound].hash == 0) continue;
    bound = std::max(bound, then);
    if (*lost != kNone && *lost < then) *lost = kNone;
  }
  settle_until(event);
  return bound;
}

std::vector<InFlight> DiskHistory::LostPages() const {
  std::vector<InFlight> found;
  for (uint64_t i = 0; i < pages_.size(); ++i) {
    uint32_t lost = kNone;
    const uint32_t bound = BoundAt(pages_[i], last_event_, &lost);
    const auto newest = static_cast<uint32_t>(pages_[i].versions.size() - 1);
    if (lost == newest) found.push_back(InFlight{i, bound, newest});
  }
  return found;
}

const Flush* DiskHistory::FlushBegunAt(uint32_t event) const {
  const auto found = std::find_if(
      flushes_.begin(), flushes_.end(),
      [event](const Flush& flush) { return flush.begin == event; });
  return found == flushes_.end() ? nullptr : &*found;
}

const PageVersion& DiskHistory::OnDevice(uint64_t page) const {
  const PageHistory& history = pages_[page];
  uint32_t lost = kNone;
  const uint32_t bound = BoundAt(history, last_event_, &lost);
  return history.versions[lost == history.versions.size() - 1
                              ? bound
                              : history.versions.size() - 1];
}

CrashPoint DiskHistory::At(uint32_t event) const {
  CrashPoint point;
  point.event = event;
  point.settled.resize(pages_.size());
  for (uint64_t i = 0; i < pages_.size(); ++i) {
    uint32_t lost;
    const uint32_t low = BoundAt(pages_[i], event, &lost);
    const uint32_t high = IndexAt(pages_[i], event);
    point.settled[i] = low;
    for (uint32_t v = low + 1; v <= high; ++v) {
      if (version(i, v).hash == version(i, low).hash) continue;
      point.in_flight.push_back(InFlight{i, low, high});
      break;
    }
  }
  uint32_t flushed = 0;  // to what the size was then
  for (const Flush& flush : flushes_) {
    if (flush.end <= event && flush.ok && !flush.skips_size) {
      flushed = std::max(flushed, flush.begin);
    }
  }
  for (const SizeVersion& size : sizes_) {
    if (size.event > event) break;
    if (size.event <= flushed) point.sizes.clear();
    point.sizes.push_back(size.bytes);
  }
  for (const RangeChange& range : ranges_) {
    if (range.event > flushed && range.event <= event) {
      point.open_ranges.push_back(range);
    }
  }
  return point;
}

}  // namespace eve::simdisk
