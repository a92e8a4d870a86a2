#include "engine/txn/attempt.h"

#include <algorithm>
#include <cstring>

#include "engine/format/checksum.h"
#include "util/check.h"
#include "util/prefetch.h"
#include "util/status_macros.h"

namespace eve {

static_assert(SegmentWriter::kStreams == kStreamCount);

namespace {

// How far behind a new block the next one of its stream may reach.
constexpr uint64_t kAheadBytesMin = 512;
constexpr uint64_t kAheadBytesMax = 2560;
// Room of a spilled list for what amending may add.
constexpr size_t kAmendedDeltas = 8;

// Returns where the next list goes.
char* CopyDeltas(const std::vector<Delta>& deltas, char* to) {
  const size_t bytes = deltas.size() * sizeof(Delta);
  if (bytes > 0) std::memcpy(to, deltas.data(), bytes);
  return to + bytes;
}

}  // namespace

void RetireTally::Index() {
  for (size_t i = 0; i < entries_.size(); ++i) index_[entries_[i].first] = i;
}

void RetireTally::Add(uint32_t segment, uint64_t units) {
  if (entries_.size() < kIndexFrom) {
    for (auto& entry : entries_) {
      if (entry.first != segment) continue;
      entry.second += units;
      return;
    }
    entries_.emplace_back(segment, units);
    if (entries_.size() == kIndexFrom) Index();
    return;
  }
  const auto [found, is_new] = index_.try_emplace(segment, entries_.size());
  if (is_new) {
    entries_.emplace_back(segment, units);
  } else {
    entries_[found->second].second += units;
  }
}

void RetireTally::Subtract(uint32_t segment, uint64_t units) {
  const auto entry =
      std::find_if(entries_.begin(), entries_.end(),
                   [&](const auto& at) { return at.first == segment; });
  EVE_CHECK(entry != entries_.end() && entry->second >= units,
            "only what was retired is taken back");
  entry->second -= units;
}

void RetireTally::Clear() {
  if (entries_.size() >= kIndexFrom) index_.clear();
  entries_.clear();
}

void RetireTally::Restore(
    const std::vector<std::pair<uint32_t, uint64_t>>& entries) {
  index_.clear();
  entries_ = entries;
  if (entries_.size() >= kIndexFrom) Index();
}

Attempt::Attempt(SegmentWriter* writer, const BlockView& view, uint64_t salt)
    : writer_(writer), salt_(salt), mapped_view_(view) {
  view_ = view;
}

absl::StatusOr<NewBlock> Attempt::Allocate(Stream stream, uint64_t bytes) {
  if (is_staging_) return AllocateStaged(stream, bytes);
  const int index = static_cast<int>(stream);
  const uint64_t units = UnitsForBytes(bytes);
  Offset offset;
  if (!writer_->TryAllocate(index, units, &offset)) {
    EVE_ASSIGN_OR_RETURN(offset, writer_->Allocate(index, bytes));
    LookAt(offset, units);
  }
  wrote_ = true;
  char* const data = writer_->data(offset);
  AskAhead(index, data + bytes, bytes);
  return NewBlock{offset, data};
}

absl::StatusOr<NewBlock> Attempt::AllocateStaged(Stream stream,
                                                 uint64_t bytes) {
  if (staged_bytes_ < kOneStreamBytesMax) stream = Stream::kNodes;
  EVE_ASSIGN_OR_RETURN(const Offset offset,
                       writer_->Allocate(static_cast<int>(stream), bytes));
  wrote_ = true;
  const uint64_t units = UnitsForBytes(bytes);
  LookAt(offset, units);
  const bool is_run = units * kUnitBytes > kRunThresholdBytes;
  if (!is_run) NoteStaged(offset, units);
  return NewBlock{offset, Data(offset, is_run)};
}

void Attempt::AskAhead(int stream, const char* from, uint64_t bytes) {
  const char* const to =
      from + std::min(bytes + kAheadBytesMin, kAheadBytesMax);
  const char*& asked_to = asked_to_[stream];
  if (from < asked_to && asked_to <= from + kAheadBytesMax) from = asked_to;
  if (from >= to) return;
  PrefetchForWriting(from, static_cast<uint64_t>(to - from));
  asked_to = to;
}

char* Attempt::Edit(Offset offset) {
  if (!writer_->CanEdit(offset)) return nullptr;
  return Data(offset, writer_->IsRun(offset));
}

void Attempt::Retire(Offset offset, uint64_t bytes) {
  RetireTally& tally = in_catalog_ ? catalog_retired_ : data_retired_;
  wrote_ = true;
  tally.Add(offset.segment(), UnitsForBytes(bytes));
}

Attempt::Savepoint Attempt::Save() {
  EVE_DCHECK(!in_catalog_, "savepoints are the user's");
  Savepoint savepoint{writer_->Save(), data_retired_.entries()};
  // Older nodes are copied again from here on (P14).
  writer_->RaiseEditFloor();
  return savepoint;
}

void Attempt::RollBackTo(const Savepoint& savepoint) {
  writer_->Rewind(savepoint.mark);
  data_retired_.Restore(savepoint.retired);
}

void Attempt::CollectFills(bool after_data, std::vector<Delta>& out) const {
  const std::vector<WrittenExtent>& extents = writer_->extents();
  for (size_t i = 0; i < extents.size(); ++i) {
    const WrittenExtent& extent = extents[i];
    const uint32_t from =
        after_data && i < data_to_.size() ? data_to_[i] : extent.from_units;
    if (from == extent.to_units) continue;
    const DeltaKind kind = extent.is_run ? DeltaKind::kRun : DeltaKind::kFill;
    out.push_back(Delta{extent.segment, static_cast<uint32_t>(kind), from,
                        extent.to_units, 0});
  }
}

void Attempt::CollectRetires(const RetireTally& tally,
                             std::vector<Delta>& out) {
  for (const auto& [segment, units] : tally.entries()) {
    if (units == 0) continue;
    out.push_back(Delta{segment, static_cast<uint32_t>(DeltaKind::kRetire), 0,
                        static_cast<uint32_t>(units), 0});
  }
}

void Attempt::HashBlock(Offset offset, bool is_run, uint64_t* hash) {
  char* block = Data(offset, is_run);
  *hash = BlockHash(block, offset, salt_);
  const uint32_t checksum = ChecksumOf(*hash);
  std::memcpy(block + offsetof(BlockHeader, checksum), &checksum,
              sizeof(checksum));
}

void Attempt::HashFills(std::vector<Delta>& fills, Offset skip) {
  for (Delta& fill : fills) {
    if (fill.kind == static_cast<uint32_t>(DeltaKind::kRetire)) continue;
    const bool is_run = fill.kind == static_cast<uint32_t>(DeltaKind::kRun);
    const uint64_t base = SegmentOffset(fill.segment).units;
    uint64_t at = fill.from_units;
    while (at < fill.to_units) {
      const Offset offset{base + at};
      BlockHeader header;
      std::memcpy(&header, Data(offset, is_run), sizeof(header));
      EVE_CHECK(
          header.size_units > 0 && at + header.size_units <= fill.to_units,
          "a block was allocated but not written (I6)");
      if (offset != skip) {
        uint64_t hash;
        HashBlock(offset, is_run, &hash);
        fill.sum += hash;
      }
      at += header.size_units;
    }
  }
}

absl::Status Attempt::SpillDeltas() {
  // More deltas than now: the list itself may open a segment.
  spill_room_ = data_deltas_.size() + 1 + kAmendedDeltas;
  const uint64_t bytes = sizeof(DeltaList) + spill_room_ * sizeof(Delta);
  EVE_ASSIGN_OR_RETURN(const NewBlock block, Allocate(Stream::kNodes, bytes));
  spill_ = block.offset;
  const DeltaList list{
      MakeBlockHeader(BlockType::kDeltaList, 0, 0, bytes, kSystemId), 0, 0};
  std::memcpy(block.data, &list, sizeof(list));
  data_deltas_.clear();
  CollectFills(/*after_data=*/false, data_deltas_);
  fill_count_ = data_deltas_.size();
  HashFills(data_deltas_, spill_);
  CollectRetires(data_retired_, data_deltas_);
  EVE_CHECK(data_deltas_.size() <= spill_room_,
            "the list opened one segment at most");
  WriteSpilled();
  return absl::OkStatus();
}

void Attempt::WriteSpilled() {
  const bool is_run = writer_->IsRun(spill_);
  char* const block = Data(spill_, is_run);
  DeltaList list;
  std::memcpy(&list, block, sizeof(list));
  list.count = data_deltas_.size();
  std::memcpy(block, &list, sizeof(list));
  char* const end = CopyDeltas(data_deltas_, block + sizeof(list));
  std::memset(end, 0, static_cast<size_t>(block + list.header.bytes() - end));
  uint64_t hash;
  HashBlock(spill_, is_run, &hash);
}

absl::Status Attempt::FinishData() {
  data_deltas_.clear();
  spill_ = kNullOffset;
  CollectFills(/*after_data=*/false, data_deltas_);
  fill_count_ = data_deltas_.size();
  if (fill_count_ + data_retired_.entries().size() > kInlineDeltasMax) {
    CollectRetires(data_retired_, data_deltas_);
    EVE_RETURN_IF_ERROR(SpillDeltas());
  } else {
    HashFills(data_deltas_, kNullOffset);
    CollectRetires(data_retired_, data_deltas_);
  }
  data_end_ = writer_->Save();
  writer_->RaiseEditFloor();
  data_to_.clear();
  for (const WrittenExtent& extent : writer_->extents()) {
    data_to_.push_back(extent.to_units);
  }
  in_catalog_ = true;
  return absl::OkStatus();
}

void Attempt::RewindToData() {
  writer_->Rewind(data_end_);
  catalog_retired_.Clear();
}

void Attempt::BeginAmending() {
  RewindToData();
  writer_->DropEditFloor();
  in_catalog_ = false;
}

Delta* Attempt::FillOf(Offset offset) {
  for (size_t i = 0; i < fill_count_; ++i) {
    Delta& fill = data_deltas_[i];
    if (fill.segment == offset.segment() &&
        fill.kind == static_cast<uint32_t>(DeltaKind::kFill)) {
      return &fill;
    }
  }
  return nullptr;
}

void Attempt::AddToSum(Offset offset, uint64_t hash) {
  Delta* const fill = FillOf(offset);
  EVE_CHECK(fill != nullptr, "what can be edited is in a fill");
  fill->sum += hash;
}

char* Attempt::Amend(Offset offset) {
  char* const bytes = Edit(offset);
  if (bytes != nullptr) AddToSum(offset, -BlockHash(bytes, offset, salt_));
  return bytes;
}

void Attempt::Amended(Offset offset) {
  uint64_t hash;
  HashBlock(offset, /*is_run=*/false, &hash);
  AddToSum(offset, hash);
}

void Attempt::Unretire(Offset offset, uint64_t bytes) {
  EVE_DCHECK(!in_catalog_, "only data is amended");
  data_retired_.Subtract(offset.segment(), UnitsForBytes(bytes));
}

bool Attempt::FinishAmending() {
  data_deltas_.resize(fill_count_);
  CollectRetires(data_retired_, data_deltas_);
  const size_t room = spill_.is_null() ? kInlineDeltasMax : spill_room_;
  if (data_deltas_.size() > room) return false;
  if (!spill_.is_null()) WriteSpilled();
  writer_->RaiseEditFloor();
  in_catalog_ = true;
  return true;
}

absl::StatusOr<Offset> Attempt::Seal(const CommitRecord& fields) {
  // Room for every extent to have grown, and for one that the record opens.
  const size_t room =
      writer_->extents().size() + 1 + catalog_retired_.entries().size();
  const bool is_spilled = !spill_.is_null();
  const size_t inline_count = is_spilled ? 0 : data_deltas_.size();
  const uint64_t bytes =
      sizeof(CommitRecord) + (inline_count + room) * sizeof(Delta);
  EVE_ASSIGN_OR_RETURN(const NewBlock block, Allocate(Stream::kNodes, bytes));
  CommitRecord record = fields;
  record.header =
      MakeBlockHeader(BlockType::kCommitRecord, 0, 0, bytes, kSystemId);
  std::memcpy(block.data, &record.header, sizeof(record.header));
  catalog_deltas_.clear();
  CollectFills(/*after_data=*/true, catalog_deltas_);
  HashFills(catalog_deltas_, block.offset);
  CollectRetires(catalog_retired_, catalog_deltas_);
  EVE_CHECK(catalog_deltas_.size() <= room, "the record's room was reserved");
  record.segment_count =
      std::max(fields.segment_count, writer_->highest_segment() + 1);
  record.data_delta_count = static_cast<uint32_t>(inline_count);
  record.catalog_delta_count = static_cast<uint32_t>(catalog_deltas_.size());
  record.spilled_delta_count =
      static_cast<uint32_t>(data_deltas_.size() - inline_count);
  record.spill = spill_;
  std::memcpy(block.data, &record, sizeof(record));
  char* at = block.data + sizeof(record);
  if (!is_spilled) at = CopyDeltas(data_deltas_, at);
  at = CopyDeltas(catalog_deltas_, at);
  const char* const end = block.data + record.header.bytes();
  std::memset(at, 0, static_cast<size_t>(end - at));
  uint64_t hash;
  HashBlock(block.offset, /*is_run=*/false, &hash);
  return block.offset;
}

uint64_t Attempt::bytes_written() const {
  uint64_t units = 0;
  for (const WrittenExtent& extent : writer_->extents()) {
    units += extent.to_units - extent.from_units;
  }
  return units * kUnitBytes;
}

void Attempt::Committed() {
  // What is sealed now may be anybody's soon.
  if (!writer_->HasOnlyActiveSegments()) DropStaged();
  writer_->Committed();
  RestartStaging();
  data_retired_.Clear();
  catalog_retired_.Clear();
  in_catalog_ = false;
  wrote_ = false;
}

void Attempt::RewindAll() {
  writer_->RewindAll();
  RestartStaging();
  data_retired_.Clear();
  catalog_retired_.Clear();
  in_catalog_ = false;
  wrote_ = false;
}

}  // namespace eve
