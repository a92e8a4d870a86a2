#include "engine/txn/structure.h"

#include "absl/strings/str_cat.h"
#include "engine/collections/btree.h"

namespace eve {
namespace {

struct NamedKind {
  CollectionKind kind;
  std::string_view name;
};

constexpr NamedKind kKinds[] = {
    {CollectionKind::kMap, "map"},
    {CollectionKind::kOrderedMap, "ordered_map"},
    {CollectionKind::kSortedSet, "sorted_set"},
    {CollectionKind::kMultiMap, "multi_map"},
};

}  // namespace

std::string_view KindName(uint8_t kind) {
  for (const NamedKind& known : kKinds) {
    if (static_cast<uint8_t>(known.kind) == kind) return known.name;
  }
  return kind == static_cast<uint8_t>(CollectionKind::kGraveyard) ? "graveyard"
                                                                  : "unknown";
}

CollectionKind KindOfName(std::string_view name) {
  for (const NamedKind& known : kKinds) {
    if (known.name == name) return known.kind;
  }
  return CollectionKind::kInvalid;
}

FindResult FindIn(Structure structure, const BlockView& view,
                  const KeyHasher& hasher, NodeSlot root, Bytes key) {
  if (structure == Structure::kTree) return TreeFind(view, root, key);
  return HamtFind(view, hasher, root, key);
}

void MultiFindIn(Structure structure, const BlockView& view,
                 const KeyHasher& hasher, NodeSlot root,
                 absl::Span<const Bytes> keys, absl::Span<FindResult> out) {
  if (structure == Structure::kTree) {
    TreeMultiFind(view, root, keys, out);
  } else {
    HamtMultiFind(view, hasher, root, keys, out);
  }
}

absl::Status ApplyTo(Structure structure, const EditContext& context,
                     absl::Span<MapOp> ops, MapRoot& root) {
  if (structure == Structure::kTree) return TreeApply(context, ops, root);
  return HamtApply(context, ops, root);
}

absl::Status MoveIn(Structure structure, const EditContext& context,
                    absl::Span<const MoveTarget> targets, NodeSlot& root,
                    MoveResult* moved) {
  if (structure == Structure::kTree) {
    return TreeMove(context, targets, root, moved);
  }
  return HamtMove(context, targets, root, moved);
}

bool RebaseIn(Structure structure, AmendableStore& store, NodeSlot base,
              NodeSlot newest, NodeSlot ours) {
  if (structure == Structure::kTree) {
    return TreeRebase(store, base, newest, ours);
  }
  return HamtRebase(store, base, newest, ours);
}

absl::Status RetireSomeOf(const EditContext& context, uint64_t budget,
                          NodeSlot& root, bool* done) {
  const BlockView& view = context.store->view();
  const Offset offset = root.offset();
  const bool is_inside = view.Contains(offset);
  const uint8_t type = is_inside ? view.As<BlockHeader>(offset)->type : 0;
  switch (static_cast<BlockType>(type)) {
    case BlockType::kTrieNode:
    case BlockType::kTrieLeaf:
    case BlockType::kCollisionLeaf:
      return HamtRetireSome(context, budget, root, done);
    case BlockType::kTreeNode:
    case BlockType::kTreeLeaf:
      return TreeRetireSome(context, budget, root, done);
    default:
      return absl::DataLossError(
          absl::StrCat("root of a dropped collection at offset ",
                       offset.bytes(), ": expected a block of type 1, 2, 3, ",
                       "9 or 10, found ", type, "; run eve check"));
  }
}

}  // namespace eve
