#include "engine/checkpoint/dirty_ranges.h"

#include <utility>

#include "engine/root/accounting.h"

namespace eve {

std::vector<ByteRange> DirtyRanges::Collect(const BlockView& view,
                                            uint64_t salt,
                                            const PinnedRoot& root,
                                            uint64_t durable) {
  std::vector<ByteRange> ranges;
  if (root.record().segment_count > kSegmentsMax) return ranges;
  const absl::StatusOr<std::vector<AccountingRow>> rows =
      ReadExactRows(view, root.offset(), salt);
  if (!rows.ok()) return ranges;
  std::vector<Mark> marks(rows->size());
  for (uint32_t i = 0; i < rows->size(); ++i) {
    const AccountingRow& row = (*rows)[i];
    marks[i] = Mark{row.birth, row.fill_units};
    if (row.live_units == 0) continue;
    uint32_t from = SegmentStartUnits(i);
    if (is_first_) {
      if (row.birth <= durable) continue;
    } else if (i < marks_.size() && marks_[i].birth == row.birth) {
      from = marks_[i].fill_units;
    }
    if (from >= row.fill_units) continue;
    const uint64_t begin = (SegmentOffset(i).units + from) * kUnitBytes;
    const uint64_t end = SegmentOffset(i).bytes() + row.fill_units * kUnitBytes;
    const uint64_t before =
        ranges.empty() ? 0 : ranges.back().offset + ranges.back().size;
    if (!ranges.empty() &&
        (begin - before <= kGapBytesMax || ranges.size() >= kRangesMax)) {
      ranges.back().size = end - ranges.back().offset;
    } else {
      ranges.push_back(ByteRange{begin, end - begin});
    }
  }
  marks_ = std::move(marks);
  is_first_ = false;
  return ranges;
}

}  // namespace eve
