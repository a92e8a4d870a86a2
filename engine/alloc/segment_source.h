// SegmentSource: where writers get claimed, backed segments from.
//
// Order of preference: half-full segments that nobody owns, segments prepared
// in the background, free segments, growth of the file. Growth allocates disk
// space first and publishes the capacity after, takes no lock and never
// shrinks the file, so any number of processes may grow at once.
//
// What pages cost decides how a segment is backed: an aligned 2 MiB that is
// populated, or written, in one call becomes one 2-MiB folio, which both views
// map with one huge entry. Only the first kSteppedSegments of a domain are
// backed in 64-KiB steps, so that small domains stay small.
//
// Threads:    any.
// Processes:  any; a death between the claim and the first commit leaves a
//             claimed segment whose owner is dead, which the collector frees.
// Owns:       claims on prepared segments until a writer takes them.
// Lifetime:   ReleasePrepared() before destruction.
// Errors:     kResourceExhausted: disk full, max_bytes or address reserve, but
//             for what is set aside.
// Cost:       a claim scans the state words; a fresh segment costs 2 MiB of
//             zeroes (0.3 ms), off the commit path when prepared. Where the
//             file can grow, the reserve costs a statfs a claim.
#ifndef EVE_ENGINE_ALLOC_SEGMENT_SOURCE_H_
#define EVE_ENGINE_ALLOC_SEGMENT_SOURCE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>  // guards half_full_ and ready_
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/alloc/segment_table.h"
#include "engine/file/file.h"
#include "engine/file/mapping.h"
#include "engine/format/offset.h"

namespace eve {

inline constexpr uint32_t kSteppedSegments = 4;
// Where each commit is flushed, one of them pays for what was filled. In 2 MiB
// that is milliseconds, and in small steps the file system has to note too
// often that they were filled.
inline constexpr uint64_t kSyncBackingStepBytes = 256 << 10;

// What a claim is for: how much of the reserve it leaves.
enum class ClaimPurpose : uint8_t {
  kAdd,       // may make more live
  kErase,     // nothing but erasing, so far
  kMakeRoom,  // folds, and moves out of segments that are given back
};

// Of a domain that can have so many segments at most. Below twelve there is
// little to set aside: the open segments of two writers are as many.
inline constexpr uint32_t kReserveFrom = 12;
inline constexpr uint32_t kReserveMin = 4;
inline constexpr uint32_t kReserveMax = 8;
constexpr uint32_t ReserveOf(uint64_t segments_max) {
  if (segments_max < kReserveFrom) return 0;
  return static_cast<uint32_t>(
      std::clamp<uint64_t>(segments_max / 8 + 1, kReserveMin, kReserveMax));
}
// What a round of compaction needs: the moved blocks of one segment and the
// paths to them.
constexpr uint32_t RoundNeeds(uint32_t reserve) {
  return std::min(reserve, kReserveMin - 1);
}

struct ClaimedSegment {
  uint32_t segment = 0;
  uint32_t fill_units = 0;    // go on here
  uint32_t backed_units = 0;  // pages below are allocated
};

class SegmentSource {
 public:
  struct Limits {
    uint64_t max_bytes = 0;        // 0: none
    uint32_t mapped_segments = 0;  // both views reach up to here
    uint64_t backing_step_bytes = kBackingStepBytes;
    bool all_stepped = false;  // not only the first kSteppedSegments
    // What is prepared gets its pages for writing also if it was used before: a
    // checkpoint has made them read-only, and each would cost its first writer
    // a fault. Not where commits are flushed: it makes all 2 MiB dirty.
    bool populate_used = false;
  };

  SegmentSource(const SharedRegion* region, const File* file,
                const Mapping* write_mapping, SegmentTable* table,
                Limits limits)
      : region_(region),
        file_(file),
        write_mapping_(write_mapping),
        table_(table),
        limits_(limits) {}

  // Set once, before the first claim. `committed_fill` returns the committed
  // fill of a segment that the caller owns, or nothing if it must not be
  // written behind (a run, or no live blocks). `reclaim` tries to free
  // segments before the file grows.
  std::function<std::optional<uint32_t>(uint32_t)> committed_fill;
  std::function<void()> reclaim;
  // Told of every claim, so that a background thread can prepare the next.
  std::function<void()> claimed;

