// DirtyRanges: about what a checkpoint has to write, for hints and figures.
//
// Compares the accounting with what it was at the checkpoint before. Whatever
// it misses the flush takes all the same.
//
// Threads:    one at a time: the caller has a lock.
// Processes:  what others have flushed meanwhile counts as dirty.
// Owns:       two words for each segment.
// Lifetime:   none.
// Errors:     nothing, instead of a list.
// Cost:       a pass over the accounting: 40 bytes for each 2 MiB of data.
#ifndef EVE_ENGINE_CHECKPOINT_DIRTY_RANGES_H_
#define EVE_ENGINE_CHECKPOINT_DIRTY_RANGES_H_

#include <cstdint>
#include <vector>

#include "engine/file/block_view.h"
#include "engine/file/io_ring.h"
#include "engine/root/pinned_root.h"

namespace eve {

class DirtyRanges {
 public:
  // With more segments than this, 512 GiB, the pass costs more than it gains.
  static constexpr uint64_t kSegmentsMax = uint64_t{1} << 18;
  // Hints are for what is large; many small pieces are one.
  static constexpr uint64_t kGapBytesMax = 256 << 10;
  static constexpr size_t kRangesMax = 512;

  // What may have been written since `durable` or the last call, ascending.
  std::vector<ByteRange> Collect(const BlockView& view, uint64_t salt,
                                 const PinnedRoot& root, uint64_t durable);

 private:
  struct Mark {
    uint64_t birth = 0;
    uint32_t fill_units = 0;
  };
  bool is_first_ = true;
  std::vector<Mark> marks_;  // by segment, as of the last call
};

inline uint64_t BytesOf(const std::vector<ByteRange>& ranges) {
  uint64_t bytes = 0;
  for (const ByteRange& range : ranges) bytes += range.size;
  return bytes;
}

}  // namespace eve

#endif  // EVE_ENGINE_CHECKPOINT_DIRTY_RANGES_H_
