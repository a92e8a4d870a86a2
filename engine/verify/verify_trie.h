// Walks a hash trie from its root and checks every block of it.
//
// Threads:    one at a time.
// Processes:  the root is pinned, or nobody writes.
// Owns:       nothing.
// Lifetime:   within one VerifyDomain().
// Errors:     into the log. Damage in one place does not hide other places.
// Cost:       one read a block. No recursion: a stack of at most 13 * 32 slots.
#ifndef EVE_ENGINE_VERIFY_VERIFY_TRIE_H_
#define EVE_ENGINE_VERIFY_VERIFY_TRIE_H_

#include <cstdint>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "engine/format/node_layout.h"
#include "engine/verify/block_reader.h"
#include "engine/verify/reach_map.h"

namespace eve::verify {

// The superblock's part in hashing keys.
struct KeyHash {
  uint64_t seed = 0;
  uint64_t mask = 0;
};

struct TrieWalk {
  BlockReader* reader;
  ReachMap* reach;
  ErrorLog* log;
  KeyHash hash;
};

// Called for every record whose block could be read. Of a large value only the
// beginning is given.
using RecordVisitor = absl::FunctionRef<void(Offset, std::string_view key,
                                             std::string_view value)>;

// Marks and counts all blocks under `root`, which belong to collection `id`.
// Adds to the counts of `report`.
void WalkTrie(const TrieWalk& walk, NodeSlot root, uint32_t id,
              TreeReport& report, RecordVisitor visit);

}  // namespace eve::verify

#endif  // EVE_ENGINE_VERIFY_VERIFY_TRIE_H_
