#include <algorithm>
#include <vector>

#include "engine/verify/verify_chain.h"

namespace eve::verify {
namespace {

// Segments below a child of a node `height` above the leaves.
uint64_t SpanOf(uint32_t height) {
  uint64_t span = kAccountingFanout;
  for (uint32_t h = 1; h < height; ++h) span *= kAccountingFanout;
  return span;
}

struct VectorVisit {
  Offset offset;
  uint32_t height;
  uint64_t first_segment;
};

class VectorReader {
 public:
  VectorReader(BlockReader& reader, ReachMap& reach, ErrorLog& log,
               std::vector<AccountingRow>& rows)
      : reader_(reader), reach_(reach), log_(log), rows_(rows) {}

  bool Read(Offset root, uint32_t rows_used) {
    LoadedBlock block;
    if (!reader_.LoadAny(root, sizeof(AccountingLeaf), block)) return false;
    const uint32_t height = block.header.depth;
    if (!log_.AtMost(root, "accounting root: height", kAccountingHeightMax,
                     height)) {
      return false;
    }
    const uint64_t room =
        SpanOf(height) * (height == 0 ? 1 : kAccountingFanout);
    bool ok =
        log_.AtMost(root, "accounting rows for the height", room, rows_used);
    stack_.push_back({root, height, 0});
    while (!stack_.empty()) {
      const VectorVisit visit = stack_.back();
      stack_.pop_back();
      ok &= visit.height == 0 ? ReadLeaf(visit) : ReadNode(visit);
    }
    return ok;
  }

 private:
  bool Load(const VectorVisit& visit, BlockType type, uint64_t bytes) {
    const Expected expected{.type = type,
                            .collection = kSystemId,
                            .depth = visit.height,
                            .bytes_min = bytes,
                            .bytes_max = bytes};
    if (!reader_.Load(visit.offset, expected, block_)) return false;
    if (!reach_.Mark(visit.offset, block_.header.size_units)) {
      log_.Add(visit.offset, "accounting vector: block is reached twice",
               "one owner", "two");
      return false;
    }
    return true;
  }

  bool ReadLeaf(const VectorVisit& visit) {
    if (!Load(visit, BlockType::kAccountingLeaf, sizeof(AccountingLeaf))) {
      return false;
    }
    const auto leaf = block_.Read<AccountingLeaf>(0);
    if (!log_.Equal(visit.offset, "accounting leaf: first segment",
                    visit.first_segment, leaf.first_segment)) {
      return false;
    }
    for (uint32_t i = 0; i < kAccountingFanout; ++i) {
      const uint64_t segment = visit.first_segment + i;
      if (segment < rows_.size()) {
        rows_[segment] = leaf.rows[i];
      } else if (leaf.rows[i].live_units != 0) {
        log_.Add(visit.offset,
                 absl::StrCat("accounting leaf: live units of "
                              "segment ",
                              segment),
                 absl::StrCat("none: the root has ", rows_.size(), " segments"),
                 absl::StrCat(leaf.rows[i].live_units));
      }
    }
    return true;
  }

  bool ReadNode(const VectorVisit& visit) {
    if (!Load(visit, BlockType::kAccountingNode, sizeof(AccountingNode))) {
      return false;
    }
    const auto node = block_.Read<AccountingNode>(0);
    if (!log_.Equal(visit.offset, "accounting node: first segment",
                    visit.first_segment, node.first_segment)) {
      return false;
    }
    for (uint32_t i = 0; i < kAccountingFanout; ++i) {
      if (node.children[i].is_null()) continue;
      stack_.push_back({node.children[i], visit.height - 1,
                        visit.first_segment + i * SpanOf(visit.height)});
    }
    return true;
  }

  BlockReader& reader_;
  ReachMap& reach_;
  ErrorLog& log_;
  std::vector<AccountingRow>& rows_;
  std::vector<VectorVisit> stack_;
  LoadedBlock block_;
};

// Applies the deltas of one record.
class DeltaReplay {
 public:
  DeltaReplay(const ReadRecord& record, ErrorLog& log,
              std::vector<AccountingRow>& rows)
      : record_(record),
        version_(record.fields.version),
        log_(log),
        rows_(rows) {}

  bool Run() {
    // Fills first: what died in its own commit is retired by that commit.
    for (const Delta& delta : record_.deltas) {
      if (KindOf(delta) == DeltaKind::kRetire) continue;
      if (!IsInside(delta)) return false;
      if (!(KindOf(delta) == DeltaKind::kRun ? Run(delta) : Fill(delta))) {
        return false;
      }
    }
    for (const Delta& delta : record_.deltas) {
      if (KindOf(delta) != DeltaKind::kRetire) continue;
      if (!IsInside(delta) || !Retire(delta)) return false;
    }
    return AddSum(record_.offset, record_.hash) &&
           (record_.fields.spill.is_null() ||
            AddSum(record_.fields.spill, record_.spill_hash));
  }

