#include "engine/root/accounting.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/format/checksum.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// A cap that no honest chain reaches: writers fold long before.
constexpr uint64_t kChainMax = 1 << 20;

absl::Status Damaged(Offset offset, const char* what) {
  return absl::DataLossError(
      absl::StrCat("offset ", offset.bytes(), ": ", what));
}

const Delta* DeltasAfter(const void* header, size_t header_bytes) {
  return static_cast<const Delta*>(static_cast<const void*>(
      static_cast<const char*>(header) + header_bytes));
}

absl::Status ReadVectorNode(const BlockView& view, Offset offset, uint8_t depth,
                            uint64_t first_segment, uint64_t salt,
                            std::vector<AccountingRow>& rows) {
  if (depth == 0) {
    EVE_ASSIGN_OR_RETURN(const BlockHeader* header,
                         view.ReadBlock(offset, BlockType::kAccountingLeaf,
                                        sizeof(AccountingLeaf)));
    const auto* leaf = view.As<AccountingLeaf>(offset);
    if (header == nullptr || leaf->first_segment != first_segment ||
        ChecksumOf(BlockHash(header, offset, salt)) != header->checksum) {
      return Damaged(offset, "expected an accounting leaf, checksum failed");
    }
    for (uint32_t i = 0; i < kAccountingFanout; ++i) {
      if (first_segment + i < rows.size()) {
        rows[first_segment + i] = leaf->rows[i];
      }
    }
    return absl::OkStatus();
  }
  EVE_ASSIGN_OR_RETURN(const BlockHeader* header,
                       view.ReadBlock(offset, BlockType::kAccountingNode,
                                      sizeof(AccountingNode)));
  const auto* node = view.As<AccountingNode>(offset);
  if (header == nullptr || header->depth != depth ||
      node->first_segment != first_segment ||
      ChecksumOf(BlockHash(header, offset, salt)) != header->checksum) {
    return Damaged(offset, "expected an accounting node, checksum failed");
  }
  uint64_t span = kAccountingFanout;
  for (uint8_t d = 1; d < depth; ++d) span *= kAccountingFanout;
  for (uint32_t i = 0; i < kAccountingFanout; ++i) {
    if (node->children[i].is_null()) continue;
    EVE_RETURN_IF_ERROR(ReadVectorNode(view, node->children[i],
                                       static_cast<uint8_t>(depth - 1),
                                       first_segment + i * span, salt, rows));
  }
  return absl::OkStatus();
}

AccountingRow& RowAt(std::vector<AccountingRow>& rows, uint64_t segment) {
  if (rows.size() <= segment) rows.resize(segment + 1, AccountingRow{});
  return rows[segment];
}

void ApplyFill(const Delta& delta, uint64_t version,
               std::vector<AccountingRow>& rows) {
  AccountingRow& row = RowAt(rows, delta.segment);
  // A fill from the start of the segment begins a new life of it (P7).
  if (delta.from_units == SegmentStartUnits(delta.segment)) {
    row = AccountingRow{};
    row.birth = version;
    row.run_length = 1;
  }
  row.fill_units = delta.to_units;
  row.live_units += delta.to_units - delta.from_units;
  row.sum += delta.sum;
}

void ApplyRun(const Delta& delta, uint64_t version,
              std::vector<AccountingRow>& rows) {
  const uint64_t length = SegmentsForBytes(delta.to_units * kUnitBytes);
  uint64_t left = delta.to_units;
  for (uint64_t k = 0; k < length; ++k) {
    AccountingRow& row = RowAt(rows, delta.segment + k);
    row = AccountingRow{};
    row.birth = version;
    row.fill_units = static_cast<uint32_t>(std::min(left, kSegmentUnits));
    row.live_units = row.fill_units;
    row.run_index = static_cast<uint32_t>(k);
    row.run_length = static_cast<uint32_t>(length);
    if (k == 0) row.sum = delta.sum;
    left -= row.fill_units;
  }
}

