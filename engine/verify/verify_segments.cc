#include "engine/verify/verify_segments.h"

#include <algorithm>
#include <string>
#include <vector>

#include "engine/format/checksum.h"

namespace eve::verify {
namespace {

constexpr uint64_t kRunBytesMax = 2 * kValueBytesMax;

class SegmentChecker {
 public:
  SegmentChecker(const std::vector<AccountingRow>& rows, uint64_t version,
                 const ReachMap& reach, BlockReader& reader, ErrorLog& log,
                 VerifyReport& report)
      : rows_(rows),
        version_(version),
        reach_(reach),
        reader_(reader),
        log_(log),
        report_(report) {}

  void Check(uint32_t segment) {
    const AccountingRow& row = rows_[segment];
    CheckLive(segment, row.live_units);
    report_.live_bytes += row.live_units * kUnitBytes;
    if (row.live_units == 0) {
      ++(row.fill_units == 0 ? report_.segments.unwritten
                             : report_.segments.dead);
      return;
    }
    const bool is_run = row.run_length > 1;
    ++(is_run ? report_.segments.run : report_.segments.live);
    if (!CheckRow(segment, row)) return;
    report_.fill_bytes +=
        (row.fill_units - SegmentStartUnits(segment)) * kUnitBytes;
    if (!is_run) {
      WalkSegment(segment, row);
    } else if (row.run_index == 0) {
      CheckRun(segment, row);
    } else {
      CheckContinuation(segment, row);
    }
  }

  // Reached, although no row is there.
  void CheckLive(uint32_t segment, uint64_t live_units) {
    if (reach_.live_units(segment) == live_units) return;
    log_.Add(SegmentOffset(segment),
             absl::StrCat("segment ", segment, ": live bytes"),
             absl::StrCat(live_units * kUnitBytes, " by the accounting"),
             absl::StrCat(reach_.live_units(segment) * kUnitBytes,
                          " are reachable"));
  }

 private:
  // True if the row makes sense by itself.
  bool CheckRow(uint32_t segment, const AccountingRow& row) {
    const Offset at = SegmentOffset(segment);
    const uint32_t start = SegmentStartUnits(segment);
    log_.AtMost(at, "row: birth", version_, row.birth);
    log_.AtMost(at, "row: death", version_, row.death);
    if (row.birth == 0) log_.Add(at, "row: birth", "at least 1", "0");
    if (row.fill_units < start || row.fill_units > kSegmentUnits) {
      log_.Add(at, "row: fill", absl::StrCat(start, " to ", kSegmentUnits),
               absl::StrCat(row.fill_units));
      return false;
    }
    if (at.units + row.fill_units > reader_.limit_units()) {
      log_.Add(
          at, absl::StrCat("segment ", segment, ": the file ends in it"),
          absl::StrCat("at least ", (at.units + row.fill_units) * kUnitBytes),
          absl::StrCat(reader_.limit_units() * kUnitBytes));
      return false;
    }
    bool ok = log_.AtMost(at, "row: live units", row.fill_units - start,
                          row.live_units);
    if (row.run_length == 0 || row.run_index >= row.run_length ||
        (row.run_index == 0 && segment + row.run_length > rows_.size())) {
      log_.Add(at, "row: run", "an index below its length",
               absl::StrCat(row.run_index, " of ", row.run_length));
      ok = false;
    }
    return ok;
  }

  // Walks the blocks of [start, fill).
  void WalkSegment(uint32_t segment, const AccountingRow& row) {
    const Offset base = SegmentOffset(segment);
    const uint32_t start = SegmentStartUnits(segment);
    const uint64_t errors_before = log_.count();
    buffer_.resize((row.fill_units - start) * kUnitBytes);
    const uint64_t from = (base.units + start) * kUnitBytes;
    const absl::Status read =
        reader_.file().ReadAt(from, buffer_.data(), buffer_.size());
    if (!read.ok()) {
      log_.AddUnread(from, "the file cannot be read here", buffer_.size(),
                     read);
      return;
    }
    uint64_t sum = 0;
    uint64_t reached = 0;
    for (uint32_t unit = start; unit < row.fill_units;) {
      const Offset offset{base.units + unit};
      const uint32_t room = row.fill_units - unit;
      const char* block = buffer_.data() + (unit - start) * kUnitBytes;
      BlockHeader header;
      std::memcpy(&header, block, sizeof(header));
      if (!CheckHeader(offset, header, room)) return;
      const bool is_reached = reach_.IsStart(offset);
      reached += is_reached ? 1 : 0;
      const uint64_t hash = BlockHash(block, offset, reader_.salt());
      sum += hash;
      ++report_.summed_blocks;
      // That of a reachable block was reported when it was reached.
      if (!is_reached && ChecksumOf(hash) != header.checksum) {
        log_.Add(offset, "unreachable block: checksum failed",
                 Hex(ChecksumOf(hash)), Hex(header.checksum));
      }
      const uint32_t end = unit + header.size_units;
      CheckNoneInside(segment, unit, std::min(end, row.fill_units));
      unit = end;
    }
    if (reached != reach_.starts(segment)) {
      log_.Add(base, "reachable blocks that begin where blocks begin",
               absl::StrCat(reach_.starts(segment)), absl::StrCat(reached));
    }
    if (sum != row.sum && log_.count() == errors_before) {
      log_.Add(base,
               absl::StrCat("segment ", segment,
                            ": its blocks are not those that were committed "
                            "(a lost or stale write): sum of hashes"),
               Hex(row.sum), Hex(sum));
    }
  }

