// TreeAppender: the bulk way into a B+tree, for keys that ascend beyond its
// last one.
//
// Records are gathered until a leaf is full; it is written once, packed, and
// neither opened nor split again. Leaves are linked to the tree many at a time,
// so that its right edge is copied once for all of them. The tree's own last
// leaf is filled up first, so that many short appends pack as one long one.
//
// Threads:    one, that of the store.
// Processes:  none.
// Owns:       the records of the leaf that is being filled, and a slot and a
//             separator for each leaf that is not linked.
// Lifetime:   from Start() to Finish() nobody else edits the tree. What is not
//             linked is lost with it: rewind the store to before Start() or
//             call Finish().
// Errors:     as TreeApply().
// Cost:       two copies of a key and value; no look at what is in the tree.
#ifndef EVE_ENGINE_COLLECTIONS_BTREE_APPEND_H_
#define EVE_ENGINE_COLLECTIONS_BTREE_APPEND_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/collections/btree_leaf_plan.h"
#include "engine/collections/btree_writer.h"

namespace eve {

class TreeAppender {
 public:
  explicit TreeAppender(const EditContext& context);
  TreeAppender(const TreeAppender&) = delete;
  TreeAppender& operator=(const TreeAppender&) = delete;

  // Looks where `root` ends. Writes nothing.
  absl::Status Start(const MapRoot& root);
  // Whether Add() takes it.
  bool IsAbove(Bytes key) const;
  // REQUIRES: IsAbove(key), which is not too long, nor is the value.
  absl::Status Add(Bytes key, Bytes value);
  // Bytes that Add() was given since Link().
  uint64_t unlinked_bytes() const { return unlinked_bytes_; }
  // Puts the leaves that are full into the tree.
  absl::Status Link(MapRoot& root);
  // And the one that is not. The end: nothing can be added any more.
  absl::Status Finish(MapRoot& root);

 private:
  // A record of the leaf that is being filled: where its key and its value, as
  // it is stored, stop in keys_ and values_.
  struct Filled {
    size_t key_end;
    size_t value_end;
    bool external;
  };
  struct Leaf {
    TreeSlot slot;
    size_t separator_end;  // in separators_
  };

  absl::Status Take(const TreeLeafView& leaf);
  // Opens a leaf if none is open or the record would not fit.
  absl::Status MakeRoom(const LeafPlan::Shape& shape, size_t common, Bytes key);
  absl::Status WriteFilled();

  const EditContext context_;
  TreeWriter writer_;
  bool has_last_ = false;
  bool takes_last_ = false;  // the tree's last leaf is in here
  uint64_t taken_ = 0;       // records of it
  std::string last_;         // key
  LeafPlan plan_;
  std::string keys_;
  std::string values_;
  std::vector<Filled> filled_;
  std::vector<TreeRecord> records_;  // room for WriteFilled()
  std::vector<Leaf> leaves_;
  std::string separators_;
  uint64_t unlinked_bytes_ = 0;
  bool has_new_ = false;  // something was added since Start()
};

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_BTREE_APPEND_H_
