#include "tests/simdisk/crash_state.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <utility>

#include "engine/file/file.h"
#include "engine/format/commit_slot.h"
#include "engine/format/shared_layout.h"
#include "engine/format/superblock.h"
#include "tests/simdisk/list_states.h"
#include "util/check.h"
#include "util/random.h"

namespace eve::simdisk {
namespace {

uint64_t HashAt(uint64_t page, uint64_t content) {
  uint64_t state = content ^ (page * 0x9e3779b97f4a7c15);
  return content == 0 ? 0 : SplitMix64(state);
}

const char* BytesOf(const PageRef& page) {
  static const Page kZeroes{};
  return page == nullptr ? kZeroes.data() : page->data();
}

// What recovery reads of a lock file of this boot. Its counters and clocks are
// left out: of what differs in those alone all states would be opened again.
uint64_t HashOfRegion(const RegionImage& region) {
  uint64_t hash = 1;
  const auto add = [&](uint64_t at, uint64_t size) {
    uint64_t word = 0;
    if (at + size > region.size()) return;
    std::memcpy(&word, region.data() + at, size);
    hash = HashAt(at, hash ^ word) | 1;  // 0 would be no page
  };
  add(offsetof(RegionHeader, incarnation), sizeof(uint64_t));
  add(offsetof(RegionHeader, ready), sizeof(uint32_t));
  add(offsetof(RegionHeader, poison), sizeof(uint32_t));
  add(kRegionWordsOffset + offsetof(RegionWords, root), sizeof(uint64_t));
  for (uint64_t i = 0; i < kCommitSlotCount; ++i) {
    const uint64_t word = kRegionWordsOffset + i * sizeof(uint64_t);
    add(word + offsetof(RegionWords, pending), sizeof(uint64_t));
    add(word + offsetof(RegionWords, durable), sizeof(uint64_t));
  }
  return hash;
}

// What the medium may do to one page. The hash is of another state then.
void LoseNewestSlot(CrashState& state) {
  Superblock superblock;
  std::memcpy(&superblock, BytesOf(state.pages[0]), sizeof(superblock));
  std::pair<uint64_t, uint64_t> newest{0, 0};
  uint64_t lost = 0;
  for (uint32_t i = 0; i < kCommitSlotCount; ++i) {
    const uint64_t page = CommitSlotPosition(i) / kPageBytes;
    CommitSlot slot;
    std::memcpy(&slot, BytesOf(state.pages[page]), sizeof(slot));
    if (!IsValidCommitSlot(slot, i, superblock.uuid)) continue;
    const std::pair<uint64_t, uint64_t> age{slot.incarnation, slot.version};
    if (age < newest) continue;
    newest = age;
    lost = page;
  }
  if (lost == 0) return;
  state.hash += lost;
  state.pages[lost] = nullptr;
}

// The family whose pages a state has.
Family PagesOf(StateId id) {
  switch (id.family) {
    case Family::kRotten:
    case Family::kRegionNew:
    case Family::kDiedFlushing:
      return Family::kAllNew;
    case Family::kRegionOld:
      return Family::kAllOld;
    case Family::kRegionRandom:
      return Family::kRandom;
    case Family::kRegionOneNew:
      return Family::kOneNew;
    case Family::kRegionOneOld:
      return Family::kOneOld;
    case Family::kRegionOneBetween:
      return Family::kOneBetween;
    case Family::kRegionSlotsNew:
      return Family::kSlotsNew;
    case Family::kRegionBlocksNew:
      return Family::kBlocksNew;
    case Family::kRegionOffsetPrefix:
      return Family::kOffsetPrefix;
    case Family::kRegionTimePrefix:
      return Family::kTimePrefix;
    case Family::kRegionStale:
      return id.index % 3 == 0   ? Family::kAllNew
             : id.index % 3 == 1 ? Family::kAllOld
                                 : Family::kRandom;
    default:
      return id.family;
  }
}

// Chooses the pages of one state.
class Chooser {
 public:
  Chooser(const DiskHistory& history, const CrashPoint& point, StateId id,
          uint64_t seed, const RegionImage& region)
      : history_(history),
        point_(point),
        region_(region),
        id_(id),
        pages_(PagesOf(id)),
        random_(seed ^ (uint64_t{id.event} << 32) ^
                (uint64_t{static_cast<uint8_t>(id.family)} << 24) ^ id.index) {}

