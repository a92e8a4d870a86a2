#include "engine/checkpoint/checkpointer.h"

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "engine/format/checksum.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// With more than this part of the file to write back, all of the write view is
// taken out of the page tables.
constexpr uint64_t kDropAllShare = 8;

// What `eve stat` says of a flush, while it is under way. One that dies leaves
// it to whoever takes the slot over.
class FlushFigure {
 public:
  FlushFigure(const Core& core, uint32_t slot, uint64_t bytes)
      : begun_(core.region.words().flush_begun[slot]) {
    // relaxed: figures for people.
    core.region.words().flush_bytes[slot].store(bytes,
                                                std::memory_order_relaxed);
    begun_.store(MonotonicNanos(), std::memory_order_relaxed);
  }
  ~FlushFigure() { begun_.store(0, std::memory_order_relaxed); }
  FlushFigure(const FlushFigure&) = delete;
  FlushFigure& operator=(const FlushFigure&) = delete;

 private:
  SharedWord& begun_;
};

uint64_t BytesListed(absl::Span<const CommitExtent> extents) {
  uint64_t units = 0;
  for (const CommitExtent& extent : extents) {
    units += extent.to_units - extent.from_units;
  }
  return units * kUnitBytes;
}

}  // namespace

absl::Status Checkpointer::FlushFile() {
  std::lock_guard lock(flush_mutex_);
  EVE_RETURN_IF_ERROR(CheckPoison(*core_));
  const absl::Status flushed = core_->file.Datasync();
  return flushed.ok() ? flushed : PoisonDomain(*core_, flushed);
}

absl::Status Checkpointer::StepOfCheckpoint(
    absl::FunctionRef<absl::Status()> step) {
  std::lock_guard lock(flush_mutex_);
  EVE_RETURN_IF_ERROR(CheckPoison(*core_));
  const absl::Status done = step();
  // relaxed: a figure for people.
  core_->region.words().io_engine.store(
      static_cast<uint32_t>(write_back_.engine()), std::memory_order_relaxed);
  return done.ok() ? done : PoisonDomain(*core_, done);
}

void Checkpointer::DropPagesOf(const std::vector<ByteRange>& ranges,
                               uint64_t file_bytes) const {
  // Where much is dirty, so is much that is dead, which the ranges leave out
  // and the flush does not.
  if (BytesOf(ranges) > file_bytes / kDropAllShare) {
    core_->write_mapping.DropPages(0, file_bytes);
    return;
  }
  for (const ByteRange& range : ranges) {
    core_->write_mapping.DropPages(range.offset, range.size);
  }
}

absl::Status Checkpointer::FlushData(const std::vector<ByteRange>& ranges,
                                     uint64_t file_bytes) {
  DropPagesOf(ranges, file_bytes);
  // All at once; the flush finds the device at work on them.
  EVE_RETURN_IF_ERROR(
      StepOfCheckpoint([&] { return write_back_.Start(ranges); }));
  EVE_STEP("checkpoint.write_back_begun");
  return StepOfCheckpoint([&] { return write_back_.Datasync(); });
}

// A failure leaves pending set: the page may or may not reach the disk (P18).
// It is written by a plain call, which is over when its process is dead.
absl::Status Checkpointer::WriteSlotAndFlush(uint32_t slot,
                                             const CommitSlot& page) {
  EVE_RETURN_IF_ERROR(StepOfCheckpoint([&] {
    return core_->file.WriteAt(CommitSlotPosition(slot), &page, sizeof(page));
  }));
  EVE_STEP("checkpoint.slot_written");
  EVE_RETURN_IF_ERROR(StepOfCheckpoint([&] { return write_back_.Datasync(); }));
  EVE_STEP("checkpoint.slot_flushed");
  return absl::OkStatus();
}

absl::StatusOr<CommitSlot> Checkpointer::MakePage(
    uint32_t slot, const PinnedRoot& root,
    absl::Span<const CommitExtent> extents) {
  const CommitRecord& record = root.record();
  CommitSlotFields fields;
  fields.file_bytes = known_bytes_.load(std::memory_order_relaxed);
  if (extents.empty() || fields.file_bytes == 0) {
    EVE_ASSIGN_OR_RETURN(fields.file_bytes, core_->file.Size());
    known_bytes_.store(fields.file_bytes, std::memory_order_relaxed);
  }
  fields.incarnation = core_->incarnation;
  fields.version = record.version;
  fields.record = root.offset();
  fields.record_hash = BlockHash(&record, root.offset(), core_->salt);
  fields.segment_count = record.segment_count;
  fields.extents = extents;
  return MakeCommitSlot(slot, fields, core_->superblock.uuid);
}