  // Segments that are worth going on with; tried first.
  void OfferHalfFull(std::vector<uint32_t> segments);

  absl::StatusOr<ClaimedSegment> Claim(
      ClaimPurpose purpose = ClaimPurpose::kAdd);
  absl::StatusOr<uint32_t> ClaimRun(uint32_t length,
                                    ClaimPurpose purpose = ClaimPurpose::kAdd);

  // Whether space was short when this process last looked: nobody but who makes
  // room may move blocks, until there is more than the reserve again.
  bool is_tight() const { return level_.load(std::memory_order_relaxed) > 0; }
  // Whether the reserve itself was not whole: nobody may add.
  bool is_broken() const { return level_.load(std::memory_order_relaxed) > 1; }
  // Looks anew.
  void Look();

  // Segments that can be had now.
  struct Room {
    uint32_t reserve = 0;
    uint32_t free = 0;
    uint32_t growable = 0;
    uint64_t on_disk = 0;  // as the file system says
    // The disk has little more than the reserve: only free segments that are
    // known to be backed count.
    bool is_disk_scarce = false;

    uint32_t all() const { return free + growable; }
  };
  // Counts no further than `wanted` beside the reserve.
  Room MeasureRoom(uint32_t wanted) const;
  // The same; of a disk that is nearly full, or whose file could not grow when
  // that was last tried, it backs as much first.
  Room SecureRoom(uint32_t wanted);

  // Allocates pages so that units below `to_units` of an owned segment can be
  // stored to. Returns the new end of what is allocated.
  absl::StatusOr<uint32_t> Back(uint32_t segment, uint32_t from_units,
                                uint32_t to_units);

  // Claims and fills one segment ahead of need, if claims are being made and
  // none is ready. For a background thread. Returns whether it did.
  bool PrepareOne();
  void ReleasePrepared();

  // While the file is packed, and then until it grows, what is claimed is the
  // lowest, so that the end of the file can be given back. Not where the disk
  // is full: it may be a hole.
  enum class Packing : uint8_t { kNo, kUntilItGrows, kYes };
  void SetPacking(Packing packing) {
    packing_.store(packing, std::memory_order_relaxed);
  }
  bool is_packing() const {
    return packing_.load(std::memory_order_relaxed) == Packing::kYes;
  }

  SegmentTable& table() { return *table_; }
  // Claims by this process so far.
  uint64_t claims() const { return claims_.load(std::memory_order_relaxed); }

 private:
  std::optional<ClaimedSegment> TakeHalfFull();
  uint32_t MostSegments() const;
  // Whether `count` segments may be claimed; else an error.
  absl::Status CheckReserve(uint32_t count, ClaimPurpose purpose);
  void BackAhead(uint32_t count);
  absl::Status Refuse(uint32_t count, const Room& room) const;
  void SetLevel(const Room& room, bool is_refused);
  absl::StatusOr<uint32_t> ClaimOne(ClaimPurpose purpose);
  absl::StatusOr<ClaimedSegment> MakeReady(uint32_t segment);
  // Allocates and fills all of a segment that is claimed.
  absl::Status BackWhole(uint32_t segment);
  absl::Status Grow(uint32_t at_least);
  absl::Status AllocateSegments(uint32_t first, uint32_t count);
  absl::Status Prefill(uint32_t segment, uint64_t from, uint64_t to);

  const SharedRegion* region_;
  const File* file_;
  const Mapping* write_mapping_;
  SegmentTable* table_;
  const Limits limits_;
  std::atomic<uint64_t> claims_{0};
  std::atomic<uint64_t> claims_prepared_for_{0};
  // 0: room; 1: a claim was refused; 2: less than the reserve is free. A hint.
  std::atomic<uint32_t> level_{0};
  // The file could not grow. Quotas and limits are known by this alone.
  std::atomic<bool> has_failed_to_grow_{false};
  std::atomic<Packing> packing_{Packing::kNo};
  std::mutex mutex_;
  std::vector<uint32_t> half_full_;
  std::vector<ClaimedSegment> ready_;
};

}  // namespace eve

#endif  // EVE_ENGINE_ALLOC_SEGMENT_SOURCE_H_
