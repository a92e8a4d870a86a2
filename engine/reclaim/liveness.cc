#include "engine/reclaim/liveness.h"

#include <optional>
#include <string>

#include "engine/format/block.h"
#include "engine/txn/structure.h"
#include "util/status_macros.h"

namespace eve {
namespace {

bool IsTreeBlock(uint8_t type) {
  return type == static_cast<uint8_t>(BlockType::kTreeLeaf) ||
         type == static_cast<uint8_t>(BlockType::kTreeNode) ||
         type == static_cast<uint8_t>(BlockType::kTreeValue);
}

}  // namespace

bool FindTarget(const Core& core, Offset offset, MoveTarget* target) {
  const BlockView view = core.FileView();
  return IsTreeBlock(view.As<BlockHeader>(offset)->type)
             ? MakeTreeTarget(view, offset, target)
             : MakeHamtTarget(view, core.hasher, offset, target);
}

absl::Status KeepLive(const Core& core, CollectionNames& names,
                      const CommitRecord& root, uint32_t id,
                      std::vector<MoveTarget>& targets) {
  const BlockView view = core.FileView();
  if (id == kCatalogId) {
    KeepLiveInHamt(view, root.catalog_root, targets);
    return absl::OkStatus();
  }
  EVE_ASSIGN_OR_RETURN(const std::string name, names.NameOf(view, root, id));
  // A graveyard's blocks have no name: they are retired where they lie.
  std::optional<Bytes> bytes;
  if (!name.empty()) {
    EVE_ASSIGN_OR_RETURN(
        bytes, FindCatalogBytes(view, core.hasher, root.catalog_root, name));
  }
  if (!bytes.has_value()) {
    targets.clear();
    return absl::OkStatus();
  }
  EVE_ASSIGN_OR_RETURN(const CatalogRecord record,
                       DecodeCatalogRecord(name, *bytes));
  if (StructureOf(record.entry.kind) == Structure::kTree) {
    KeepLiveInTree(view, record.entry.root, targets);
  } else {
    KeepLiveInHamt(view, record.entry.root, targets);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> IsLive(const Core& core, CollectionNames& names,
                            const CommitRecord& root, Offset offset) {
  std::vector<MoveTarget> targets(1);
  if (!FindTarget(core, offset, &targets.front())) return false;
  const uint32_t id = core.FileView().As<BlockHeader>(offset)->collection;
  EVE_RETURN_IF_ERROR(KeepLive(core, names, root, id, targets));
  return !targets.empty();
}

}  // namespace eve
