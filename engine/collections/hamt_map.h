// The hash trie behind Map: finding, editing in batches, retiring.
//
// A persistent map from keys to values, ordered by nothing that a user sees.
// An edit copies the nodes on its path and rebuilds one leaf; everything else
// is shared with the older roots, which stay as they were.
//
// Threads:    finding: any thread. Editing: the thread that owns the store.
// Processes:  blocks are the same bytes to everybody; see docs/format-trie.md.
// Owns:       nothing: blocks belong to the store.
// Lifetime:   a found value points into the view and is valid as long as a pin
//             can see its root. A value that this very transaction wrote is
//             valid until its next edit of the same map.
// Errors:     damaged bytes: kDamaged from finding, kDataLoss from editing.
// Cost:       finding: no allocation, no lock; at 5 M records four loads of
//             nodes and one leaf, of which two miss the cache. Editing: a
//             copied node (288 bytes) a level, and a leaf of about 700 bytes.
#ifndef EVE_ENGINE_COLLECTIONS_HAMT_MAP_H_
#define EVE_ENGINE_COLLECTIONS_HAMT_MAP_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/collections/hash.h"
#include "engine/collections/node_store.h"
#include "engine/file/block_view.h"
#include "engine/format/node_layout.h"
#include "eve/bytes.h"

namespace eve {

// An empty map has an empty slot.
struct MapRoot {
  NodeSlot slot;
  uint64_t count = 0;  // records
};

enum class FindOutcome : uint8_t { kFound, kAbsent, kDamaged };

struct FindResult {
  FindOutcome outcome = FindOutcome::kAbsent;
  Bytes value;  // empty unless kFound
};

// Looks `key` up. Offsets, sizes and depth are checked against the view, so
// that damaged bytes give kDamaged or kAbsent, never a crash or an endless
// loop; checksums are not looked at.
FindResult HamtFind(const BlockView& view, const KeyHasher& hasher,
                    NodeSlot root, Bytes key);

// out[i] = HamtFind(keys[i]), with the cache misses of kMultiFindWidth keys
// overlapped. REQUIRES: out.size() == keys.size().
inline constexpr int kMultiFindWidth = 16;
void HamtMultiFind(const BlockView& view, const KeyHasher& hasher,
                   NodeSlot root, absl::Span<const Bytes> keys,
                   absl::Span<FindResult> out);

enum class MapOpKind : uint8_t {
  kPut,     // sets the key's value
  kInsert,  // sets it only if the key is absent
  kErase,   // removes the key if it is there
};

struct MapOp {
  MapOpKind kind = MapOpKind::kPut;
  Bytes key;
  Bytes value;        // unused by kErase
  uint64_t hash = 0;  // out: of the key
  // out: whether the key was there when this op's turn came.
  bool existed = false;
};

struct SideMoves;

struct EditContext {
  NodeStore* store = nullptr;
  KeyHasher hasher;
  uint32_t collection = 0;
  Stream leaf_stream = Stream::kLeaves;
  // Of trees only: inline values begin at multiples of 8 bytes.
  bool align_values = false;
  // Leaves to be taken along; null: none. See side_moves.h.
  SideMoves* side_moves = nullptr;
};

// Applies `ops` as if one after the other: a later op on the same key sees
// what an earlier one did, and wins. Descends once and rebuilds each touched
// leaf once. The order of `ops` is left as it is.
//
// OK: `root` is the new root, or untouched if nothing changed.
//   kInvalidArgument    a key or value above its limit (nothing was done)
//   kResourceExhausted  from the store; too many keys of one hash
//   kDataLoss           damaged bytes on the way
// On error `root` is unchanged. Blocks that this transaction may edit in place
// may hold a part of the edits: rewind the store to where it was before.
// REQUIRES: the keys and values of two ops or more do not lie in blocks for
// which the store's Edit() would give an address: these may be overwritten
// before their turn comes. A single op may name its own old value.
absl::Status HamtApply(const EditContext& context, absl::Span<MapOp> ops,
                       MapRoot& root);

// Retires about `budget` blocks of a root that nobody uses any more and puts
// what is left back into `root`; `*done` says whether that is nothing. May
// write a few nodes, to cut off what is gone. Errors as HamtApply().
absl::Status HamtRetireSome(const EditContext& context, uint64_t budget,
                            NodeSlot& root, bool* done);

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_HAMT_MAP_H_
