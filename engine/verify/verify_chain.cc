#include "engine/verify/verify_chain.h"

#include <utility>

namespace eve::verify {
namespace {

// No honest chain is as long: writers fold at a few thousand commits.
constexpr uint64_t kChainRecordsMax = 1 << 20;
// Deltas for every segment there can be, twice.
constexpr uint64_t kDeltasBytesMax = 2 * kSegmentsMax * sizeof(Delta);

// Loads a record or list that says itself how many deltas follow; they lie
// within the bytes that a load keeps, or are read by themselves.
bool AppendDeltas(const BlockReader& reader, const LoadedBlock& block,
                  uint64_t at, uint64_t count, ErrorLog& log,
                  std::vector<Delta>& deltas) {
  const uint64_t bytes = count * sizeof(Delta);
  if (at + bytes > block.header.bytes()) {
    log.Add(block.offset, "more deltas than fit their block",
            absl::StrCat("at most ", block.header.bytes() - at, " bytes"),
            absl::StrCat(bytes));
    return false;
  }
  const size_t before = deltas.size();
  deltas.resize(before + count);
  if (count == 0) return true;
  if (at + bytes <= block.bytes.size()) {
    std::memcpy(deltas.data() + before, block.bytes.data() + at, bytes);
    return true;
  }
  return reader.file()
      .ReadAt(block.offset.bytes() + at, deltas.data() + before, bytes)
      .ok();
}

bool MarkOnce(const LoadedBlock& block, ReachMap& reach, ErrorLog& log) {
  if (reach.Mark(block.offset, block.header.size_units)) return true;
  log.Add(block.offset, "block is reached twice", "one owner", "two");
  return false;
}

bool ReadSpill(ReadRecord& record, BlockReader& reader, ReachMap& reach,
               ErrorLog& log) {
  const CommitRecord& fields = record.fields;
  if (fields.spill.is_null()) {
    return log.Equal(record.offset, "spilled deltas without a list", 0,
                     fields.spilled_delta_count);
  }
  LoadedBlock block;
  const Expected expected{.type = BlockType::kDeltaList,
                          .collection = kSystemId,
                          .bytes_min = sizeof(DeltaList),
                          .bytes_max = kDeltasBytesMax};
  if (!reader.Load(fields.spill, expected, block)) return false;
  if (!MarkOnce(block, reach, log)) return false;
  record.spill_hash = block.hash;
  const auto list = block.Read<DeltaList>(0);
  return log.Equal(fields.spill, "delta list: count",
                   fields.spilled_delta_count, list.count) &&
         AppendDeltas(reader, block, sizeof(DeltaList), list.count, log,
                      record.deltas);
}

bool ReadOne(Offset offset, BlockReader& reader, ReachMap& reach, ErrorLog& log,
             ReadRecord& record) {
  LoadedBlock block;
  const Expected expected{.type = BlockType::kCommitRecord,
                          .collection = kSystemId,
                          .bytes_min = sizeof(CommitRecord),
                          .bytes_max = kDeltasBytesMax};
  if (!reader.Load(offset, expected, block)) return false;
  if (!MarkOnce(block, reach, log)) return false;
  record.offset = offset;
  record.fields = block.Read<CommitRecord>(0);
  record.hash = block.hash;
  if (!ReadSpill(record, reader, reach, log)) return false;
  const uint64_t deltas = uint64_t{record.fields.data_delta_count} +
                          record.fields.catalog_delta_count;
  return AppendDeltas(reader, block, sizeof(CommitRecord), deltas, log,
                      record.deltas);
}

// Fields of the root that no other pass looks at.
bool CheckRoot(const ReadRecord& record, ErrorLog& log) {
  const CommitRecord& root = record.fields;
  const Offset at = record.offset;
  // The file may have been cut behind its last live segment since: that those
  // lie inside it is for their rows to say.
  bool ok = log.AtMost(at, "commit record: segments", kSegmentsMax,
                       root.segment_count);
  ok &= log.AtMost(at, "commit record: accounting rows", root.segment_count,
                   root.accounting_rows);
  log.AtMost(at, "commit record: catalog version", root.version,
             root.catalog_version);
  if (root.folded_version >= root.version ||
      root.version - root.folded_version > kChainRecordsMax) {
    log.Add(
        at, "commit record: folded version",
        absl::StrCat("below ", root.version, ", by at most ", kChainRecordsMax),
        absl::StrCat(root.folded_version));
    ok = false;
  }
  return ok;
}

}  // namespace

Chain ReadChain(Offset newest, BlockReader& reader, ReachMap& reach,
                ErrorLog& log) {
  Chain chain;
  ReadRecord record;
  if (!ReadOne(newest, reader, reach, log, record)) return chain;
  const bool ok = CheckRoot(record, log);
  chain.records.push_back(record);
  if (!ok) return chain;
  const uint64_t folded = chain.root().folded_version;
  for (uint64_t version = chain.root().version - 1; version > folded;
       --version) {
    ReadRecord older;
    if (!ReadOne(chain.records.back().fields.previous, reader, reach, log,
                 older)) {
      return chain;
    }
    const bool is_next =
        log.Equal(older.offset, "commit record: version of the predecessor",
                  version, older.fields.version);
    log.AtMost(older.offset, "commit record: incarnation",
               chain.records.back().fields.incarnation,
               older.fields.incarnation);
    log.AtMost(older.offset, "commit record: folded version",
               chain.records.back().fields.folded_version,
               older.fields.folded_version);
    chain.records.push_back(std::move(older));
    if (!is_next) return chain;
  }
  chain.is_complete = true;
  return chain;
}

}  // namespace eve::verify
