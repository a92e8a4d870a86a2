// AnyCursor: a collection of any kind, from its first record to its last.
//
// Threads:    one.
// Processes:  any may write meanwhile: the snapshot does not change.
// Owns:       its place.
// Lifetime:   the snapshot of the view outlives it.
// Errors:     damage ends it; the snapshot's status tells.
// Cost:       that of a cursor of the kind, and a branch a call.
#ifndef EVE_ENGINE_TXN_ANY_CURSOR_H_
#define EVE_ENGINE_TXN_ANY_CURSOR_H_

#include "eve/internal/map_access.h"
#include "eve/internal/ordered_access.h"

namespace eve::internal {

class AnyCursor {
 public:
  explicit AnyCursor(const MapView& map) {
    if (map.ordered) {
      tree_ = NewCursor(map);
      SeekCursor(*tree_, SeekTo::kFirst, Bytes());
    } else {
      trie_ = MapCursor(map);
    }
  }
  bool AtEnd() const { return tree_ ? !tree_->valid : trie_.AtEnd(); }
  Bytes key() const { return tree_ ? tree_->key : trie_.key(); }
  Bytes value() const { return tree_ ? tree_->value : trie_.value(); }
  void Next() {
    if (tree_) {
      StepForward(*tree_);
    } else {
      trie_.Next();
    }
  }

 private:
  CursorPtr tree_;  // null: a trie
  MapCursor trie_;
};

}  // namespace eve::internal

#endif  // EVE_ENGINE_TXN_ANY_CURSOR_H_
