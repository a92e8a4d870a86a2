// BuildTree: writes a B+tree into an image, a third time after the engine's
// writing and the verifier's reading.
//
// Threads:    one at a time.
// Processes:  none.
// Owns:       nothing; blocks go to the image.
// Lifetime:   none.
// Errors:     none; misuse is undefined.
// Cost:       that of the blocks.
#ifndef EVE_TESTS_VERIFY_TREE_IMAGE_H_
#define EVE_TESTS_VERIFY_TREE_IMAGE_H_

#include <cstddef>
#include <string>

#include "tests/verify/image_builder.h"

namespace eve::testing {

struct TreeShape {
  CollectionKind kind = CollectionKind::kOrderedMap;
  size_t leaf_records = 10;
  size_t node_children = 4;
  bool aligned = false;
  size_t inline_bytes_max = 100;  // of a value
  // As in what retiring left behind: the first node of each level has one
  // child, and every count is too high.
  bool half_retired = false;
};

// Makes `records` the content of collection `name`.
void SetTree(ImageBuilder& builder, const std::string& name,
             const Records& records, const TreeShape& shape = {});

}  // namespace eve::testing

#endif  // EVE_TESTS_VERIFY_TREE_IMAGE_H_
