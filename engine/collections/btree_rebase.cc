#include <cstring>

#include "engine/collections/btree_node.h"
#include "engine/collections/rebase.h"

namespace eve {
namespace {

// What leads to one subtree in three trees.
struct Three {
  TreeSlot base;
  TreeSlot newest;
  TreeSlot ours;
};

// Whether two nodes have the same children but for where these lie and how many
// records they have: then each child has the same keys to itself in both.
bool HaveSameShape(const TreeNodeView& a, const TreeNodeView& b) {
  if (a.count() != b.count() || a.bytes() != b.bytes()) return false;
  const auto begin = static_cast<size_t>(a.slots() - a.data());
  const size_t words = a.count() * (a.level() > 1 ? 2 : 1);
  const size_t end = begin + words * sizeof(uint64_t);
  constexpr size_t kSkipped = sizeof(BlockHeader);
  return std::memcmp(a.data() + kSkipped, b.data() + kSkipped,
                     begin - kSkipped) == 0 &&
         std::memcmp(a.data() + end, b.data() + end, a.bytes() - end) == 0;
}

class Rebaser {
 public:
  explicit Rebaser(AmendableStore& store) : store_(store) {}

  bool Node(const Three& at, uint32_t level) {
    TreeNodeView base, newest, ours;
    if (!TreeNodeView::Open(store_.view(), at.base.offset(), level, &base) ||
        !TreeNodeView::Open(store_.view(), at.newest.offset(), level,
                            &newest) ||
        !TreeNodeView::Open(store_.view(), at.ours.offset(), level, &ours) ||
        !HaveSameShape(base, newest) || !HaveSameShape(base, ours)) {
      return false;
    }
    // A child at a time: those below are changed first.
    for (uint32_t i = 0; i < base.count(); ++i) {
      const Three child{base.slot(i), newest.slot(i), ours.slot(i)};
      if (child.ours == child.base || child.newest == child.base) continue;
      if (base.level() == 1 || !Node(child, base.level() - 1)) return false;
    }
    char* const bytes = store_.Amend(at.ours.offset());
    if (bytes == nullptr) return false;
    char* const slots = bytes + (ours.slots() - ours.data());
    for (uint32_t i = 0; i < base.count(); ++i) {
      const TreeSlot before = base.slot(i);
      const TreeSlot mine = ours.slot(i);
      const TreeSlot theirs = newest.slot(i);
      if (mine == before) std::memcpy(slots + 8 * i, &theirs, sizeof(theirs));
      if (base.level() == 1) continue;
      // Of a child that only one has changed, the other two are the same.
      const uint64_t records =
          ours.RecordsBelow(i) - base.RecordsBelow(i) + newest.RecordsBelow(i);
      std::memcpy(slots + 8 * (base.count() + i), &records, sizeof(records));
    }
    store_.Amended(at.ours.offset());
    // The winner has retired the one, and this takes the place of the other.
    store_.Unretire(at.base.offset(), base.bytes());
    store_.Retire(at.newest.offset(), newest.bytes());
    return true;
  }

 private:
  AmendableStore& store_;
};

// Of a root; zero if it is a leaf, or nothing that could be read.
uint32_t LevelOf(const BlockView& view, NodeSlot root) {
  const TreeSlot slot{root.word};
  if (slot.is_empty() || !view.Contains(slot.offset())) return 0;
  return view.As<BlockHeader>(slot.offset())->depth;
}

}  // namespace

bool TreeRebase(AmendableStore& store, NodeSlot base, NodeSlot newest,
                NodeSlot ours) {
  const uint32_t level = LevelOf(store.view(), base);
  if (level == 0 || LevelOf(store.view(), newest) != level ||
      LevelOf(store.view(), ours) != level) {
    return false;
  }
  const Three root{{base.word}, {newest.word}, {ours.word}};
  return Rebaser(store).Node(root, level);
}

}  // namespace eve
