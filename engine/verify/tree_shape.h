// TreeLeafShape, TreeNodeShape: where the areas of a tree's blocks lie, as far
// as their bytes can be believed.
//
// Threads:    value types.
// Processes:  none.
// Owns:       nothing; the bytes are the block's.
// Lifetime:   that of the block which they were made of.
// Errors:     into the log. A shape that was made lies inside its block.
// Cost:       O(entries of the block).
#ifndef EVE_ENGINE_VERIFY_TREE_SHAPE_H_
#define EVE_ENGINE_VERIFY_TREE_SHAPE_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/format/tree_layout.h"
#include "engine/verify/block_reader.h"

namespace eve::verify {

class TreeLeafShape {
 public:
  // False if the records cannot be told apart.
  bool Make(const LoadedBlock& block, ErrorLog& log);

  struct Value {
    std::string_view bytes;
    bool external = false;
  };
  uint32_t count() const { return static_cast<uint32_t>(keys_.size()); }
  std::string_view prefix() const { return prefix_; }
  // Behind the prefix.
  std::string_view key(uint32_t i) const { return keys_[i]; }
  Value value(uint32_t i) const { return values_[i]; }

 private:
  // Both are false if an area leaves the block.
  bool PlaceKeys(const LoadedBlock& block, const TreeLeaf& head, uint64_t ends,
                 uint64_t begin, ErrorLog& log);
  bool PlaceValues(const LoadedBlock& block, const TreeLeaf& head,
                   uint64_t ends, ErrorLog& log);
  void CheckAreas(const LoadedBlock& block, const TreeLeaf& head,
                  ErrorLog& log) const;

  std::string_view prefix_;
  std::vector<std::string_view> keys_;
  std::vector<Value> values_;
  uint64_t keys_begin_ = 0;  // from the start of the block, as the next three
  uint64_t keys_end_ = 0;
  uint64_t values_begin_ = 0;
  uint64_t values_end_ = 0;
};

class TreeNodeShape {
 public:
  // False if the slots cannot be told. `has_separators` is false if only the
  // separators cannot.
  bool Make(const LoadedBlock& block, uint32_t children_min, ErrorLog& log);

  uint32_t count() const { return count_; }
  uint32_t level() const { return level_; }
  bool has_separators() const { return has_separators_; }
  std::string_view prefix() const { return prefix_; }
  // Behind the prefix, left of child i + 1.
  std::string_view separator(uint32_t i) const { return separators_[i]; }
  TreeSlot slot(const LoadedBlock& block, uint32_t i) const {
    return block.Read<TreeSlot>(slots_at_ + 8 * uint64_t{i});
  }
  // REQUIRES: level() > 1.
  uint64_t records(const LoadedBlock& block, uint32_t i) const {
    return block.Read<uint64_t>(slots_at_ + 8 * (uint64_t{count_} + i));
  }

 private:
  bool PlaceShort(const LoadedBlock& block, uint64_t sizes_at, ErrorLog& log);
  bool PlaceLong(const LoadedBlock& block, uint64_t ends_at, uint64_t tails_at,
                 ErrorLog& log);
  void CheckSeparators(const LoadedBlock& block, bool is_long,
                       ErrorLog& log) const;

  uint32_t count_ = 0;
  uint32_t level_ = 0;
  bool has_separators_ = false;
  uint64_t slots_at_ = 0;
  uint64_t end_ = 0;  // of the content
  std::string_view prefix_;
  std::vector<std::string_view> separators_;
};

}  // namespace eve::verify

#endif  // EVE_ENGINE_VERIFY_TREE_SHAPE_H_
