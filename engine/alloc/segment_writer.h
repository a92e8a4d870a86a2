// SegmentWriter: bump allocation in segments that this writer has claimed.
//
// One active segment per stream, one open attempt at a time (P12). What an
// attempt wrote is a list of extents; an attempt that is not published is
// rewound and its bytes are written again by the next.
//
// Threads:    one at a time.
// Processes:  nobody else writes to a claimed segment. If this process dies,
//             what was not published lies past the committed fill, and whoever
//             takes the segment over goes on there.
// Owns:       the claims on its segments, until they are sealed or released.
// Lifetime:   Release() before destruction, or the claims stay until death.
// Errors:     kResourceExhausted: full disk, quota or address reserve. What
//             was allocated before stays valid.
// Cost:       an addition; now and then a claim (a scan and system calls).
#ifndef EVE_ENGINE_ALLOC_SEGMENT_WRITER_H_
#define EVE_ENGINE_ALLOC_SEGMENT_WRITER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "engine/alloc/segment_source.h"
#include "engine/format/offset.h"

namespace eve {

// Contiguous blocks that one attempt placed in one segment, or a run.
struct WrittenExtent {
  uint32_t segment = 0;
  uint32_t from_units = 0;   // the committed fill when the attempt began
  uint32_t to_units = 0;     // a run's may exceed one segment
  uint32_t floor_units = 0;  // blocks from here on may be edited in place
  uint32_t backed_units = 0;
  bool is_run = false;
};

class SegmentWriter {
 public:
  static constexpr int kStreams = 4;

  // A point that the attempt can be rewound to.
  struct Mark {
    size_t extents = 0;
    int active[kStreams] = {-1, -1, -1, -1};
    uint32_t to_units[kStreams] = {};
  };

  SegmentWriter(SegmentSource* source, char* write_base)
      : source_(source), write_base_(write_base) {}
  SegmentWriter(const SegmentWriter&) = delete;
  SegmentWriter& operator=(const SegmentWriter&) = delete;

  // Of what the claims of the open attempt are, from now on.
  void SetPurpose(ClaimPurpose purpose) { purpose_ = purpose; }
  ClaimPurpose purpose() const { return purpose_; }

  // While space is short what does not add fills what is open in other streams
  // before it claims more.
  absl::StatusOr<Offset> Allocate(int stream, uint64_t bytes);
  // The same if the stream's segment has room for so many units. False: it may
  // be a run, or something has to be claimed or backed first.
  bool TryAllocate(int stream, uint64_t units, Offset* offset) {
    if (active_[stream] < 0) return false;
    WrittenExtent& extent = extents_[static_cast<size_t>(active_[stream])];
    if (units > kRunThresholdBytes / kUnitBytes ||
        extent.to_units + units > extent.backed_units) {
      return false;
    }
    offset->units = SegmentOffset(extent.segment).units + extent.to_units;
    extent.to_units += static_cast<uint32_t>(units);
    return true;
  }
  // How many segments in a row were refused since the last call; 0: none were.
  uint32_t TakeRefused() { return std::exchange(refused_, 0); }
  // Refuses what has not asked for a segment yet; an error that says why.
  absl::Status Refuse(const std::string& path);
  // What is left in the segments that it has.
  uint64_t room_bytes() const;
  // Gives back what it has claimed and not begun to fill.
  void ReleaseSpare();
  char* data(Offset offset) const { return write_base_ + offset.bytes(); }

  Mark Save() const;
  void Rewind(const Mark& mark);
  // The point at which nothing of this attempt is left.
  void RewindAll() { Rewind(begin_); }

  // Blocks placed before now are no longer this attempt's to edit (P14).
  void RaiseEditFloor();
  // All that this attempt has placed may be changed again.
  void DropEditFloor();
  // Whether this attempt placed the block, after the newest edit floor.
  bool CanEdit(Offset offset) const;

  // Whether this attempt placed a run there.
  bool IsRun(Offset offset) const;

  // Extents of the open attempt in the order of their opening; those with
  // from == to hold nothing.
  const std::vector<WrittenExtent>& extents() const { return extents_; }
  uint32_t highest_segment() const;
  // Whether Committed() would give no segment back.
  bool HasOnlyActiveSegments() const;

  // The attempt was published: segments that are no longer active are sealed
  // and the next attempt begins behind what it wrote. REQUIRES: the
  // compare-and-swap is decided.
  void Committed();
  // Gives all segments back for others to go on with.
  void Release();

 private:
  // How many segments one block tries on a disk that is full. Those that are
  // half full come first, and may end in holes.
  static constexpr int kMoveTries = 64;

  absl::Status OpenSegment(int stream);
  // Gives the stream's segment disk space for so many units more.
  absl::Status BackActive(int stream, uint64_t units);
  // The disk has none (`why`): goes on in a segment that needs none. The one
  // that is left keeps what it holds and is given back with the attempt.
  absl::Status MoveToBacked(int stream, uint64_t units, absl::Status why);
  bool HasRoom(int stream, uint64_t units) const {
    return active_[stream] >= 0 &&
           extents_[active_[stream]].to_units + units <= kSegmentUnits;
  }
  // Another one with room for it, or this one.
  int StreamWithRoom(int stream, uint64_t units) const;
  absl::StatusOr<Offset> AllocateRun(uint64_t units);
  void ReleaseRun(const WrittenExtent& run);
  // Back to the table: sealed if it holds published blocks, else free.
  void ReleaseSegment(const WrittenExtent& extent);

  SegmentSource* source_;
  char* write_base_;
  int active_[kStreams] = {-1, -1, -1, -1};  // index in extents_
  std::vector<WrittenExtent> extents_;       // first those of begin_
  absl::flat_hash_map<uint32_t, size_t> by_segment_;
  std::vector<WrittenExtent> spare_;  // claimed, left over from a rewind
  ClaimPurpose purpose_ = ClaimPurpose::kAdd;
  uint32_t refused_ = 0;
  Mark begin_;
};

}  // namespace eve

#endif  // EVE_ENGINE_ALLOC_SEGMENT_WRITER_H_
