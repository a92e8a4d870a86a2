#include "engine/txn/catalog.h"

#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/collections/hamt_iterator.h"
#include "engine/collections/hamt_map.h"
#include "util/status_macros.h"

namespace eve {

std::string CatalogRecord::Encode() const {
  CatalogEntry fixed = entry;
  fixed.key_type_bytes = static_cast<uint16_t>(key_type.size());
  fixed.value_type_bytes = static_cast<uint16_t>(value_type.size());
  std::string bytes(sizeof(fixed), '\0');
  std::memcpy(bytes.data(), &fixed, sizeof(fixed));
  bytes += key_type;
  bytes += value_type;
  return bytes;
}

void SetRootAndCount(NodeSlot root, uint64_t count, char* encoded) {
  std::memcpy(encoded + offsetof(CatalogEntry, root), &root, sizeof(root));
  std::memcpy(encoded + offsetof(CatalogEntry, count), &count, sizeof(count));
}

bool DiffersInRootAndCountOnly(Bytes encoded, Bytes other) {
  static_assert(offsetof(CatalogEntry, count) ==
                offsetof(CatalogEntry, root) + sizeof(CatalogEntry::root));
  constexpr size_t kBefore = offsetof(CatalogEntry, root);
  constexpr size_t kAfter = sizeof(CatalogEntry);
  return encoded.size() == other.size() && encoded.size() >= kAfter &&
         std::memcmp(encoded.data(), other.data(), kBefore) == 0 &&
         std::memcmp(encoded.data() + kAfter, other.data() + kAfter,
                     encoded.size() - kAfter) == 0;
}

absl::StatusOr<CatalogRecord> DecodeCatalogRecord(Bytes name, Bytes value) {
  CatalogRecord record;
  record.name = name.ToString();
  if (value.size() >= sizeof(CatalogEntry)) {
    std::memcpy(static_cast<void*>(&record.entry), value.data(),
                sizeof(CatalogEntry));
    const size_t key_bytes = record.entry.key_type_bytes;
    const size_t value_bytes = record.entry.value_type_bytes;
    if (value.size() == sizeof(CatalogEntry) + key_bytes + value_bytes) {
      const char* types = value.data() + sizeof(CatalogEntry);
      record.key_type.assign(types, key_bytes);
      record.value_type.assign(types + key_bytes, value_bytes);
      return record;
    }
  }
  return absl::DataLossError(absl::StrCat(
      "catalog entry of ", value.size(), " bytes is malformed; run eve check"));
}

absl::StatusOr<std::optional<Bytes>> FindCatalogBytes(const BlockView& view,
                                                      const KeyHasher& hasher,
                                                      NodeSlot catalog_root,
                                                      Bytes name) {
  const FindResult found = HamtFind(view, hasher, catalog_root, name);
  switch (found.outcome) {
    case FindOutcome::kFound:
      return found.value;
    case FindOutcome::kAbsent:
      return std::nullopt;
    case FindOutcome::kDamaged:
      break;
  }
  return absl::DataLossError(absl::StrCat("catalog at offset ",
                                          catalog_root.offset().bytes(),
                                          " is damaged; run eve check"));
}

absl::StatusOr<std::vector<CatalogRecord>> ListCatalog(const BlockView& view,
                                                       NodeSlot catalog_root) {
  std::vector<CatalogRecord> records;
  HamtIterator it(view, catalog_root);
  for (; it.Valid(); it.Next()) {
    EVE_ASSIGN_OR_RETURN(CatalogRecord record,
                         DecodeCatalogRecord(it.key(), it.value()));
    records.push_back(std::move(record));
  }
  if (it.damaged()) {
    return absl::DataLossError("the catalog is damaged; run eve check");
  }
  return records;
}

absl::StatusOr<std::string> CollectionNames::NameOf(const BlockView& view,
                                                    const CommitRecord& root,
                                                    uint32_t id) {
  std::lock_guard lock(mutex_);
  if (version_ != root.catalog_version) {
    EVE_ASSIGN_OR_RETURN(const std::vector<CatalogRecord> records,
                         ListCatalog(view, root.catalog_root));
    names_.clear();
    for (const CatalogRecord& record : records) {
      if (!record.IsGraveyard()) names_[record.entry.id] = record.name;
    }
    version_ = root.catalog_version;
  }
  const auto found = names_.find(id);
  return found == names_.end() ? std::string() : found->second;
}

std::string GraveyardName(NodeSlot root) {
  std::string name("\0graveyard", 10);
  const uint64_t offset = root.offset().units;
  name.append(static_cast<const char*>(static_cast<const void*>(&offset)),
              sizeof(offset));
  return name;
}

}  // namespace eve
