#include <string>

#include "engine/collections/btree_node.h"
#include "engine/collections/btree_writer.h"
#include "engine/collections/diff.h"
#include "util/status_macros.h"

namespace eve {
namespace {

// A walk in the order of the keys that stands on a subtree before it stands on
// the records inside, so that the subtree can be passed over.
class Walker {
 public:
  Walker(const BlockView& view, NodeSlot root) : view_(view) {
    subtree_ = TreeSlot{root.word};
    if (subtree_.is_empty()) return;
    level_ = view_.Contains(subtree_.offset())
                 ? view_.As<BlockHeader>(subtree_.offset())->depth
                 : kTreeLevelsMax + 1;
    at_subtree_ = true;
  }

  bool AtEnd() const { return !at_subtree_ && !in_leaf_; }
  bool AtSubtree() const { return at_subtree_; }
  TreeSlot subtree() const { return subtree_; }
  uint32_t level() const { return level_; }

  // REQUIRES: AtSubtree(), here and below.
  void Skip() {
    at_subtree_ = false;
    while (depth_ > 0) {
      Level& top = path_[depth_ - 1];
      if (++top.index < top.node.count()) {
        StandOn(top.node.slot(top.index), top.node.level() - 1);
        return;
      }
      --depth_;
    }
  }
  absl::Status Enter() {
    at_subtree_ = false;
    if (level_ == 0) {
      if (!TreeLeafView::Open(view_, subtree_.offset(), &leaf_)) {
        return DamagedTree(subtree_.offset(), "tree leaf");
      }
      in_leaf_ = true;
      index_ = 0;
      return absl::OkStatus();
    }
    if (depth_ == kTreeLevelsMax ||
        !TreeNodeView::Open(view_, subtree_.offset(), level_,
                            &path_[depth_].node)) {
      return DamagedTree(subtree_.offset(), "tree node");
    }
    path_[depth_++].index = 0;
    StandOn(path_[depth_ - 1].node.slot(0), level_ - 1);
    return absl::OkStatus();
  }

  // REQUIRES: on a record, here and below.
  TreeRecord record() const { return leaf_.Record(index_); }
  absl::Status Value(std::optional<Bytes>* value) const {
    Bytes bytes;
    if (!leaf_.Value(view_, index_, &bytes)) {
      return DamagedTree(subtree_.offset(), "tree value");
    }
    *value = bytes;
    return absl::OkStatus();
  }
  void Next() {
    if (++index_ < leaf_.count()) return;
    in_leaf_ = false;
    Skip();
  }

 private:
  struct Level {
    TreeNodeView node;
    uint32_t index = 0;
  };

  void StandOn(TreeSlot slot, uint32_t level) {
    subtree_ = slot;
    level_ = level;
    at_subtree_ = true;
  }

  const BlockView& view_;
  bool at_subtree_ = false;
  bool in_leaf_ = false;
  TreeSlot subtree_;
  uint32_t level_ = 0;
  TreeLeafView leaf_;
  uint32_t index_ = 0;
  uint32_t depth_ = 0;
  Level path_[kTreeLevelsMax];
};

// Where the two stand on records.
enum class Side : uint8_t { kBefore, kAfter, kBoth };

Side SmallerOf(const Walker& before, const Walker& after) {
  if (after.AtEnd()) return Side::kBefore;
  if (before.AtEnd()) return Side::kAfter;
  const KeyPieces a = before.record().key;
  const KeyPieces b = after.record().key;
  const size_t common = CommonPrefix(a, b);
  const bool a_ends = common == a.size();
  const bool b_ends = common == b.size();
  if (a_ends && b_ends) return Side::kBoth;
  if (a_ends || b_ends) return a_ends ? Side::kBefore : Side::kAfter;
  const auto byte = [common](const KeyPieces& key) {
    return static_cast<uint8_t>(*key.PieceAt(common).data());
  };
  return byte(a) < byte(b) ? Side::kBefore : Side::kAfter;
}

class Differ {
 public:
  Differ(const BlockView& view, NodeSlot before, NodeSlot after,
         DiffVisitor visit)
      : before_(view, before), after_(view, after), visit_(visit) {}

  absl::Status Run() {
    while (!before_.AtEnd() || !after_.AtEnd()) {
      if (before_.AtSubtree() || after_.AtSubtree()) {
        EVE_RETURN_IF_ERROR(MeetSubtrees());
        continue;
      }
      bool go_on = true;
      EVE_RETURN_IF_ERROR(MeetRecords(&go_on));
      if (!go_on) break;
    }
    return absl::OkStatus();
  }

 private:
  absl::Status MeetSubtrees() {
    if (!before_.AtSubtree()) return after_.Enter();
    if (!after_.AtSubtree()) return before_.Enter();
    if (before_.subtree() == after_.subtree()) {
      before_.Skip();
      after_.Skip();
      return absl::OkStatus();
    }
    const uint32_t level = before_.level();
    if (level >= after_.level()) EVE_RETURN_IF_ERROR(before_.Enter());
    return level <= after_.level() ? after_.Enter() : absl::OkStatus();
  }

  absl::Status MeetRecords(bool* go_on) {
    const Side side = SmallerOf(before_, after_);
    std::optional<Bytes> old_value;
    std::optional<Bytes> new_value;
    if (side != Side::kAfter) EVE_RETURN_IF_ERROR(before_.Value(&old_value));
    if (side != Side::kBefore) EVE_RETURN_IF_ERROR(after_.Value(&new_value));
    const KeyPieces key =
        (side == Side::kAfter ? after_ : before_).record().key;
    if (!(old_value.has_value() && new_value.has_value() &&
          IsSameValue(*old_value, *new_value))) {
      key_.resize(key.size());
      key.CopyFrom(0, key_.data());
      *go_on = visit_(key_, old_value, new_value);
    }
    if (side != Side::kAfter) before_.Next();
    if (side != Side::kBefore) after_.Next();
    return absl::OkStatus();
  }

  Walker before_;
  Walker after_;
  DiffVisitor visit_;
  std::string key_;
};

}  // namespace

absl::Status TreeDiff(const BlockView& view, NodeSlot before, NodeSlot after,
                      DiffVisitor visit) {
  return Differ(view, before, after, visit).Run();
}

}  // namespace eve