  bool CheckHeader(Offset offset, const BlockHeader& header, uint32_t room) {
    if (header.type == 0 || header.type > kBlockTypeMax) {
      log_.Add(offset, "block type", absl::StrCat("1 to ", kBlockTypeMax),
               absl::StrCat(header.type));
      return false;
    }
    if (header.size_units == 0 || header.size_units > room) {
      log_.Add(offset, "block size in units, up to the fill",
               absl::StrCat("1 to ", room), absl::StrCat(header.size_units));
      return false;
    }
    return true;
  }

  void CheckNoneInside(uint32_t segment, uint32_t unit, uint32_t end) {
    const uint32_t next = reach_.NextStart(segment, unit + 1);
    if (next >= end) return;
    log_.Add(
        Offset{SegmentOffset(segment).units + next},
        "reachable block inside another block",
        absl::StrCat("none in the block at ",
                     (SegmentOffset(segment).units + unit) * kUnitBytes),
        absl::StrCat("one ", (next - unit) * kUnitBytes, " bytes into it"));
  }

  // One block that fills several segments.
  void CheckRun(uint32_t segment, const AccountingRow& head) {
    const Offset offset = SegmentOffset(segment);
    uint64_t fill = 0;
    for (uint32_t k = 0; k < head.run_length; ++k) {
      fill += rows_[segment + k].fill_units;
    }
    LoadedBlock block;
    if (!reader_.LoadAny(offset, kRunBytesMax, block)) return;
    ++report_.summed_blocks;
    if (!reach_.IsStart(offset)) {
      log_.Add(offset, "run: its block is live", "reachable", "unreachable");
    }
    log_.Equal(offset, "run: units of its block", fill,
               block.header.size_units);
    if (block.hash != head.sum) {
      log_.Add(offset, "run: its block is not the one that was committed: hash",
               Hex(head.sum), Hex(block.hash));
    }
  }

  void CheckContinuation(uint32_t segment, const AccountingRow& row) {
    const Offset at = SegmentOffset(segment);
    if (row.run_index > segment) {
      log_.Add(at, "row: index in its run", absl::StrCat("up to ", segment),
               absl::StrCat(row.run_index));
      return;
    }
    const AccountingRow& head = rows_[segment - row.run_index];
    if (head.run_index != 0 || head.run_length != row.run_length ||
        head.birth != row.birth) {
      log_.Add(at, "row: head of its run",
               absl::StrCat("length ", row.run_length, ", born ", row.birth),
               absl::StrCat("length ", head.run_length, ", born ", head.birth));
    }
    log_.Equal(at, "row: sum of a continuation", 0, row.sum);
    log_.Equal(at, "blocks that begin in a continuation", 0,
               reach_.starts(segment));
    const bool is_last = row.run_index + 1 == row.run_length;
    if (!is_last) {
      log_.Equal(at, "row: fill inside a run", kSegmentUnits, row.fill_units);
    }
  }

  const std::vector<AccountingRow>& rows_;
  const uint64_t version_;
  const ReachMap& reach_;
  BlockReader& reader_;
  ErrorLog& log_;
  VerifyReport& report_;
  std::vector<char> buffer_;
};

}  // namespace

void CheckSegments(const std::vector<AccountingRow>& rows, uint64_t version,
                   const ReachMap& reach, BlockReader& reader, ErrorLog& log,
                   VerifyReport& report) {
  SegmentChecker checker(rows, version, reach, reader, log, report);
  const auto count = static_cast<uint32_t>(rows.size());
  report.segments.total = count;
  for (uint32_t segment = 0; segment < count; ++segment) {
    checker.Check(segment);
  }
  for (uint32_t segment = count; segment < reach.segment_count(); ++segment) {
    checker.CheckLive(segment, 0);
  }
}

}  // namespace eve::verify
