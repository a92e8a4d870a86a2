// Attempt: the blocks born and the bytes retired in one run of a transaction,
// and the commit record that it ends in.
//
// Blocks are stored through the write view; or, staged, built in private copies
// of its pages and written to the file before the compare-and-swap. A mapped
// store makes a whole 2-MiB folio dirty, a write only the 4-KiB blocks that it
// touches, so a commit that is flushed alone is staged (but not its runs). What
// is small lies in one stream then: each stretch costs the device a write.
//
// Blocks are written in the order data, catalog path, commit record (P9). A
// lost compare-and-swap that needs no new run of the closure rewinds to the end
// of the data and writes the last two again.
//
// Threads:    one at a time.
// Processes:  nothing is seen by others until the root word names the record.
// Owns:       nothing beyond the writer's claims.
// Lifetime:   Begin() to Committed() or RewindAll(). Death in between leaves
//             bytes past the committed fill of a segment whose owner is dead.
// Errors:     kResourceExhausted from allocation; the attempt can be rewound.
// Cost:       one pass of XXH3 over the new blocks at the end.
#ifndef EVE_ENGINE_TXN_ATTEMPT_H_
#define EVE_ENGINE_TXN_ATTEMPT_H_

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/alloc/segment_writer.h"
#include "engine/collections/node_store.h"
#include "engine/collections/rebase.h"
#include "engine/file/file.h"
#include "engine/format/commit_record.h"

namespace eve {

// Units retired per segment. A handful for small commits, thousands for bulk
// ones.
class RetireTally {
 public:
  // A run counts at its head.
  void Add(uint32_t segment, uint64_t units);
  // REQUIRES: so much was added for the segment.
  void Subtract(uint32_t segment, uint64_t units);
  void Clear();
  const std::vector<std::pair<uint32_t, uint64_t>>& entries() const {
    return entries_;
  }
  // Back to an earlier state.
  void Restore(const std::vector<std::pair<uint32_t, uint64_t>>& entries);

 private:
  static constexpr size_t kIndexFrom = 24;
  void Index();

  std::vector<std::pair<uint32_t, uint64_t>> entries_;
  absl::flat_hash_map<uint32_t, size_t> index_;  // used from kIndexFrom on
};

// Pages of a segment that have private copies, in units.
struct StagedRange {
  uint32_t segment;
  uint64_t from;
  uint64_t to;
};

class Attempt : public AmendableStore {
 public:
  // `view` spans all that this process has mapped.
  Attempt(SegmentWriter* writer, const BlockView& view, uint64_t salt);
  // How much of it may be looked at: Core::FileView(), whenever another root is
  // gone into. What is allocated later comes to that by itself.
  void LookUpTo(uint64_t limit_units) {
    mapped_view_.limit_units = limit_units;
    view_.limit_units = limit_units;
  }

  // Where blocks are built: a private, writable view of `file`. Null: there is
  // none, and blocks are stored where they stay.
  struct Staging {
    char* base = nullptr;
    const File* file = nullptr;
  };
  // REQUIRES: nothing is allocated. Before the writer gives its segments back:
  // with null, because others will change what private copies would hide.
  void SetStaging(const Staging& staging);
  // What is staged is in the file after it. Before the compare-and-swap.
  absl::Status WriteOut();
  // For a bulk, whose private copies would take much memory: writes out what is
  // staged and goes on without. REQUIRES: nobody holds a block to write to.
  absl::Status StopStagingIfLarge();

  // NodeStore.
  absl::StatusOr<NewBlock> Allocate(Stream stream, uint64_t bytes) override;
  char* Edit(Offset offset) override;
  void Retire(Offset offset, uint64_t bytes) override;

  struct Savepoint {
    SegmentWriter::Mark mark;
    std::vector<std::pair<uint32_t, uint64_t>> retired;
  };
  Savepoint Save();
  void RollBackTo(const Savepoint& savepoint);