absl::Status Checkpointer::WriteCheckpoint(uint32_t slot,
                                           const PinnedRoot& root) {
  SharedWord& pending = core_->region.words().pending[slot];
  const uint64_t version = root.version();
  EVE_ASSIGN_OR_RETURN(const CommitSlot page, MakePage(slot, root, {}));
  std::vector<ByteRange> ranges;
  {
    std::lock_guard lock(ranges_mutex_);
    ranges = ranges_.Collect(core_->FileView(), core_->salt, root,
                             durable_version());
  }
  const FlushFigure figure(*core_, slot, BytesOf(ranges));
  pending.store(version, std::memory_order_seq_cst);
  EVE_STEP("checkpoint.announced");
  if (absl::Status flushed = FlushData(ranges, page.file_bytes);
      !flushed.ok()) {
    // The slot was not written: nothing can land later.
    pending.store(0, std::memory_order_seq_cst);
    return flushed;
  }
  EVE_STEP("checkpoint.data_flushed");
  EVE_RETURN_IF_ERROR(WriteSlotAndFlush(slot, page));
  AcknowledgeSlot(*core_, slot, version, /*is_settled=*/true);
  CountInSlot(core_->slots->own().checkpoints);
  return absl::OkStatus();
}

// All that it lists is published, so it was written before: one flush takes it
// and the slot. Whichever part a power failure leaves out, the rest shows.
absl::Status Checkpointer::WriteTogether(
    uint32_t slot, const PinnedRoot& root,
    absl::Span<const CommitExtent> extents) {
  SharedWord& pending = core_->region.words().pending[slot];
  const uint64_t version = root.version();
  EVE_ASSIGN_OR_RETURN(const CommitSlot page, MakePage(slot, root, extents));
  const FlushFigure figure(*core_, slot, BytesListed(extents));
  pending.store(version, std::memory_order_seq_cst);
  EVE_STEP("one_flush.announced");
  // As above: from here on it may reach the disk at any time (P18).
  absl::Status written =
      core_->file.WriteAt(CommitSlotPosition(slot), &page, sizeof(page));
  if (!written.ok()) return PoisonDomain(*core_, written);
  EVE_STEP("one_flush.slot_written");
  EVE_RETURN_IF_ERROR(FlushFile());
  EVE_STEP("one_flush.flushed");
  AcknowledgeSlot(*core_, slot, version, /*is_settled=*/false);
  CountInSlot(core_->slots->own().checkpoints);
  return absl::OkStatus();
}

absl::StatusOr<bool> Checkpointer::WriteNewest(uint32_t slot, bool may_list) {
  EVE_ASSIGN_OR_RETURN(
      const PinnedRoot root,
      PinnedRoot::PinNewest(*core_->root, core_->cells.get(), core_->view));
  const uint64_t durable = durable_version();
  if (root.version() <= durable) return false;
  group_.store(root.version() - durable, std::memory_order_relaxed);
  if (may_list) {
    const std::optional<std::vector<CommitExtent>> extents =
        dirty_.Collect(root, durable);
    if (extents.has_value()) {
      EVE_RETURN_IF_ERROR(WriteTogether(slot, root, *extents));
      return true;
    }
  }
  EVE_RETURN_IF_ERROR(WriteCheckpoint(slot, root));
  return true;
}

absl::Status Checkpointer::Run() {
  uint64_t wanted;
  {
    EVE_ASSIGN_OR_RETURN(
        const PinnedRoot now,
        PinnedRoot::PinNewest(*core_->root, core_->cells.get(), core_->view));
    wanted = now.version();
  }
  if (durable_version() >= wanted) return absl::OkStatus();
  std::lock_guard lock(run_mutex_);
  if (durable_version() >= wanted) return absl::OkStatus();
  EVE_RETURN_IF_ERROR(CheckPoison(*core_));
  EVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> slot, slots_.Take(wanted));
  if (!slot.has_value()) return absl::OkStatus();
  absl::Cleanup release = [this, &slot] {
    slots_.Release(*slot);
    NoteFlushEnded(*core_);
  };
  return WriteNewest(*slot, /*may_list=*/false).status();
}

}  // namespace eve
