#include "engine/verify/rescue_scan.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "engine/format/constants.h"
#include "engine/format/offset.h"

namespace eve::verify {
namespace {

// False: `found` has had enough. `*past`: the first segment that a run leaves.
bool ScanSegment(const RescueContext& context, uint32_t segment,
                 uint32_t end_units, uint32_t* past,
                 absl::FunctionRef<bool(const WholeBlock&)> found) {
  // Headers are looked for in what was read at once; a block is read by itself.
  const std::string bytes =
      ReadSegment(*context.file, context.file_bytes, segment);
  WholeBlock block;
  std::string why;
  for (uint32_t unit = SegmentStartUnits(segment); unit < end_units;) {
    if (bytes[unit * kUnitBytes] == 0 ||
        static_cast<uint8_t>(bytes[unit * kUnitBytes]) > kBlockTypeMax ||
        !context.LoadAny(Offset{SegmentOffset(segment).units + unit}, block,
                         &why)) {
      ++unit;
      continue;
    }
    if (!found(block)) return false;
    const uint64_t next = uint64_t{unit} + block.header.size_units;
    if (next > kSegmentUnits) {
      *past = segment +
              static_cast<uint32_t>(SegmentsForBytes(block.header.bytes()));
      return true;
    }
    unit = static_cast<uint32_t>(next);
  }
  return true;
}

}  // namespace

std::string ReadSegment(const File& file, uint64_t file_bytes,
                        uint32_t segment) {
  std::string bytes(kSegmentBytes, '\0');
  const uint64_t base = SegmentOffset(segment).bytes();
  const uint64_t size = std::min(kSegmentBytes, file_bytes - base);
  for (uint64_t at = 0; at < size; at += kPageBytes) {
    const uint64_t part = std::min(kPageBytes, size - at);
    // A page that cannot be read is zeroes, and so no block.
    if (!file.ReadAt(base + at, bytes.data() + at, part).ok()) {
      std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(at), part, '\0');
    }
  }
  return bytes;
}

void ScanBlocks(const RescueContext& context,
                const std::vector<AccountingRow>& rows,
                absl::FunctionRef<bool(const WholeBlock&)> found) {
  const auto count =
      static_cast<uint32_t>(SegmentsForBytes(context.file_bytes));
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  const auto birth = [&rows](uint32_t segment) {
    return segment < rows.size() ? rows[segment].birth : 0;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return birth(a) < birth(b); });
  std::vector<bool> is_inside_run(count, false);
  for (const uint32_t segment : order) {
    if (is_inside_run[segment]) continue;
    uint32_t end = static_cast<uint32_t>(kSegmentUnits);
    if (!rows.empty()) {
      if (segment >= rows.size() || rows[segment].live_units == 0 ||
          rows[segment].run_index > 0) {
        continue;
      }
      end = std::min(end, rows[segment].fill_units);
    }
    uint32_t past = segment + 1;
    if (!ScanSegment(context, segment, end, &past, found)) return;
    for (uint32_t i = segment + 1; i < std::min(past, count); ++i) {
      is_inside_run[i] = true;
    }
  }
}

}  // namespace eve::verify
