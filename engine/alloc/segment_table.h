// SegmentTable: one word a segment says who may write to it.
//
//   free     nobody's; anybody may claim it
//   claimed  its owner's; nobody else writes or frees it while the owner lives
//   sealed   nobody's; holds published blocks
//
// Beside the state stands what is known of its disk space: nothing (after the
// region was rebuilt, or since somebody began to change it), that it is backed,
// or that it is a hole. Only a segment known to be backed may be stored to
// without asking the file system first: a store into a hole of a full disk is a
// SIGBUS.
//
// The tag in the word grows at every transition (P5), so that a collector that
// was stopped between its decision and its compare-and-swap cannot free a
// segment that was freed, refilled and sealed meanwhile.
//
// Threads:    any; each transition is one compare-and-swap.
// Processes:  any. A dead owner's claim is recognised by its slot's lock byte
//             or by a newer generation of the slot.
// Owns:       the segment state words: this is the only file that writes them.
// Lifetime:   shorter than the region's.
// Errors:     none; Try* may lose a race.
// Cost:       one compare-and-swap; a claim scans the words, 8 bytes a segment,
//             until it finds one to its liking or has looked at 4,096 more.
#ifndef EVE_ENGINE_ALLOC_SEGMENT_TABLE_H_
#define EVE_ENGINE_ALLOC_SEGMENT_TABLE_H_

#include <algorithm>
#include <cstdint>
#include <optional>

#include "engine/epoch/process_slots.h"
#include "engine/file/shared_region.h"

namespace eve {

enum class SegmentState : uint8_t { kFree = 0, kClaimed = 1, kSealed = 2 };

enum class Backing : uint8_t {
  kUnknown = 0,  // allocated, a hole, or half of each
  kBacked = 1,   // allocated and filled once in this region's life
  kHole = 2,     // punched, and not touched since
};

// Bits 0..1 state; 2..3 backing; 4..13 owner slot; 14..29 owner generation;
// 30..63 tag.
struct SegmentWord {
  uint64_t word = 0;

  static SegmentWord Make(SegmentState state, Backing backing, uint32_t owner,
                          uint64_t generation, uint64_t tag) {
    return SegmentWord{
        static_cast<uint64_t>(state) | static_cast<uint64_t>(backing) << 2 |
        uint64_t{owner & 0x3FF} << 4 | (generation & 0xFFFF) << 14 | tag << 30};
  }
  SegmentState state() const { return static_cast<SegmentState>(word & 3); }
  Backing backing() const { return static_cast<Backing>(word >> 2 & 3); }
  bool backed() const { return backing() == Backing::kBacked; }
  bool is_free() const { return state() == SegmentState::kFree; }
  uint32_t owner() const { return static_cast<uint32_t>(word >> 4 & 0x3FF); }
  uint64_t generation() const { return word >> 14 & 0xFFFF; }
  uint64_t tag() const { return word >> 30; }
};
static_assert(kProcessesMax <= 1024, "the owner has ten bits");

class SegmentTable {
 public:
  // Claims no free segment from `mapped_segments` on: a process with more
  // addresses may have grown the file beyond what this one can store to.
  SegmentTable(const SharedRegion* region, const ProcessSlots* slots,
               uint32_t mapped_segments)
      : region_(region), slots_(slots), mapped_segments_(mapped_segments) {}

  // Segments that the file has room for.
  uint32_t capacity() const;
  // Raises the capacity; never lowers it. REQUIRES: the file was allocated and
  // EnsureSegmentStates succeeded up to there.
  void RaiseCapacity(uint32_t segments);
  // REQUIRES: nobody else is attached or can attach (P26), and the caller has
  // claimed all segments from there on.
  void LowerCapacity(uint32_t segments);
  // Free segments at the end of the capacity, without a gap; not counting
  // segment 0, and none if this process cannot store to them.
  uint32_t FreeAtEnd() const;

  // Free segments that this process can store to, as far as `most`; with
  // `backed`, only those known to have disk space.
  uint32_t CountFree(uint32_t most, bool backed) const;

  SegmentWord Load(uint32_t segment) const;

  // Claims the free segment that costs least: backed ones first, then those
  // whose loss breaks no long stretch of free ones, then the lowest. The last
  // quarter of the file is touched only when the rest is full, so that it can
  // empty.
  std::optional<uint32_t> TryClaimFree();
  // Claims the lowest one, whatever it costs.
  std::optional<uint32_t> TryClaimLowest();
  // Claims this one if it is free.
  bool TryClaimFree(uint32_t segment);
  // Claims `length` free segments in a row, the lowest there are.
  std::optional<uint32_t> TryClaimRun(uint32_t length);
  // Claims an unowned segment with blocks, to go on at its committed fill. The
  // caller reads the root only after this succeeded.
  bool TryClaimSealed(uint32_t segment);
  // Claims a free segment that may have disk space, in order to punch it. The
  // same compare-and-swap forgets that it was backed: a puncher may die or be
  // stopped at any point, and whoever has the segment after it asks the file
  // system for space again (P12).
  bool TryClaimToPunch(uint32_t segment);
  // The owner's: free, and nothing but a hole. REQUIRES: the punch returned.
  void ReleaseHole(uint32_t segment);
  // Claims a sealed segment only if its word is still `seen`.
  bool TryClaimJudged(uint32_t segment, SegmentWord seen);
  // Takes a dead owner's segment over. The caller reads the root only after
  // this succeeded (P5), then releases it.
  bool TryTakeOver(uint32_t segment, SegmentWord seen);
  bool IsOwnerDead(SegmentWord seen) const;

  // The owner's: marks that all its pages are allocated.
  void MarkBacked(uint32_t segment);
  // The owner's: nothing in it was ever published in this life (P7).
  void ReleaseFree(uint32_t segment);
  // The owner's: it holds published blocks. REQUIRES: the compare-and-swap of
  // the commit that wrote them is decided.
  void ReleaseSealed(uint32_t segment);

  // The collector's: sealed to free, only if the word is still `seen`.
  bool TryFree(uint32_t segment, SegmentWord seen);

  // The first opener's, before the region is ready.
  void ResetForRebuild(uint32_t segment, SegmentState state);

 private:
  bool Swap(uint32_t segment, SegmentWord seen, SegmentState state,
            Backing backing);
  uint32_t ClaimEnd() const { return std::min(capacity(), mapped_segments_); }
  std::optional<uint32_t> FindCheapest(uint32_t begin, uint32_t end) const;
  std::optional<uint32_t> TryClaimCheapest(uint32_t begin, uint32_t end);
  void ReleaseOwned(uint32_t segment, SegmentState state);

  const SharedRegion* region_;
  const ProcessSlots* slots_;
  const uint32_t mapped_segments_;
};

}  // namespace eve

#endif  // EVE_ENGINE_ALLOC_SEGMENT_TABLE_H_
