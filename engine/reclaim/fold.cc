#include "engine/reclaim/fold.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/root/accounting.h"
#include "engine/root/pinned_root.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve {
namespace {

constexpr uint32_t kFullUnits = kSegmentUnits * 7 / 8;
constexpr uint32_t kSparseUnits = kSegmentUnits / 4;

// Rewrites the paths of the vector on which rows changed.
class VectorEditor {
 public:
  VectorEditor(Attempt& attempt, const std::vector<AccountingRow>& before,
               const std::vector<AccountingRow>& after, bool is_packing)
      : attempt_(attempt),
        before_(before),
        after_(after),
        is_packing_(is_packing) {}

  // Returns the new root of a tree high enough for all rows.
  absl::StatusOr<Offset> Rewrite(Offset old_root) {
    uint8_t depth = 0;
    uint64_t room = kAccountingFanout;
    for (; room < after_.size(); room *= kAccountingFanout) ++depth;
    if (old_root.is_null()) return Build(kNullOffset, depth, 0);
    const uint8_t old_depth = attempt_.view().As<BlockHeader>(old_root)->depth;
    // A tree that must grow keeps the old root as its first grandchild.
    return BuildAbove(old_root, old_depth, std::max(depth, old_depth));
  }

 private:
  static uint64_t Span(uint8_t depth) {
    uint64_t span = 1;
    for (uint8_t d = 0; d < depth; ++d) span *= kAccountingFanout;
    return span;
  }

  bool HasChanged(uint64_t first, uint64_t count) const {
    const uint64_t end = std::min<uint64_t>(first + count, after_.size());
    for (uint64_t i = first; i < end; ++i) {
      const AccountingRow old =
          i < before_.size() ? before_[i] : AccountingRow{};
      if (old != after_[i]) return true;
    }
    return false;
  }

  // Whether a block of this subtree lies in a segment that is full and mostly
  // dead: it moves, so that the segment can be emptied. While the file is
  // packed none is filled any further.
  bool LiesInSparse(Offset old, uint8_t depth) const {
    if (old.is_null()) return false;
    if (old.segment() < after_.size()) {
      const AccountingRow& row = after_[old.segment()];
      if ((is_packing_ || row.fill_units > kFullUnits) &&
          row.live_units < kSparseUnits) {
        return true;
      }
    }
    if (depth == 0) return false;
    const auto* node = attempt_.view().As<AccountingNode>(old);
    return std::any_of(
        node->children, node->children + kAccountingFanout, [&](Offset child) {
          return LiesInSparse(child, static_cast<uint8_t>(depth - 1));
        });
  }

  absl::StatusOr<Offset> BuildAbove(Offset old_root, uint8_t old_depth,
                                    uint8_t depth) {
    if (depth == old_depth) return Build(old_root, depth, 0);
    AccountingNode node{};
    node.header = MakeBlockHeader(BlockType::kAccountingNode, depth, 0,
                                  sizeof(node), kSystemId);
    EVE_ASSIGN_OR_RETURN(
        node.children[0],
        BuildAbove(old_root, old_depth, static_cast<uint8_t>(depth - 1)));
    EVE_RETURN_IF_ERROR(BuildChildren(1, depth, 0, node));
    return Place(&node, sizeof(node));
  }

