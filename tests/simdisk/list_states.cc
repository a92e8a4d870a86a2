#include "tests/simdisk/list_states.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/format/constants.h"

namespace eve::simdisk {
namespace {

constexpr uint32_t kTornSlotsMax = 4;
constexpr uint32_t kPrefixes = 8;
constexpr uint32_t kRandoms = 24;
constexpr uint32_t kRegionBetweens = 2;
constexpr uint32_t kRegionPrefixes = 2;

}  // namespace

bool IsSlotPage(uint64_t page) {
  const uint64_t at = page * kPageBytes;
  return at >= kCommitSlotsOffset &&
         at < kCommitSlotsOffset + kCommitSlotCount * kPageBytes;
}

std::string StateId::ToString() const {
  return absl::StrCat(event, ".", static_cast<int>(family), ".", index);
}

bool StateId::Parse(const std::string& text, StateId* id) {
  const std::vector<std::string> parts = absl::StrSplit(text, '.');
  uint32_t family = 0;
  if (parts.size() != 3 || !absl::SimpleAtoi(parts[0], &id->event) ||
      !absl::SimpleAtoi(parts[1], &family) ||
      !absl::SimpleAtoi(parts[2], &id->index) || family >= kFamilies) {
    return false;
  }
  id->family = static_cast<Family>(family);
  return true;
}

std::vector<StateId> ListStates(const CrashPoint& point,
                                uint64_t exhaustive_max, bool has_region) {
  std::vector<StateId> ids;
  const auto add = [&](Family family, uint64_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      ids.push_back(StateId{point.event, family, i});
    }
  };
  const uint64_t pages = point.in_flight.size();
  const auto slots = static_cast<uint64_t>(
      std::count_if(point.in_flight.begin(), point.in_flight.end(),
                    [](const InFlight& p) { return IsSlotPage(p.page); }));
  add(Family::kAllOld, 1);
  if (point.sizes.size() > 1) add(Family::kSize, 3 * point.sizes.size());
  if (has_region) add(Family::kRegionNew, 1);
  if (has_region) add(Family::kRegionStale, 3);
  add(Family::kRotten, 1);
  if (pages == 0) return ids;
  add(Family::kAllNew, 1);
  add(Family::kOneNew, std::min<uint64_t>(pages, kSingles));
  add(Family::kOneOld, std::min<uint64_t>(pages, kSingles));
  const auto between = static_cast<uint64_t>(std::count_if(
      point.in_flight.begin(), point.in_flight.end(), HasBetween));
  add(Family::kOneBetween, std::min<uint64_t>(between, kSingles));
  if (between > 0) add(Family::kSizeBetween, 4 * (point.sizes.size() - 1));
  if (slots > 0) add(Family::kSlotsNew, 1);
  if (slots > 0) add(Family::kBlocksNew, 1);
  add(Family::kTornSlot, 16 * std::min<uint64_t>(slots, kTornSlotsMax));
  add(Family::kOffsetPrefix, kPrefixes);
  add(Family::kTimePrefix, kPrefixes);
  add(Family::kRange, 4 * std::min<uint64_t>(point.open_ranges.size(), 8));
  add(Family::kRandom, kRandoms);
  add(Family::kRandomTorn, kRandoms);
  add(Family::kGarbage, kRandoms / 2);
  if (pages < 32 && (uint64_t{1} << pages) <= exhaustive_max) {
    add(Family::kExhaustive, uint64_t{1} << pages);
  }
  if (!has_region) return ids;
  add(Family::kRegionOld, 1);
  add(Family::kRegionRandom, 3);
  add(Family::kRegionOneNew, std::min<uint64_t>(pages, kRegionSingles));
  add(Family::kRegionOneOld, std::min<uint64_t>(pages, kRegionSingles));
  add(Family::kRegionOneBetween, std::min<uint64_t>(between, kRegionBetweens));
  if (slots > 0) add(Family::kRegionSlotsNew, 1);
  if (slots > 0) add(Family::kRegionBlocksNew, 1);
  add(Family::kRegionOffsetPrefix, kRegionPrefixes);
  add(Family::kRegionTimePrefix, kRegionPrefixes);
  return ids;
}

}  // namespace eve::simdisk