absl::Status ApplyRetire(const Delta& delta, uint64_t version,
                         std::vector<AccountingRow>& rows) {
  uint64_t left = delta.to_units;
  const uint64_t length = RowAt(rows, delta.segment).run_length;
  for (uint64_t k = 0; k < std::max<uint64_t>(length, 1) && left > 0; ++k) {
    AccountingRow& row = RowAt(rows, delta.segment + k);
    const uint64_t part =
        length > 1 ? std::min<uint64_t>(left, row.fill_units) : left;
    if (part > row.live_units) {
      return absl::DataLossError(
          absl::StrCat("segment ", delta.segment + k, ": version ", version,
                       " retired ", part * kUnitBytes, " bytes, only ",
                       row.live_units * kUnitBytes, " were live"));
    }
    row.live_units -= static_cast<uint32_t>(part);
    row.death = version;
    left -= part;
  }
  return absl::OkStatus();
}

absl::Status ApplyDelta(const Delta& delta, uint64_t version,
                        std::vector<AccountingRow>& rows) {
  if (delta.segment >= kSegmentsMax) {
    return absl::DataLossError(absl::StrCat(
        "version ", version, ": delta names segment ", delta.segment));
  }
  switch (static_cast<DeltaKind>(delta.kind)) {
    case DeltaKind::kFill:
      if (delta.from_units > delta.to_units || delta.to_units > kSegmentUnits) {
        break;
      }
      ApplyFill(delta, version, rows);
      return absl::OkStatus();
    case DeltaKind::kRun:
      if (delta.to_units > 2 * kValueBytesMax / kUnitBytes) break;
      ApplyRun(delta, version, rows);
      return absl::OkStatus();
    case DeltaKind::kRetire:
      return ApplyRetire(delta, version, rows);
  }
  return absl::DataLossError(absl::StrCat(
      "version ", version, ": malformed delta for segment ", delta.segment));
}

}  // namespace

absl::StatusOr<ChainRecord> ReadRecord(const BlockView& view, Offset offset,
                                       uint64_t salt) {
  EVE_ASSIGN_OR_RETURN(
      const BlockHeader* header,
      view.ReadBlock(offset, BlockType::kCommitRecord, sizeof(CommitRecord)));
  if (header == nullptr) return Damaged(offset, "expected a commit record");
  ChainRecord found{offset, view.As<CommitRecord>(offset),
                    BlockHash(header, offset, salt)};
  if (ChecksumOf(found.hash) != header->checksum) {
    return Damaged(offset, "commit record: checksum failed");
  }
  const uint64_t deltas = uint64_t{found.record->data_delta_count} +
                          found.record->catalog_delta_count;
  if (sizeof(CommitRecord) + deltas * sizeof(Delta) > header->bytes()) {
    return Damaged(offset, "commit record: more deltas than fit");
  }
  return found;
}

absl::StatusOr<RecordDeltas> ReadDeltas(const BlockView& view,
                                        const ChainRecord& chained,
                                        uint64_t salt) {
  const CommitRecord& record = *chained.record;
  RecordDeltas deltas;
  const Delta* first = DeltasAfter(&record, sizeof(CommitRecord));
  deltas.data = absl::MakeConstSpan(first, record.data_delta_count);
  deltas.catalog = absl::MakeConstSpan(first + record.data_delta_count,
                                       record.catalog_delta_count);
  if (!record.spill.is_null()) {
    EVE_ASSIGN_OR_RETURN(
        const BlockHeader* header,
        view.ReadBlock(record.spill, BlockType::kDeltaList, sizeof(DeltaList)));
    const auto* list =
        header == nullptr ? nullptr : view.As<DeltaList>(record.spill);
    if (list == nullptr || list->count != record.spilled_delta_count ||
        sizeof(DeltaList) + list->count * sizeof(Delta) > header->bytes()) {
      return Damaged(record.spill, "expected a delta list");
    }
    deltas.spill = record.spill;
    deltas.spill_hash = BlockHash(header, record.spill, salt);
    deltas.spill_units = header->size_units;
    if (ChecksumOf(deltas.spill_hash) != header->checksum) {
      return Damaged(record.spill, "delta list: checksum failed");
    }
    deltas.spilled =
        absl::MakeConstSpan(DeltasAfter(list, sizeof(DeltaList)), list->count);
  }
  return deltas;
}