  absl::Status BuildChildren(uint32_t from, uint8_t depth, uint64_t first,
                             AccountingNode& node) {
    const uint64_t span = Span(depth);
    for (uint32_t i = from; i < kAccountingFanout; ++i) {
      const uint64_t child_first = first + i * span;
      if (child_first >= after_.size()) break;
      EVE_ASSIGN_OR_RETURN(node.children[i],
                           Build(node.children[i],
                                 static_cast<uint8_t>(depth - 1), child_first));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Offset> Build(Offset old, uint8_t depth, uint64_t first) {
    if (!HasChanged(first, Span(static_cast<uint8_t>(depth + 1))) &&
        !LiesInSparse(old, depth)) {
      return old;
    }
    if (depth == 0) return BuildLeaf(old, first);
    AccountingNode node{};
    if (!old.is_null()) {
      node = *attempt_.view().As<AccountingNode>(old);
      attempt_.Retire(old, node.header.bytes());
    }
    node.header = MakeBlockHeader(BlockType::kAccountingNode, depth, 0,
                                  sizeof(node), kSystemId);
    node.first_segment = first;
    EVE_RETURN_IF_ERROR(BuildChildren(0, depth, first, node));
    return Place(&node, sizeof(node));
  }

  absl::StatusOr<Offset> BuildLeaf(Offset old, uint64_t first) {
    if (!old.is_null()) attempt_.Retire(old, sizeof(AccountingLeaf));
    AccountingLeaf leaf{};
    leaf.header = MakeBlockHeader(BlockType::kAccountingLeaf, 0, 0,
                                  sizeof(leaf), kSystemId);
    leaf.first_segment = first;
    for (uint32_t i = 0; i < kAccountingFanout; ++i) {
      if (first + i < after_.size()) leaf.rows[i] = after_[first + i];
    }
    return Place(&leaf, sizeof(leaf));
  }

  absl::StatusOr<Offset> Place(const void* block, uint64_t bytes) {
    EVE_ASSIGN_OR_RETURN(const NewBlock placed,
                         attempt_.Allocate(Stream::kNodes, bytes));
    std::memcpy(placed.data, block, bytes);
    return placed.offset;
  }

  Attempt& attempt_;
  const std::vector<AccountingRow>& before_;
  const std::vector<AccountingRow>& after_;
  const bool is_packing_;
};

struct FoldedBase {
  Offset accounting_root;
  uint32_t rows = 0;
  uint64_t version = 0;
  uint64_t former_folded = 0;
};

absl::StatusOr<FoldedBase> BuildFold(Core& core, Attempt& attempt,
                                     const PinnedRoot& base,
                                     const std::vector<ChainRecord>& chain) {
  EVE_ASSIGN_OR_RETURN(
      const std::vector<AccountingRow> before,
      ReadFoldedRows(core.FileView(), base.record(), core.salt));
  std::vector<AccountingRow> after = before;
  for (const ChainRecord& record : chain) {
    EVE_RETURN_IF_ERROR(ApplyRecord(core.FileView(), record, core.salt, after));
  }
  VectorEditor editor(attempt, before, after,
                      core.source->is_packing() && !core.source->is_tight());
  FoldedBase folded;
  EVE_ASSIGN_OR_RETURN(folded.accounting_root,
                       editor.Rewrite(base.record().accounting_root));
  for (const ChainRecord& record : chain) {
    attempt.Retire(record.offset, record.record->header.bytes());
    if (record.record->spill.is_null()) continue;
    attempt.Retire(
        record.record->spill,
        core.FileView().As<BlockHeader>(record.record->spill)->bytes());
  }
  folded.rows = static_cast<uint32_t>(after.size());
  folded.version = base.version();
  folded.former_folded = base.record().folded_version;
  EVE_RETURN_IF_ERROR(attempt.FinishData());
  return folded;
}

absl::StatusOr<Offset> StampFold(Core& core, Attempt& attempt,
                                 const FoldedBase& folded,
                                 const PinnedRoot& newest) {
  CommitRecord fields = newest.record();
  fields.version = newest.version() + 1;
  fields.incarnation = core.incarnation;
  fields.previous = newest.offset();
  fields.accounting_root = folded.accounting_root;
  fields.accounting_rows = folded.rows;
  fields.folded_version = folded.version;
  fields.writer = core.slots->index();
  return attempt.Seal(fields);
}

absl::StatusOr<bool> PublishFold(Core& core, Attempt& attempt,
                                 const FoldedBase& folded,
                                 const PinnedRoot& base) {
  PinnedRoot winner;
  while (true) {
    const PinnedRoot& newest = winner.is_pinned() ? winner : base;
    EVE_ASSIGN_OR_RETURN(const Offset record,
                         StampFold(core, attempt, folded, newest));
    EVE_RETURN_IF_ERROR(attempt.WriteOut());
    EVE_STEP("fold.before_cas");
    if (core.root->TryPublish(newest.offset(), record)) {
      EVE_STEP("fold.after_cas");
      return true;
    }
    EVE_ASSIGN_OR_RETURN(
        PinnedRoot next,
        PinnedRoot::PinNewest(*core.root, core.cells.get(), core.view));
    if (next.record().folded_version != folded.former_folded) return false;
    attempt.RewindToData();
    winner = std::move(next);
  }
}

}  // namespace

absl::StatusOr<bool> Fold(Core& core, Attempt& attempt, uint64_t at_least) {
  EVE_ASSIGN_OR_RETURN(
      const PinnedRoot base,
      PinnedRoot::PinNewest(*core.root, core.cells.get(), core.view));
  // One record of the chain is the former fold itself, if there was one: a
  // chain of nothing but folds does not ask for another (P8).
  const uint64_t folds = base.record().folded_version == 0 ? 0 : 1;
  const uint64_t unfolded = base.version() - base.record().folded_version;
  if (unfolded < at_least + folds) return false;
  EVE_ASSIGN_OR_RETURN(const std::vector<ChainRecord> chain,
                       ReadChain(core.FileView(), base.offset(), core.salt));
  attempt.writer().SetPurpose(ClaimPurpose::kMakeRoom);
  attempt.LookUpTo(core.FileView().limit_units);
  absl::StatusOr<FoldedBase> folded = BuildFold(core, attempt, base, chain);
  absl::StatusOr<bool> published =
      folded.ok() ? PublishFold(core, attempt, *folded, base)
                  : absl::StatusOr<bool>(folded.status());
  if (published.ok() && *published) {
    attempt.Committed();
    CountInSlot(core.slots->own().folds);
  } else {
    attempt.RewindAll();
  }
  return published;
}

}  // namespace eve
