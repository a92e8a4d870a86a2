// Side moves: leaves that are moved out of segments to be emptied because an
// edit has come to the node above them, and large values because one has come
// to the leaf above them. Of a trie also the nodes beside those that an edit
// goes down to, with their leaves.
//
// Moving a block costs a walk to it and a copy of the one that leads to it. An
// edit has done both already for what lies beside that which it changes: to
// take some of it along costs no more than its own bytes. So a writer that owes
// moves pays with the neighbours of what it writes, and only what nobody comes
// near is looked for and moved by itself (move.h).
//
// Threads:    EmptiedSegments: any. SideMoves: those of its transaction.
// Processes:  of this one; what is moved is decided by the transaction's own
//             root, so that a stale bit moves a block needlessly and no more.
// Owns:       a bit for each segment.
// Lifetime:   EmptiedSegments: that of the domain. SideMoves: one run.
// Errors:     none: what cannot be read or placed stays where it is.
// Cost:       a load and a test for each child of a node above leaves (of a
//             trie: of depth 2 and below) and each large value of a leaf, while
//             there is something to pay; a copy for each block moved.
#ifndef EVE_ENGINE_COLLECTIONS_SIDE_MOVES_H_
#define EVE_ENGINE_COLLECTIONS_SIDE_MOVES_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/status/statusor.h"
#include "engine/collections/move.h"
#include "engine/collections/node_store.h"
#include "engine/format/block.h"
#include "engine/format/constants.h"
#include "engine/format/offset.h"
#include "util/relaxed_bits.h"

namespace eve {

// Hints, by segment.
class EmptiedSegments {
 public:
  void Add(uint32_t segment) { bits_.Add(segment); }
  void Remove(uint32_t segment) { bits_.Remove(segment); }
  bool Contains(Offset offset) const {
    return bits_.Contains(offset.units / kSegmentUnits);
  }

 private:
  RelaxedBits bits_{kSegmentsMax};
};

// What one run may move beside its edits, and has moved.
struct SideMoves {
  const EmptiedSegments* emptied = nullptr;
  int64_t budget_bytes = 0;
  // After RollBackTo() this counts what was undone, too.
  MoveResult moved;

  bool IsWanted(Offset block) const {
    return budget_bytes > 0 && emptied->Contains(block);
  }
  void Count(uint64_t bytes) {
    budget_bytes -= static_cast<int64_t>(bytes);
    ++moved.blocks;
    moved.bytes += bytes;
  }
};

// Copies a published block to `stream` and retires the old place.
inline absl::StatusOr<NewBlock> CopyBlock(NodeStore& store, Stream stream,
                                          Offset offset, uint64_t bytes) {
  absl::StatusOr<NewBlock> copy = store.Allocate(stream, bytes);
  if (!copy.ok()) return copy;
  std::memcpy(copy->data, store.view().At(offset), bytes);
  std::memset(copy->data + offsetof(BlockHeader, checksum), 0,
              sizeof(BlockHeader::checksum));
  store.Retire(offset, bytes);
  return copy;
}

// Moves the block at `offset`, of `bytes`, if there is room. Null: it stays,
// and nothing else is moved in this run.
inline Offset TakeAlong(NodeStore& store, SideMoves& moves, Offset offset,
                        uint64_t bytes) {
  const absl::StatusOr<NewBlock> copy =
      CopyBlock(store, Stream::kMoved, offset, bytes);
  if (!copy.ok()) {
    moves.budget_bytes = 0;
    return kNullOffset;
  }
  moves.Count(bytes);
  return copy->offset;
}

// How many leaves of one node are asked for ahead of the edit, and how many
// large values of one leaf, of each so many lines: the processor asks for what
// follows them.
inline constexpr size_t kSideLeavesAhead = 2;
inline constexpr size_t kSideValuesAhead = 4;
inline constexpr uint32_t kSideValueLines = 3;
// What is moved comes on top of the edit. Of the nodes below one node with
// their leaves, and of the large values of one leaf, the first that brings this
// much is the last; a larger value waits for a slice (move.h).
inline constexpr uint64_t kSideBytesMax = 8 << 10;

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_SIDE_MOVES_H_
