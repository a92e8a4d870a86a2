// Offset: a position in a domain file, in 16-byte units.
//
// Threads:    value type.
// Processes:  means the same in every process; addresses do not.
// Owns:       nothing.
// Lifetime:   none. What it points at lives as long as some pin can see it.
// Errors:     none.
// Cost:       none.
#ifndef EVE_ENGINE_FORMAT_OFFSET_H_
#define EVE_ENGINE_FORMAT_OFFSET_H_

#include <compare>
#include <cstdint>

#include "engine/format/constants.h"
#include "engine/format/layout.h"

namespace eve {

// PERSISTED where it is stored. Zero is null: the superblock is there.
struct Offset {
  uint64_t units = 0;

  static constexpr Offset FromBytes(uint64_t bytes) {
    return Offset{bytes / kUnitBytes};
  }
  constexpr uint64_t bytes() const { return units * kUnitBytes; }
  constexpr uint32_t segment() const {
    return static_cast<uint32_t>(units / kSegmentUnits);
  }
  // Distance from the start of its segment, in units.
  constexpr uint32_t units_in_segment() const {
    return static_cast<uint32_t>(units % kSegmentUnits);
  }
  constexpr bool is_null() const { return units == 0; }
  friend constexpr auto operator<=>(Offset, Offset) = default;
};

EVE_LAYOUT(Offset, /*size=*/8, /*align=*/8);

inline constexpr Offset kNullOffset{};

constexpr Offset SegmentOffset(uint32_t segment) {
  return Offset{segment * kSegmentUnits};
}

// Where blocks begin in a segment: segment 0 starts with the superblock and
// the commit slots.
constexpr uint32_t SegmentStartUnits(uint32_t segment) {
  return segment == 0 ? static_cast<uint32_t>(kFirstBlockOffset / kUnitBytes)
                      : 0;
}

constexpr uint64_t UnitsForBytes(uint64_t bytes) {
  return (bytes + kUnitBytes - 1) / kUnitBytes;
}

constexpr uint64_t SegmentsForBytes(uint64_t bytes) {
  return (bytes + kSegmentBytes - 1) / kSegmentBytes;
}

}  // namespace eve

#endif  // EVE_ENGINE_FORMAT_OFFSET_H_