  CrashState Make();

 private:
  const InFlight& At(size_t i) const { return point_.in_flight[i]; }
  PageRef Low(const InFlight& p) const {
    return history_.version(p.page, p.low).bytes;
  }
  PageRef High(const InFlight& p) const {
    return history_.version(p.page, p.high).bytes;
  }
  PageRef Any(const InFlight& p) {
    const auto version =
        static_cast<uint32_t>(p.low + random_.Uniform(p.high - p.low + 1));
    return history_.version(p.page, version).bytes;
  }
  // REQUIRES: HasBetween(p).
  PageRef Between(const InFlight& p) {
    const auto version =
        static_cast<uint32_t>(p.low + 1 + random_.Uniform(p.high - p.low - 1));
    return history_.version(p.page, version).bytes;
  }
  PageRef Mixed(const InFlight& p, bool has_garbage);
  PageRef Torn(const InFlight& p, uint32_t first_new, uint32_t end_new);
  void ChooseThreshold();
  void LoseFlushed(CrashState& state);
  PageRef Choose(size_t i);
  PageRef ChooseOther(size_t i);
  uint64_t ChooseSize();

  const DiskHistory& history_;
  const CrashPoint& point_;
  const RegionImage& region_;
  const StateId id_;
  const Family pages_;
  Random random_;
  uint64_t threshold_ = 0;  // of the families that have one; often a page
};

// Each sector of another version; with garbage where versions differ.
PageRef Chooser::Mixed(const InFlight& p, bool has_garbage) {
  auto mixed = std::make_shared<Page>();
  const char* low = BytesOf(Low(p));
  const char* high = BytesOf(High(p));
  for (uint64_t at = 0; at < kPageBytes; at += kSectorBytes) {
    const PageRef source = Any(p);
    std::memcpy(mixed->data() + at, BytesOf(source) + at, kSectorBytes);
    if (!has_garbage || !random_.OneIn(2)) continue;
    // Of a page that is written again with what it had, that is safe. A commit
    // slot is written for itself.
    uint64_t first = at;
    uint64_t end = at + kSectorBytes;
    if (!IsSlotPage(p.page)) {
      while (first < end && low[first] == high[first]) ++first;
      while (end > first && low[end - 1] == high[end - 1]) --end;
    }
    for (uint64_t i = first; i < end; ++i) {
      (*mixed)[i] = static_cast<char>(random_.Next());
    }
  }
  return mixed;
}

PageRef Chooser::Torn(const InFlight& p, uint32_t first_new, uint32_t end_new) {
  auto torn = std::make_shared<Page>();
  std::memcpy(torn->data(), BytesOf(Low(p)), kPageBytes);
  std::memcpy(torn->data() + first_new * kSectorBytes,
              BytesOf(High(p)) + first_new * kSectorBytes,
              (end_new - first_new) * kSectorBytes);
  return torn;
}

PageRef Chooser::ChooseOther(size_t i) {
  const InFlight& p = At(i);
  switch (pages_) {
    case Family::kSize:
      return id_.index % 3 == 0   ? High(p)
             : id_.index % 3 == 1 ? Low(p)
                                  : Any(p);
    case Family::kRange: {
      const RangeChange& range = point_.open_ranges[id_.index / 4];
      const bool inside = p.page >= range.first_page && p.page < range.end_page;
      if (inside == (id_.index % 2 == 0)) return Low(p);
      return id_.index % 4 >= 2 && HasBetween(p) ? Between(p) : High(p);
    }
    case Family::kSizeBetween:
      if (HasBetween(p) && (id_.index % 4 < 2 || i == threshold_)) {
        return Between(p);
      }
      return id_.index % 2 == 0 ? High(p) : Low(p);
    case Family::kRandomTorn:
      return random_.OneIn(3) ? Any(p) : Mixed(p, false);
    case Family::kGarbage:
      return random_.OneIn(3) ? Any(p) : Mixed(p, true);
    case Family::kExhaustive:
      return (id_.index >> i & 1) != 0 ? High(p) : Low(p);
    default:
      return Any(p);
  }
}

PageRef Chooser::Choose(size_t i) {
  const InFlight& p = At(i);
  switch (pages_) {
    case Family::kAllOld:
      return Low(p);
    case Family::kAllNew:
      return High(p);
    case Family::kOneNew:
      return i == threshold_ ? High(p) : Low(p);
    case Family::kOneOld:
      return i == threshold_ ? Low(p) : High(p);
    case Family::kOneBetween:
      return i == threshold_ ? Between(p) : High(p);
    case Family::kSlotsNew:
      return IsSlotPage(p.page) ? High(p) : Low(p);
    case Family::kBlocksNew:
      return IsSlotPage(p.page) ? Low(p) : High(p);
    case Family::kTornSlot: {
      const uint32_t cut = 1 + id_.index % 16 / 2 % 7;
      if (i != threshold_) return High(p);
      return id_.index % 2 == 0 ? Torn(p, 0, cut) : Torn(p, cut, kSectors);
    }
    case Family::kOffsetPrefix:
      return (i < threshold_) == (id_.index % 2 == 0) ? High(p) : Low(p);
    case Family::kTimePrefix: {
      uint32_t version = p.low;
      while (version < p.high &&
             history_.version(p.page, version + 1).event <= threshold_) {
        ++version;
      }
      return history_.version(p.page, version).bytes;
    }
    default:
      return ChooseOther(i);
  }
}

uint64_t Chooser::ChooseSize() {
  const std::vector<uint64_t>& sizes = point_.sizes;
  switch (pages_) {
    case Family::kAllOld:
    case Family::kOneNew:
      return sizes.front();
    case Family::kSizeBetween:
      return sizes[id_.index / 4];
    case Family::kSize:
      return sizes[id_.index / 3 % sizes.size()];
    case Family::kRandom:
    case Family::kRandomTorn:
    case Family::kGarbage:
      return sizes[random_.Uniform(sizes.size())];
    default:
      return sizes.back();
  }
}

// What the flush that nobody has been told of lost; the rest is on its way.
void Chooser::LoseFlushed(CrashState& state) {
  const size_t count = point_.in_flight.size();
  if (count == 0) return;
  const size_t chosen = random_.Uniform(count);
  for (size_t i = 0; i < count; ++i) {
    const InFlight& p = At(i);
    const bool is_lost = id_.index % 4 == 0 ? true
                         : id_.index == 1   ? i == chosen
                                            : random_.OneIn(2);
    Unflushed page{p.page, Low(p), is_lost};
    if (is_lost && id_.index > 0 && HasBetween(p) && random_.OneIn(2)) {
      page.on_device = Between(p);
    }
    state.hash += HashAt(p.page + 1, HashPage(page.on_device) ^ is_lost);
    state.unflushed.push_back(std::move(page));
  }
  state.size_on_device = point_.sizes.front();
  state.has_survivor = id_.index >= 4;
  state.hash += state.has_survivor;
}

void Chooser::ChooseThreshold() {
  const uint64_t count = point_.in_flight.size();
  if (count == 0) return;
  if (pages_ == Family::kTornSlot) {
    // The slot of that number among those in flight.
    uint32_t slot = id_.index / 16;
    while (!IsSlotPage(At(threshold_).page) || slot-- > 0) ++threshold_;
  } else if (pages_ == Family::kOneBetween || pages_ == Family::kSizeBetween) {
    threshold_ = random_.Uniform(count);
    while (!HasBetween(At(threshold_))) threshold_ = (threshold_ + 1) % count;
  } else if (pages_ == Family::kTimePrefix) {
    const InFlight& some = At(random_.Uniform(count));
    const auto version = static_cast<uint32_t>(
        some.low + random_.Uniform(some.high - some.low + 1));
    threshold_ = history_.version(some.page, version).event;
  } else if (pages_ == Family::kOneNew || pages_ == Family::kOneOld) {
    const uint64_t tried = HasRegion(id_.family) ? kRegionSingles : kSingles;
    threshold_ = count <= tried ? id_.index : random_.Uniform(count);
  } else {
    threshold_ = random_.Uniform(count + 1);
  }
}

CrashState Chooser::Make() {
  const uint64_t count = point_.in_flight.size();
  ChooseThreshold();
  CrashState state;
  state.id = id_;
  state.has_region = HasRegion(id_.family);
  state.region = region_;
  state.is_rotten = id_.family == Family::kRotten;
  const bool tears = id_.family == Family::kTornSlot ||
                     id_.family == Family::kRandomTorn ||
                     id_.family == Family::kGarbage;
  state.has_torn_slot =
      tears &&
      std::any_of(point_.in_flight.begin(), point_.in_flight.end(),
                  [](const InFlight& p) { return IsSlotPage(p.page); });
  state.size = ChooseSize();
  state.pages.resize((state.size + kPageBytes - 1) / kPageBytes);
  state.hash =
      HashAt(1, state.size) + (state.has_region ? HashOfRegion(region_) : 0);
  const uint64_t pages = std::min(state.pages.size(), point_.settled.size());
  size_t next = 0;
  for (uint64_t i = 0; i < pages; ++i) {
    if (next < count && At(next).page == i) {
      state.pages[i] = Choose(next++);
      state.hash += HashAt(i, HashPage(state.pages[i]));
    } else {
      const PageVersion& version = history_.version(i, point_.settled[i]);
      state.pages[i] = version.bytes;
      state.hash += HashAt(i, version.hash);
    }
  }
  if (state.is_rotten) LoseNewestSlot(state);
  if (id_.family == Family::kDiedFlushing) LoseFlushed(state);
  return state;
}

}  // namespace

CrashState MakeState(const DiskHistory& history, const CrashPoint& point,
                     StateId id, uint64_t seed, const RegionImage& region) {
  return Chooser(history, point, id, seed, region).Make();
}

void WriteState(const CrashState& state, const std::string& path) {
  ::unlink(path.c_str());
  absl::StatusOr<File> file = File::Open(path, O_RDWR | O_CREAT | O_EXCL);
  EVE_CHECK(file.ok(), "a new file");
  EVE_CHECK(::ftruncate(file->fd(), static_cast<off_t>(state.size)) == 0,
            "a size");
  // Pages of zeroes are left as holes, which read the same.
  std::vector<iovec> run;
  for (uint64_t i = 0; i <= state.pages.size(); ++i) {
    const bool has_page = i < state.pages.size() && state.pages[i] != nullptr;
    if (has_page) {
      run.push_back({const_cast<char*>(state.pages[i]->data()), kPageBytes});
    }
    if (run.empty() || (has_page && run.size() < 512)) continue;
    const uint64_t first = i + (has_page ? 1 : 0) - run.size();
    EVE_CHECK(::pwritev(file->fd(), run.data(), static_cast<int>(run.size()),
                        static_cast<off_t>(first * kPageBytes)) ==
                  static_cast<ssize_t>(run.size() * kPageBytes),
              "room in memory");
    run.clear();
  }
}

}  // namespace eve::simdisk
