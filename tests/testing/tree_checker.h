// CheckTree: every rule of docs/format-tree.md, on a tree that tests built.
//
// Threads:    one thread.
// Processes:  none.
// Owns:       nothing.
// Lifetime:   the view.
// Errors:     kDataLoss names the first broken rule and its offset.
// Cost:       reads everything. Trusts that headers lie inside the view.
#ifndef EVE_TESTS_TESTING_TREE_CHECKER_H_
#define EVE_TESTS_TESTING_TREE_CHECKER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "engine/file/block_view.h"
#include "engine/format/node_layout.h"

namespace eve {

struct TreeContent {
  std::vector<std::pair<std::string, std::string>> records;  // in key order
  // Offset to size of every block, to compare with what a store has live.
  absl::flat_hash_map<uint64_t, uint64_t> blocks;
  uint64_t bytes = 0;
  uint64_t nodes = 0;
  uint64_t leaves = 0;
  uint64_t leaf_bytes = 0;
  uint64_t external_values = 0;
  uint32_t height = 0;  // levels above the leaves
};

absl::Status CheckTree(const BlockView& view, uint32_t collection,
                       NodeSlot root, TreeContent* content);

}  // namespace eve

#endif  // EVE_TESTS_TESTING_TREE_CHECKER_H_