absl::StatusOr<std::vector<ChainRecord>> ReadChain(const BlockView& view,
                                                   Offset newest,
                                                   uint64_t salt) {
  std::vector<ChainRecord> chain;
  EVE_ASSIGN_OR_RETURN(ChainRecord at, ReadRecord(view, newest, salt));
  const uint64_t folded = at.record->folded_version;
  const uint64_t version = at.record->version;
  if (folded >= version || version - folded > kChainMax) {
    return Damaged(newest, "commit record: folded_version out of range");
  }
  chain.reserve(version - folded);
  chain.push_back(at);
  for (uint64_t expected = version - 1; expected > folded; --expected) {
    EVE_ASSIGN_OR_RETURN(at, ReadRecord(view, at.record->previous, salt));
    if (at.record->version != expected) {
      return Damaged(at.offset, "commit record: not the predecessor's version");
    }
    chain.push_back(at);
  }
  std::reverse(chain.begin(), chain.end());
  return chain;
}

absl::StatusOr<std::vector<AccountingRow>> ReadFoldedRows(
    const BlockView& view, const CommitRecord& record, uint64_t salt) {
  if (record.segment_count > kSegmentsMax ||
      record.accounting_rows > record.segment_count) {
    return absl::DataLossError(absl::StrCat("version ", record.version,
                                            ": segment count out of range"));
  }
  std::vector<AccountingRow> rows(record.segment_count, AccountingRow{});
  if (record.accounting_root.is_null()) return rows;
  if (!view.Contains(record.accounting_root)) {
    return Damaged(record.accounting_root, "accounting root out of range");
  }
  if (view.is_cold) {
    EVE_RETURN_IF_ERROR(view.CheckReadable(record.accounting_root, 1));
  }
  const uint8_t depth = view.As<BlockHeader>(record.accounting_root)->depth;
  if (depth > kAccountingHeightMax) {
    return Damaged(record.accounting_root, "accounting root: too high");
  }
  EVE_RETURN_IF_ERROR(
      ReadVectorNode(view, record.accounting_root, depth, 0, salt, rows));
  return rows;
}

absl::Status ApplyRecord(const BlockView& view, const ChainRecord& record,
                         uint64_t salt, std::vector<AccountingRow>& rows) {
  EVE_ASSIGN_OR_RETURN(const RecordDeltas deltas,
                       ReadDeltas(view, record, salt));
  const uint64_t version = record.record->version;
  // Fills first: blocks that died within their own attempt are retired by the
  // record that filled them.
  for (const bool retires : {false, true}) {
    for (const auto& list : {deltas.spilled, deltas.data, deltas.catalog}) {
      for (const Delta& delta : list) {
        const bool is_retire =
            delta.kind == static_cast<uint32_t>(DeltaKind::kRetire);
        if (is_retire != retires) continue;
        EVE_RETURN_IF_ERROR(ApplyDelta(delta, version, rows));
      }
    }
  }
  RowAt(rows, record.offset.segment()).sum += record.hash;
  if (!deltas.spill.is_null()) {
    RowAt(rows, deltas.spill.segment()).sum += deltas.spill_hash;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<AccountingRow>> ReadExactRows(const BlockView& view,
                                                         Offset newest,
                                                         uint64_t salt) {
  EVE_ASSIGN_OR_RETURN(const std::vector<ChainRecord> chain,
                       ReadChain(view, newest, salt));
  EVE_ASSIGN_OR_RETURN(std::vector<AccountingRow> rows,
                       ReadFoldedRows(view, *chain.back().record, salt));
  for (const ChainRecord& record : chain) {
    EVE_RETURN_IF_ERROR(ApplyRecord(view, record, salt, rows));
  }
  return rows;
}

}  // namespace eve
