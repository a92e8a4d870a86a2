// Structure: which data structure a kind of collection lies in, and the calls
// that go to one or the other.
//
// Threads:    as engine/collections: finding any, editing one.
// Processes:  kinds are PERSISTED; their names are part of the public contract.
// Owns:       nothing.
// Lifetime:   as engine/collections.
// Errors:     as engine/collections.
// Cost:       a branch.
#ifndef EVE_ENGINE_TXN_STRUCTURE_H_
#define EVE_ENGINE_TXN_STRUCTURE_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/collections/hamt_map.h"
#include "engine/collections/move.h"
#include "engine/collections/rebase.h"
#include "engine/file/block_view.h"
#include "engine/format/constants.h"
#include "eve/bytes.h"

namespace eve {

// "map", "ordered_map", "sorted_set", "multi_map", "graveyard"; "unknown" for
// the kinds of later versions.
std::string_view KindName(uint8_t kind);
// Of a kind that users open; kInvalid for other names.
CollectionKind KindOfName(std::string_view name);

// A trie of hashes, or a tree of keys. In a tree, the word of a NodeSlot is
// that of a TreeSlot: its kind() and lines() mean nothing.
enum class Structure : uint8_t { kTrie, kTree };

constexpr Structure StructureOf(uint8_t kind) {
  return kind == static_cast<uint8_t>(CollectionKind::kMap) ? Structure::kTrie
                                                            : Structure::kTree;
}

FindResult FindIn(Structure structure, const BlockView& view,
                  const KeyHasher& hasher, NodeSlot root, Bytes key);
void MultiFindIn(Structure structure, const BlockView& view,
                 const KeyHasher& hasher, NodeSlot root,
                 absl::Span<const Bytes> keys, absl::Span<FindResult> out);
absl::Status ApplyTo(Structure structure, const EditContext& context,
                     absl::Span<MapOp> ops, MapRoot& root);

// HamtMove or TreeMove.
absl::Status MoveIn(Structure structure, const EditContext& context,
                    absl::Span<const MoveTarget> targets, NodeSlot& root,
                    MoveResult* moved);

// HamtRebase or TreeRebase.
bool RebaseIn(Structure structure, AmendableStore& store, NodeSlot base,
              NodeSlot newest, NodeSlot ours);

// HamtRetireSome or TreeRetireSome, by the block that `root` leads to: a
// graveyard has forgotten what it was.
//   kDataLoss  the block is of neither
absl::Status RetireSomeOf(const EditContext& context, uint64_t budget,
                          NodeSlot& root, bool* done);

}  // namespace eve

#endif  // EVE_ENGINE_TXN_STRUCTURE_H_
