#include "engine/verify/reach_map.h"

#include <algorithm>
#include <bit>

namespace eve::verify {

ReachMap::Segment& ReachMap::At(uint32_t segment) {
  if (segments_.size() <= segment) segments_.resize(segment + 1);
  return segments_[segment];
}

bool ReachMap::Mark(Offset offset, uint64_t size_units) {
  const uint32_t unit = offset.units_in_segment();
  Segment& first = At(offset.segment());
  if (first.bits == nullptr) {
    first.bits = std::make_unique<std::array<uint64_t, kWords>>();
  }
  uint64_t& word = (*first.bits)[unit / 64];
  const uint64_t bit = uint64_t{1} << unit % 64;
  if ((word & bit) != 0) return false;
  word |= bit;
  ++first.starts;
  ++blocks_;
  uint32_t segment = offset.segment();
  uint64_t room = kSegmentUnits - unit;
  for (uint64_t left = size_units; left > 0;) {
    const uint64_t part = std::min(left, room);
    At(segment).live += part;
    left -= part;
    room = kSegmentUnits;
    ++segment;
  }
  return true;
}

bool ReachMap::IsStart(Offset offset) const {
  const uint32_t segment = offset.segment();
  if (segment >= segments_.size() || segments_[segment].bits == nullptr) {
    return false;
  }
  const uint32_t unit = offset.units_in_segment();
  return ((*segments_[segment].bits)[unit / 64] >> unit % 64 & 1) != 0;
}

uint32_t ReachMap::NextStart(uint32_t segment, uint32_t unit) const {
  constexpr uint32_t kNone = static_cast<uint32_t>(kSegmentUnits);
  if (segment >= segments_.size() || segments_[segment].bits == nullptr) {
    return kNone;
  }
  const std::array<uint64_t, kWords>& bits = *segments_[segment].bits;
  while (unit < kNone) {
    const uint64_t rest = bits[unit / 64] >> unit % 64;
    if (rest != 0) return unit + static_cast<uint32_t>(std::countr_zero(rest));
    unit = (unit / 64 + 1) * 64;
  }
  return kNone;
}

}  // namespace eve::verify
