// Cursors over ordered collections, in snapshots and in transactions.

#include <string>

#include "engine/collections/btree_cursor.h"
#include "engine/txn/transaction_impl.h"
#include "eve/codec.h"
#include "eve/internal/ordered_access.h"

namespace eve::internal {
namespace {

BlockView BlocksOf(const MapView& map) {
  return BlockView{map.base, map.limit_units};
}

// A cursor of a transaction remembers its key. A write makes the tree below it
// another one; the cursor finds its place there when it is used next. It then
// stands on the key again, or, if that is gone, between the two around it.
struct CursorState : CursorHead {
  explicit CursorState(const MapView& view)
      : map(view), tree(BlocksOf(view), NodeSlot{view.root}) {}

  MapView map;
  TreeCursor tree;
  bool in_transaction = false;
  MapEditor* editor = nullptr;  // null in snapshots, and if unusable
  // Of transactions: the key, as the tree's own dies with the next write.
  std::string remembered;
  bool has_place = false;  // on `remembered`, or where it was
  Scratch stop;            // without an allocation, in most cases
};

CursorState& StateOf(CursorHead& cursor) {
  return static_cast<CursorState&>(cursor);
}

void LeavePlace(CursorState& state) {
  state.valid = state.has_place = false;
  state.key = state.value = Bytes();
  if (state.tree.damaged()) NoteDamagedRead(state.map);
}

// Shows the record that the tree's cursor has come to.
void Show(CursorState& state) {
  if (!state.tree.Valid()) return LeavePlace(state);
  state.key = state.tree.key();
  state.value = state.tree.value();
  if (state.tree.damaged()) return LeavePlace(state);
  state.valid = state.has_place = true;
  if (state.editor != nullptr) {
    state.remembered.assign(state.key.data(), state.key.size());
    state.key = Bytes(state.remembered);
  }
}

// The tree as it is now, in a transaction. False if that cannot be had.
bool TakeTree(CursorState& state) {
  if (state.editor == nullptr) return true;
  if (!state.IsStale()) return true;
  const absl::StatusOr<MapView> view = state.editor->View();
  state.seen = *state.writes;
  if (!view.ok()) return false;
  state.map = *view;
  state.tree.SetTree(BlocksOf(*view), NodeSlot{view->root});
  return true;
}

}  // namespace

void CursorDeleter::operator()(CursorHead* cursor) const {
  delete static_cast<CursorState*>(cursor);
}

CursorPtr NewCursor(const MapView& view) {
  return CursorPtr(new CursorState(view));
}

CursorPtr NewCursor(MapEditor* editor) {
  auto* state = new CursorState(MapView{});
  state->in_transaction = true;
  if (editor != nullptr) {
    state->editor = editor;
    state->writes = &editor->writes();
    state->seen = editor->writes() - 1;  // looks at its first use
  }
  return CursorPtr(state);
}

void SeekCursor(CursorHead& cursor, SeekTo where, Bytes key) {
  CursorState& state = StateOf(cursor);
  if (!TakeTree(state)) return LeavePlace(state);
  switch (where) {
    case SeekTo::kFirst:
      state.tree.SeekToFirst();
      break;
    case SeekTo::kLast:
      state.tree.SeekToLast();
      break;
    case SeekTo::kAtLeast:
      state.tree.SeekAtLeast(key);
      break;
    case SeekTo::kAbove:
      state.tree.SeekAbove(key);
      break;
    case SeekTo::kAtMost:
      state.tree.SeekAtMost(key);
      break;
    case SeekTo::kBelow:
      state.tree.SeekBelow(key);
      break;
  }
  Show(state);
}

void SeekCursorToRank(CursorHead& cursor, uint64_t rank) {
  CursorState& state = StateOf(cursor);
  if (!TakeTree(state)) return LeavePlace(state);
  state.tree.SeekToRank(rank);
  Show(state);
}

void StepForward(CursorHead& cursor) {
  CursorState& state = StateOf(cursor);
  if (!state.has_place) return;
  if (state.IsStale() || !state.valid) {
    return SeekCursor(cursor, SeekTo::kAbove, Bytes(state.remembered));
  }
  state.tree.Next();
  Show(state);
}

void StepBack(CursorHead& cursor) {
  CursorState& state = StateOf(cursor);
  if (!state.has_place) return;
  if (state.IsStale() || !state.valid) {
    return SeekCursor(cursor, SeekTo::kBelow, Bytes(state.remembered));
  }
  state.tree.Prev();
  Show(state);
}

void StopCursorAt(CursorHead& cursor, Bytes stop, bool forward) {
  CursorState& state = StateOf(cursor);
  state.stop.Clear();
  state.stop.Append(stop.data(), stop.size());
  state.tree.StopAt(state.stop.bytes(), forward);
}

void RefreshCursor(CursorHead& cursor) {
  CursorState& state = StateOf(cursor);
  if (!TakeTree(state)) return LeavePlace(state);
  if (!state.has_place) return;
  state.tree.SeekAtLeast(Bytes(state.remembered));
  if (state.tree.damaged()) return LeavePlace(state);
  state.valid =
      state.tree.Valid() && state.tree.key() == Bytes(state.remembered);
  state.key = Bytes(state.remembered);
  state.value = state.valid ? state.tree.value() : Bytes();
  if (state.tree.damaged()) LeavePlace(state);
}

absl::Status StatusOfCursor(const CursorHead& cursor) {
  const auto& state = static_cast<const CursorState&>(cursor);
  return state.in_transaction ? StatusOfReads(state.editor)
                              : StatusOfReads(state.map);
}

void NoteUndecodable(const CursorHead& cursor) {
  NoteDamagedRead(static_cast<const CursorState&>(cursor).map);
}

}  // namespace eve::internal
