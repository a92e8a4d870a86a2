#include "engine/verify/verify_tree.h"

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/format/constants.h"
#include "engine/verify/tree_shape.h"

namespace eve::verify {
namespace {

constexpr uint64_t kTreeValueBlockBytesMax =
    sizeof(TreeValue) + kValueBytesMax + kKeyBytesMax + kUnitBytes;

// Of prefix + rest and a whole key: below 0, 0, above 0.
int Compare(std::string_view prefix, std::string_view rest,
            std::string_view key) {
  const int order = prefix.compare(key.substr(0, prefix.size()));
  if (order != 0) return order;
  return rest.compare(key.substr(prefix.size()));
}

// Keys of a subtree are not less than `low`, and less than `high` if it is set.
struct Bounds {
  std::string low;
  std::string high;
  bool has_high = false;
};

class TreeWalker {
 public:
  TreeWalker(const TreeWalk& walk, const TreeTraits& traits, TreeReport& report)
      : walk_(walk), log_(*walk.log), traits_(traits), report_(report) {}

  void Walk(Offset where, TreeSlot root) {
    if (root.is_empty()) return;
    LoadedBlock peek;
    if (!walk_.reader->ReadHeader(root.offset(), peek)) return;
    const uint32_t level = peek.header.depth;
    if (!log_.AtMost(root.offset(), "tree root: level", kTreeLevelsMax,
                     level)) {
      return;
    }
    report_.max_depth = level;
    Enter(where, root, level, Bounds());
    while (depth_ > 0) {
      Level& top = *path_[depth_ - 1];
      if (top.next < top.shape.count()) {
        VisitChild(top);
      } else {
        --depth_;
        FinishChild(top.is_known, top.records);
      }
    }
  }

 private:
  // A node on the path to where the walk stands.
  struct Level {
    LoadedBlock block;
    TreeNodeShape shape;
    Bounds bounds;
    uint32_t next = 0;      // child that is visited next
    uint64_t records = 0;   // below the children before it
    bool is_known = false;  // whether that is all that was there
  };

  // Visits a leaf, or puts a node on the path.
  void Enter(Offset where, TreeSlot slot, uint32_t level, const Bounds& bounds);
  void VisitChild(Level& parent);
  bool EnterNode(Offset where, TreeSlot slot, uint32_t level,
                 const Bounds& bounds);
  void CheckNodeBounds(const Level& level);
  // Returns the records of the leaf; nothing if it could not be read.
  std::optional<uint64_t> VisitLeaf(Offset where, TreeSlot slot,
                                    const Bounds& bounds);
  void CheckLeafBounds(const Bounds& bounds);
  void VisitValues();
  void VisitExternal(Offset offset, uint32_t record);
  // The key lies behind the value; of a damaged block it may not be loaded.
  void CheckKeyOfValue(Offset offset, uint64_t key_at, uint64_t key_bytes,
                       uint32_t record);
  // The child of the last node on the path is done.
  void FinishChild(bool is_known, uint64_t records);

  bool Load(Offset offset, BlockType type, uint32_t level, uint64_t bytes_min,
            uint64_t bytes_max, LoadedBlock& block) {
    const Expected expected{.type = type,
                            .collection = traits_.id,
                            .depth = level,
                            .bytes_min = bytes_min,
                            .bytes_max = bytes_max};
    if (!walk_.reader->Load(offset, expected, block)) return false;
    if (!walk_.reach->Mark(offset, block.header.size_units)) {
      log_.Add(offset, absl::StrCat(NameOf(type), " is reached twice"),
               "one place", "two");
      return false;
    }
    report_.bytes += block.header.bytes();
    return true;
  }

