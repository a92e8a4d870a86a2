#include "engine/verify/verify_catalog.h"

#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/format/catalog_entry.h"
#include "engine/verify/verify_tree.h"

namespace eve::verify {
namespace {

struct NamedTree {
  Offset where;  // the block that holds the entry
  CatalogEntry entry;
  TreeReport report;
};

bool IsGraveyard(const CatalogEntry& entry) {
  return entry.kind == static_cast<uint8_t>(CollectionKind::kGraveyard);
}

// Null for a kind that is none.
const char* KindName(uint8_t kind) {
  switch (static_cast<CollectionKind>(kind)) {
    case CollectionKind::kMap:
      return "map";
    case CollectionKind::kOrderedMap:
      return "ordered map";
    case CollectionKind::kSortedSet:
      return "sorted set";
    case CollectionKind::kMultiMap:
      return "multimap";
    case CollectionKind::kGraveyard:
      return "graveyard";
    case CollectionKind::kInvalid:
      break;
  }
  return nullptr;
}

// Whether `entry` is one of a tree. The type of the root's block says so of a
// graveyard. False if that cannot be read.
bool IsTree(const TrieWalk& walk, const CatalogEntry& entry, bool* is_tree) {
  if (!IsGraveyard(entry)) {
    *is_tree = KindName(entry.kind) != nullptr &&
               entry.kind != static_cast<uint8_t>(CollectionKind::kMap);
    return true;
  }
  LoadedBlock block;
  const Offset root = entry.root.offset();
  if (entry.root.is_empty() || !walk.reader->ReadHeader(root, block)) {
    return false;
  }
  const auto type = static_cast<BlockType>(block.header.type);
  *is_tree = type == BlockType::kTreeLeaf || type == BlockType::kTreeNode;
  return true;
}

void WalkCollection(const TrieWalk& walk, NamedTree& tree) {
  const CatalogEntry& entry = tree.entry;
  bool is_tree;
  if (!IsTree(walk, entry, &is_tree)) return;
  if (!is_tree) {
    WalkTrie(walk, entry.root, entry.id, tree.report,
             [](Offset, std::string_view, std::string_view) {});
    return;
  }
  const auto kind = static_cast<CollectionKind>(entry.kind);
  const TreeTraits traits{.id = entry.id,
                          .is_graveyard = IsGraveyard(entry),
                          .has_values = kind != CollectionKind::kSortedSet &&
                                        kind != CollectionKind::kMultiMap};
  WalkTree(TreeWalk{walk.reader, walk.reach, walk.log}, tree.where,
           TreeSlot{entry.root.word}, traits, tree.report);
}

class CatalogReader {
 public:
  CatalogReader(const CommitRecord& root, ErrorLog& log)
      : root_(root), log_(log) {}

  void Add(Offset where, std::string_view name, std::string_view value) {
    NamedTree tree{.where = where};
    if (value.size() < sizeof(CatalogEntry)) {
      log_.Add(where, "catalog entry: size",
               absl::StrCat("at least ", sizeof(CatalogEntry)),
               absl::StrCat(value.size()));
      return;
    }
    std::memcpy(&tree.entry, value.data(), sizeof(CatalogEntry));
    const CatalogEntry& entry = tree.entry;
    if (!log_.Equal(where, "catalog entry: size",
                    sizeof(CatalogEntry) + entry.key_type_bytes +
                        entry.value_type_bytes,
                    value.size())) {
      return;
    }
    value.remove_prefix(sizeof(CatalogEntry));
    tree.report.name = std::string(name);
    tree.report.id = entry.id;
    tree.report.key_type = value.substr(0, entry.key_type_bytes);
    tree.report.value_type = value.substr(entry.key_type_bytes);
    const char* kind = KindName(entry.kind);
    tree.report.kind = kind == nullptr ? "unknown" : kind;
    CheckName(where, name, entry);
    CheckEntry(where, entry);
    trees_.push_back(std::move(tree));
  }

  std::vector<NamedTree>& trees() { return trees_; }

 private:
  void CheckName(Offset where, std::string_view name,
                 const CatalogEntry& entry) {
    const bool has_zero = name.find('\0') != std::string_view::npos;
    const bool starts_with_zero = !name.empty() && name[0] == '\0';
    if (IsGraveyard(entry) ? !starts_with_zero : name.empty() || has_zero) {
      log_.Add(
          where, "catalog entry: name",
          IsGraveyard(entry) ? "a zero byte first" : "not empty, no zero byte",
          absl::StrCat(name.size(), " bytes"));
    }
    if (!IsGraveyard(entry)) {
      log_.AtMost(where, "catalog entry: bytes of its name", kNameBytesMax,
                  name.size());
    }
  }

  void CheckEntry(Offset where, const CatalogEntry& entry) {
    if (KindName(entry.kind) == nullptr) {
      log_.Add(where, "catalog entry: kind", "1 to 4, or 255 (graveyard)",
               absl::StrCat(entry.kind));
    }
    log_.Equal(where, "catalog entry: reserved", 0,
               uint64_t{entry.reserved} | entry.reserved2 | entry.reserved3);
    if (entry.id < kFirstCollectionId || entry.id >= root_.next_collection) {
      log_.Add(
          where, "catalog entry: id",
          absl::StrCat(kFirstCollectionId, " to ", root_.next_collection - 1),
          absl::StrCat(entry.id));
    }
    log_.AtMost(where, "catalog entry: bytes of the key type",
                kTypeNameBytesMax, entry.key_type_bytes);
    log_.AtMost(where, "catalog entry: bytes of the value type",
                kTypeNameBytesMax, entry.value_type_bytes);
    // A cleared collection keeps its id, and so do its graveyards.
    if (IsGraveyard(entry)) return;
    if (!ids_.emplace(entry.id, where).second) {
      log_.Add(where, "catalog entry: id", "unique",
               absl::StrCat(entry.id, " is also at offset ",
                            ids_[entry.id].bytes()));
    }
  }

  const CommitRecord& root_;
  ErrorLog& log_;
  std::vector<NamedTree> trees_;
  absl::flat_hash_map<uint32_t, Offset> ids_;
};

}  // namespace

void WalkCollections(const TrieWalk& walk, const ReadRecord& root,
                     VerifyReport& report) {
  ErrorLog& log = *walk.log;
  CatalogReader catalog(root.fields, log);
  TreeReport names{.kind = "catalog", .id = kCatalogId};
  WalkTrie(walk, root.fields.catalog_root, kCatalogId, names,
           [&](Offset where, std::string_view name, std::string_view value) {
             catalog.Add(where, name, value);
           });
  report.trees.push_back(std::move(names));
  uint64_t collections = 0;
  for (NamedTree& tree : catalog.trees()) {
    WalkCollection(walk, tree);
    // The count of a graveyard is what it was when it was buried.
    if (!IsGraveyard(tree.entry)) {
      ++collections;
      report.records += tree.report.records;
      log.Equal(tree.where,
                absl::StrCat("collection ", tree.entry.id, ": records").c_str(),
                tree.entry.count, tree.report.records);
    }
    report.trees.push_back(std::move(tree.report));
  }
  log.Equal(root.offset, "commit record: collections", collections,
            root.fields.collection_count);
}

}  // namespace eve::verify
