// ReachMap: which blocks the root reaches, and how many units of each segment
// they fill.
//
// Threads:    one at a time.
// Processes:  none.
// Owns:       a bit for each unit of the segments that are reached.
// Lifetime:   within one VerifyDomain().
// Errors:     Mark() says when a block is reached again: a cycle, or two
//             owners.
// Cost:       16 KiB a segment.
#ifndef EVE_ENGINE_VERIFY_REACH_MAP_H_
#define EVE_ENGINE_VERIFY_REACH_MAP_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/format/offset.h"

namespace eve::verify {

class ReachMap {
 public:
  // False if a block at `offset` was marked before. A block longer than the
  // rest of its segment counts in the segments that follow too.
  // REQUIRES: the block lies inside the file.
  bool Mark(Offset offset, uint64_t size_units);

  uint64_t live_units(uint32_t segment) const {
    return segment < segments_.size() ? segments_[segment].live : 0;
  }
  uint64_t starts(uint32_t segment) const {
    return segment < segments_.size() ? segments_[segment].starts : 0;
  }
  bool IsStart(Offset offset) const;
  // The first start in the segment at or after `unit`; kSegmentUnits: none.
  uint32_t NextStart(uint32_t segment, uint32_t unit) const;
  uint32_t segment_count() const {
    return static_cast<uint32_t>(segments_.size());
  }
  uint64_t blocks() const { return blocks_; }

 private:
  static constexpr uint32_t kWords = kSegmentUnits / 64;
  struct Segment {
    uint64_t live = 0;
    uint64_t starts = 0;
    std::unique_ptr<std::array<uint64_t, kWords>> bits;
  };
  Segment& At(uint32_t segment);

  std::vector<Segment> segments_;
  uint64_t blocks_ = 0;
};

}  // namespace eve::verify

#endif  // EVE_ENGINE_VERIFY_REACH_MAP_H_