  const TreeWalk& walk_;
  ErrorLog& log_;
  const TreeTraits& traits_;
  TreeReport& report_;
  uint32_t depth_ = 0;  // of the path
  std::vector<std::unique_ptr<Level>> path_;
  LoadedBlock leaf_;
  TreeLeafShape leaf_shape_;
  LoadedBlock external_;
  Bounds child_bounds_;  // its strings are used again
};

void TreeWalker::Enter(Offset where, TreeSlot slot, uint32_t level,
                       const Bounds& bounds) {
  if (level == 0) {
    const std::optional<uint64_t> records = VisitLeaf(where, slot, bounds);
    FinishChild(records.has_value(), records.value_or(0));
  } else if (!EnterNode(where, slot, level, bounds)) {
    FinishChild(/*is_known=*/false, 0);
  }
}

void TreeWalker::FinishChild(bool is_known, uint64_t records) {
  if (depth_ == 0) return;
  Level& parent = *path_[depth_ - 1];
  const uint32_t child = parent.next++;
  parent.is_known &= is_known;
  parent.records += records;
  if (!is_known || parent.shape.level() == 1) return;
  const uint64_t counted = parent.shape.records(parent.block, child);
  const bool right =
      traits_.is_graveyard ? counted >= records : counted == records;
  if (right) return;
  log_.Add(parent.block.offset,
           absl::StrCat("tree node: records below child ", child),
           absl::StrCat(records), absl::StrCat(counted));
}

void TreeWalker::VisitChild(Level& parent) {
  const TreeNodeShape& shape = parent.shape;
  const uint32_t child = parent.next;
  Bounds& bounds = child_bounds_;
  bounds = parent.bounds;
  if (shape.has_separators() && child > 0) {
    bounds.low.assign(shape.prefix()).append(shape.separator(child - 1));
  }
  if (shape.has_separators() && child + 1 < shape.count()) {
    bounds.high.assign(shape.prefix()).append(shape.separator(child));
    bounds.has_high = true;
  }
  Enter(parent.block.offset, shape.slot(parent.block, child), shape.level() - 1,
        bounds);
}

bool TreeWalker::EnterNode(Offset where, TreeSlot slot, uint32_t level,
                           const Bounds& bounds) {
  if (path_.size() == depth_) path_.push_back(std::make_unique<Level>());
  Level& node = *path_[depth_];
  if (!Load(slot.offset(), BlockType::kTreeNode, level, sizeof(TreeNode),
            kTreeBlockBytesMax, node.block)) {
    return false;
  }
  ++report_.nodes;
  log_.Equal(where, "tree slot: records, though it leads to a node", 0,
             slot.leaf_records());
  if (!node.shape.Make(node.block, traits_.is_graveyard ? 1 : 2, log_)) {
    return false;
  }
  node.bounds = bounds;
  node.next = 0;
  node.records = 0;
  node.is_known = true;
  CheckNodeBounds(node);
  ++depth_;
  return true;
}

void TreeWalker::CheckNodeBounds(const Level& level) {
  const TreeNodeShape& shape = level.shape;
  if (!shape.has_separators() || shape.count() < 2) return;
  const std::string_view last = shape.separator(shape.count() - 2);
  const bool above =
      Compare(shape.prefix(), shape.separator(0), level.bounds.low) > 0 ||
      level.bounds.low.empty();
  const bool below = !level.bounds.has_high ||
                     Compare(shape.prefix(), last, level.bounds.high) < 0;
  if (above && below) return;
  log_.Add(level.block.offset, "tree node: separators of the node above",
           "the node's own between them",
           above ? "its last one not below" : "its first one not above");
}

std::optional<uint64_t> TreeWalker::VisitLeaf(Offset where, TreeSlot slot,
                                              const Bounds& bounds) {
  const Offset offset = slot.offset();
  if (!Load(offset, BlockType::kTreeLeaf, 0, sizeof(TreeLeaf),
            kTreeBlockBytesMax, leaf_)) {
    return std::nullopt;
  }
  ++report_.leaves;
  log_.Equal(where, "tree slot: records of the leaf", leaf_.header.count,
             slot.leaf_records());
  if (!leaf_shape_.Make(leaf_, log_)) return std::nullopt;
  report_.records += leaf_shape_.count();
  CheckLeafBounds(bounds);
  VisitValues();
  return leaf_shape_.count();
}

void TreeWalker::CheckLeafBounds(const Bounds& bounds) {
  const std::string_view prefix = leaf_shape_.prefix();
  // Those between the first and the last are, if they are in order.
  if (Compare(prefix, leaf_shape_.key(0), bounds.low) < 0) {
    log_.Add(leaf_.offset, "tree leaf: least key and the separator before it",
             "not below", "below");
  }
  if (bounds.has_high &&
      Compare(prefix, leaf_shape_.key(leaf_shape_.count() - 1), bounds.high) >=
          0) {
    log_.Add(leaf_.offset, "tree leaf: greatest key and the separator after it",
             "below", "not below");
  }
}

void TreeWalker::VisitValues() {
  for (uint32_t i = 0; i < leaf_shape_.count(); ++i) {
    const TreeLeafShape::Value value = leaf_shape_.value(i);
    if (!traits_.has_values && (value.external || !value.bytes.empty())) {
      log_.Add(leaf_.offset, absl::StrCat("tree leaf: value ", i, " of a set"),
               "0 bytes", absl::StrCat(value.bytes.size()));
    }
    if (!value.external) continue;
    if (value.bytes.size() != kTreeExternalBytes) {
      log_.Add(
          leaf_.offset, absl::StrCat("tree leaf: bytes of external value ", i),
          absl::StrCat(kTreeExternalBytes), absl::StrCat(value.bytes.size()));
      continue;
    }
    Offset offset;
    std::memcpy(&offset.units, value.bytes.data(), sizeof(offset.units));
    VisitExternal(offset, i);
  }
}

void TreeWalker::VisitExternal(Offset offset, uint32_t record) {
  if (!Load(offset, BlockType::kTreeValue, 0, sizeof(TreeValue),
            kTreeValueBlockBytesMax, external_)) {
    return;
  }
  ++report_.external_records;
  const auto value = external_.Read<TreeValue>(0);
  log_.Equal(offset, "tree value: count", 0, value.header.count);
  if (!log_.AtMost(offset, "tree value: bytes", kValueBytesMax,
                   value.value_bytes)) {
    return;
  }
  if (!log_.AtMost(offset, "tree value: key bytes", kKeyBytesMax,
                   value.key_bytes)) {
    return;
  }
  const uint64_t key_at = sizeof(TreeValue) + value.value_bytes;
  const uint64_t end = key_at + value.key_bytes;
  if (!log_.Equal(offset, "tree value: size in units", UnitsForBytes(end),
                  value.header.size_units)) {
    return;
  }
  if (end <= external_.bytes.size() && !external_.IsZeroFrom(end)) {
    log_.Add(offset, "tree value: padding", "zeroes", "other bytes");
  }
  CheckKeyOfValue(offset, key_at, value.key_bytes, record);
}

void TreeWalker::CheckKeyOfValue(Offset offset, uint64_t key_at,
                                 uint64_t key_bytes, uint32_t record) {
  if (key_at + key_bytes > external_.bytes.size()) return;
  std::string key(leaf_shape_.prefix());
  key.append(leaf_shape_.key(record));
  if (std::string_view(external_.bytes.data() + key_at, key_bytes) == key) {
    return;
  }
  log_.Add(offset, "tree value: key", "that of its record", "another");
}

}  // namespace

void WalkTree(const TreeWalk& walk, Offset where, TreeSlot root,
              const TreeTraits& traits, TreeReport& report) {
  TreeWalker(walk, traits, report).Walk(where, root);
}

}  // namespace eve::verify
