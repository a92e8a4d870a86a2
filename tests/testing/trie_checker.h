// Checks every rule of docs/format-trie.md on a whole trie.
//
// Threads:    pure functions.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     the first rule that is broken, with the offset of its block.
// Cost:       reads everything.
//
// Knows the format header and shares no code with engine/collections but the
// hash, or it would share its mistakes.
#ifndef EVE_TESTS_TESTING_TRIE_CHECKER_H_
#define EVE_TESTS_TESTING_TRIE_CHECKER_H_

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "engine/collections/hash.h"
#include "engine/file/block_view.h"
#include "engine/format/node_layout.h"

namespace eve {

struct TrieContent {
  absl::flat_hash_map<std::string, std::string> records;
  // Offset to size of every block, to compare with what a store has live.
  absl::flat_hash_map<uint64_t, uint64_t> blocks;
  uint64_t bytes = 0;
  uint64_t nodes = 0;
  uint64_t leaves = 0;
  uint64_t collision_leaves = 0;
  uint64_t external_records = 0;
};

absl::Status CheckTrie(const BlockView& view, const KeyHasher& hasher,
                       uint32_t collection, NodeSlot root,
                       TrieContent* content);

}  // namespace eve

#endif  // EVE_TESTS_TESTING_TRIE_CHECKER_H_
