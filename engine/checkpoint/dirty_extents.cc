#include "engine/checkpoint/dirty_extents.h"

#include <algorithm>
#include <utility>

#include "util/status_macros.h"

namespace eve {
namespace {

// One of several writers is found at the end, mostly.
CommitExtent* Find(std::vector<CommitExtent>& list, uint32_t segment) {
  for (size_t i = list.size(); i-- > 0;) {
    if (list[i].segment == segment) return &list[i];
  }
  return nullptr;
}

absl::Status AddFill(const Delta& fill, std::vector<CommitExtent>& list) {
  CommitExtent* extent = Find(list, fill.segment);
  if (extent == nullptr) {
    list.push_back(CommitExtent{fill.segment, fill.from_units, fill.to_units, 0,
                                fill.sum});
    return absl::OkStatus();
  }
  if (fill.from_units == SegmentStartUnits(fill.segment)) {
    // A new life of it: what it held before is nobody's.
    *extent =
        CommitExtent{fill.segment, fill.from_units, fill.to_units, 0, fill.sum};
    return absl::OkStatus();
  }
  if (extent->to_units != fill.from_units) {
    return absl::DataLossError("fills of a segment do not join");
  }
  extent->to_units = fill.to_units;
  extent->sum += fill.sum;
  return absl::OkStatus();
}

// Fills leave out the records and lists, which cannot hold their own hashes.
absl::Status AddHash(Offset block, uint64_t hash,
                     std::vector<CommitExtent>& list) {
  CommitExtent* extent = Find(list, block.segment());
  if (extent == nullptr) {
    return absl::DataLossError("a record lies outside of its fills");
  }
  extent->sum += hash;
  return absl::OkStatus();
}

}  // namespace

absl::Status DirtyExtents::ReadRecords(const PinnedRoot& root, uint64_t after) {
  records_.clear();
  Offset at = root.offset();
  for (uint64_t version = root.version(); version > after; --version) {
    EVE_ASSIGN_OR_RETURN(const ChainRecord record,
                         ReadRecord(core_->FileView(), at, core_->salt));
    if (record.record->version != version) {
      return absl::DataLossError("not the predecessor's version");
    }
    records_.push_back(record);
    at = record.record->previous;
  }
  std::reverse(records_.begin(), records_.end());
  return absl::OkStatus();
}

absl::Status DirtyExtents::UpdateRows(const PinnedRoot& root) {
  const uint64_t from = version_;
  // Until all is applied there are none.
  std::vector<AccountingRow> rows = std::exchange(rows_, {});
  version_ = 0;
  if (from < root.record().folded_version ||
      records_.front().record->version > from + 1) {
    EVE_ASSIGN_OR_RETURN(
        rows, ReadExactRows(core_->FileView(), root.offset(), core_->salt));
  } else {
    for (const ChainRecord& record : records_) {
      if (record.record->version <= from) continue;
      EVE_RETURN_IF_ERROR(
          ApplyRecord(core_->FileView(), record, core_->salt, rows));
    }
  }
  rows_ = std::move(rows);
  version_ = root.version();
  return absl::OkStatus();
}

absl::Status DirtyExtents::CollectFrom(uint64_t durable,
                                       std::vector<CommitExtent>& list) {
  for (const ChainRecord& record : records_) {
    if (record.record->version <= durable) continue;
    EVE_ASSIGN_OR_RETURN(const RecordDeltas deltas,
                         ReadDeltas(core_->FileView(), record, core_->salt));
    for (const auto& part : {deltas.spilled, deltas.data, deltas.catalog}) {
      for (const Delta& delta : part) {
        if (delta.kind == static_cast<uint32_t>(DeltaKind::kRetire)) continue;
        EVE_RETURN_IF_ERROR(AddFill(delta, list));
      }
    }
    EVE_RETURN_IF_ERROR(AddHash(record.offset, record.hash, list));
    if (!deltas.spill.is_null()) {
      EVE_RETURN_IF_ERROR(AddHash(deltas.spill, deltas.spill_hash, list));
    }
    if (list.size() > 4 * kCommitExtentsMax) {
      return absl::ResourceExhaustedError("too many extents");
    }
  }
  return absl::OkStatus();
}

std::optional<std::vector<CommitExtent>> DirtyExtents::Collect(
    const PinnedRoot& root, uint64_t durable) {
  std::lock_guard lock(mutex_);
  // The pin protects the chain back to the fold, no further (P8).
  if (root.record().folded_version > durable ||
      root.version() - durable > kRecordsMax || version_ > root.version()) {
    return std::nullopt;
  }
  const bool has_rows = version_ >= root.record().folded_version &&
                        root.version() - version_ <= kRecordsMax;
  const uint64_t after = has_rows ? std::min(version_, durable) : durable;
  std::vector<CommitExtent> list;
  if (!ReadRecords(root, after).ok() || records_.empty() ||
      !UpdateRows(root).ok() || !CollectFrom(durable, list).ok()) {
    return std::nullopt;
  }
  uint64_t bytes = 0;
  size_t kept = 0;
  for (const CommitExtent& extent : list) {
    if (extent.segment >= rows_.size()) return std::nullopt;
    const AccountingRow& row = rows_[extent.segment];
    // Of a run that has come to lie here since, its head tells.
    if (row.live_units == 0 || row.run_index > 0) continue;
    bytes += (extent.to_units - extent.from_units) * kUnitBytes;
    list[kept++] = extent;
  }
  list.resize(kept);
  // An empty list would say that the data was flushed before.
  if (kept == 0 || kept > kCommitExtentsMax || bytes > kBytesMax) {
    return std::nullopt;
  }
  return list;
}

}  // namespace eve