 private:
  static DeltaKind KindOf(const Delta& delta) {
    return static_cast<DeltaKind>(delta.kind);
  }

  bool Bad(const Delta& delta, const char* what, uint64_t expected,
           uint64_t found) {
    log_.Add(record_.offset,
             absl::StrCat("delta of version ", version_, " for segment ",
                          delta.segment, ": ", what),
             absl::StrCat(expected), absl::StrCat(found));
    return false;
  }

  bool IsInside(const Delta& delta) {
    const DeltaKind kind = KindOf(delta);
    if (kind != DeltaKind::kFill && kind != DeltaKind::kRetire &&
        kind != DeltaKind::kRun) {
      return Bad(delta, "kind", 1, delta.kind);
    }
    const uint64_t segments =
        kind == DeltaKind::kRun ? SegmentsForBytes(delta.to_units * kUnitBytes)
                                : 1;
    if (delta.segment + segments > rows_.size()) {
      return Bad(delta, "segments that the root can reach", rows_.size(),
                 delta.segment + segments);
    }
    return true;
  }

  bool Fill(const Delta& delta) {
    AccountingRow& row = rows_[delta.segment];
    const uint32_t start = SegmentStartUnits(delta.segment);
    if (delta.to_units > kSegmentUnits || delta.from_units > delta.to_units) {
      return Bad(delta, "end of the fill", kSegmentUnits, delta.to_units);
    }
    if (delta.from_units == start) {
      // A new life. What lived here before must be gone.
      if (row.live_units != 0) {
        Bad(delta, "live units below a new life", 0, row.live_units);
      }
      row = AccountingRow{.birth = version_, .run_length = 1};
    } else if (delta.from_units != row.fill_units) {
      return Bad(delta, "start of the fill", row.fill_units, delta.from_units);
    }
    row.fill_units = delta.to_units;
    row.live_units += delta.to_units - delta.from_units;
    row.sum += delta.sum;
    return true;
  }

  bool Run(const Delta& delta) {
    if (delta.segment == 0 || delta.to_units == 0) {
      return Bad(delta, "units of a run", 1, delta.to_units);
    }
    uint64_t left = delta.to_units;
    const uint64_t length = SegmentsForBytes(left * kUnitBytes);
    for (uint64_t k = 0; k < length; ++k) {
      AccountingRow& row = rows_[delta.segment + k];
      if (row.live_units != 0) {
        Bad(delta, "live units below a run", 0, row.live_units);
      }
      const auto part = static_cast<uint32_t>(std::min(left, kSegmentUnits));
      row = AccountingRow{.birth = version_,
                          .sum = k == 0 ? delta.sum : 0,
                          .fill_units = part,
                          .live_units = part,
                          .run_index = static_cast<uint32_t>(k),
                          .run_length = static_cast<uint32_t>(length)};
      left -= part;
    }
    return true;
  }

  bool Retire(const Delta& delta) {
    uint64_t left = delta.to_units;
    const uint64_t length =
        std::max<uint64_t>(1, rows_[delta.segment].run_length);
    for (uint64_t k = 0; k < length && left > 0; ++k) {
      if (delta.segment + k >= rows_.size()) break;
      AccountingRow& row = rows_[delta.segment + k];
      const uint64_t part =
          length == 1 ? left : std::min<uint64_t>(left, row.fill_units);
      if (part > row.live_units) {
        return Bad(delta, "units to retire", row.live_units, part);
      }
      row.live_units -= static_cast<uint32_t>(part);
      row.death = version_;
      left -= part;
    }
    return left == 0 || Bad(delta, "units to retire past a run", 0, left);
  }

  bool AddSum(Offset offset, uint64_t hash) {
    if (offset.segment() >= rows_.size()) {
      log_.Add(offset, "commit record outside the segments of the root",
               absl::StrCat("below ", rows_.size()),
               absl::StrCat(offset.segment()));
      return false;
    }
    rows_[offset.segment()].sum += hash;
    return true;
  }

  const ReadRecord& record_;
  const uint64_t version_;
  ErrorLog& log_;
  std::vector<AccountingRow>& rows_;
};

}  // namespace

bool ReadRows(const Chain& chain, BlockReader& reader, ReachMap& reach,
              ErrorLog& log, std::vector<AccountingRow>& rows) {
  // Counts in an unsound root are not for allocating by.
  if (!chain.is_complete) return false;
  const CommitRecord& root = chain.root();
  rows.assign(root.segment_count, AccountingRow{});
  bool ok = true;
  if (root.accounting_root.is_null()) {
    log.Equal(chain.records.front().offset,
              "commit record: accounting rows without a vector", 0,
              root.accounting_rows);
  } else {
    ok = VectorReader(reader, reach, log, rows)
             .Read(root.accounting_root, root.accounting_rows);
  }
  if (!ok) return false;
  for (auto record = chain.records.rbegin(); record != chain.records.rend();
       ++record) {
    if (!DeltaReplay(*record, log, rows).Run()) return false;
  }
  return true;
}

}  // namespace eve::verify