  // The data is complete: writes its deltas (into a list of their own when
  // they are many) and its checksums. What is allocated from here to Seal() is
  // the catalog path.
  absl::Status FinishData();
  // Forgets the catalog path and the record; the data stays.
  void RewindToData();

  // Between the two, complete data is changed where it lies: Amend(), Retire()
  // and Unretire(), but no Allocate(). The checksums and sums of what is left
  // alone stay as they are. False: there are more deltas now than there is room
  // for, and the run is of no use any more.
  void BeginAmending();
  bool FinishAmending();
  char* Amend(Offset offset) override;
  void Amended(Offset offset) override;
  void Unretire(Offset offset, uint64_t bytes) override;

  // Writes the record behind the catalog path. `fields` gives everything but
  // the deltas and segment_count's share of this attempt.
  absl::StatusOr<Offset> Seal(const CommitRecord& fields);

  // REQUIRES: the compare-and-swap is decided.
  void Committed();
  void RewindAll();

  bool wrote_anything() const { return wrote_; }
  SegmentWriter& writer() { return *writer_; }
  uint64_t bytes_written() const;

 private:
  static constexpr uint64_t kOneStreamBytesMax = 64 << 10;
  static constexpr uint64_t kStagedBytesMax = 4 << 20;
  // Private copies that stay from commit to commit: making and dropping them
  // interrupts all threads of the process.
  static constexpr uint64_t kKeptBytesMax = 256 << 10;

  char* Data(Offset offset, bool is_run) const {
    return is_staging_ && !is_run ? staging_.base + offset.bytes()
                                  : writer_->data(offset);
  }
  // At a new block, for which the file may have grown, and what will follow in
  // its segment.
  void LookAt(Offset offset, uint64_t units) {
    const uint64_t end = std::max(offset.units + units,
                                  SegmentOffset(offset.segment() + 1).units);
    if (end > view_.limit_units) LookUpTo(end);
  }
  absl::StatusOr<NewBlock> AllocateStaged(Stream stream, uint64_t bytes);
  // A block of `bytes` ends at `from`. The next one of the stream comes there,
  // to lines that were last touched in another life of the segment.
  void AskAhead(int stream, const char* from, uint64_t bytes);
  // The attempt is over; the next one begins as the domain wants it.
  void RestartStaging();
  void NoteStaged(Offset offset, uint64_t units);
  // The private copies, which show what the file has from then on. The segments
  // must still be the writer's.
  void DropStaged();

  void CollectFills(bool after_data, std::vector<Delta>& out) const;
  static void CollectRetires(const RetireTally& tally, std::vector<Delta>& out);
  // Hashes the blocks of each fill, stores their checksums and sets the sums.
  // The block at `skip` is left out: it will hold these sums.
  void HashFills(std::vector<Delta>& fills, Offset skip);
  void HashBlock(Offset offset, bool is_run, uint64_t* hash);
  absl::Status SpillDeltas();
  // Writes them into the block at spill_.
  void WriteSpilled();
  // The fill that the block of this run is in.
  Delta* FillOf(Offset offset);
  void AddToSum(Offset offset, uint64_t hash);

  SegmentWriter* writer_;
  const uint64_t salt_;
  BlockView mapped_view_;  // all of the file, as others see it
  const char* asked_to_[kStreamCount] = {};
  Staging staging_;
  bool is_staging_ = false;  // and view_ is that of staging_
  uint64_t staged_bytes_ = 0;
  std::vector<StagedRange> staged_;
  bool wrote_ = false;
  bool in_catalog_ = false;
  RetireTally data_retired_;
  RetireTally catalog_retired_;
  // Fills, then what was retired: for the record or, if spill_ is set, in
  // there.
  std::vector<Delta> data_deltas_;
  size_t fill_count_ = 0;
  std::vector<Delta> catalog_deltas_;
  Offset spill_;
  size_t spill_room_ = 0;  // in deltas
  SegmentWriter::Mark data_end_;
  std::vector<uint32_t> data_to_;  // per extent, at data_end_
};

}  // namespace eve

#endif  // EVE_ENGINE_TXN_ATTEMPT_H_
