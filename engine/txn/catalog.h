// Catalog: the trie of collection names that every commit record points at.
//
// Threads:    pure functions on immutable blocks, or edits of one attempt.
// Processes:  as above.
// Owns:       nothing.
// Lifetime:   spans returned are valid while the snapshot is.
// Errors:     kDataLoss for entries that cannot be read.
// Cost:       one trie look-up.
#ifndef EVE_ENGINE_TXN_CATALOG_H_
#define EVE_ENGINE_TXN_CATALOG_H_

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "engine/collections/hash.h"
#include "engine/file/block_view.h"
#include "engine/format/catalog_entry.h"
#include "engine/format/commit_record.h"
#include "eve/bytes.h"

namespace eve {

// A catalog entry, taken out of the trie.
struct CatalogRecord {
  std::string name;
  CatalogEntry entry{};
  std::string key_type;
  std::string value_type;

  std::string Encode() const;
  bool IsGraveyard() const {
    return entry.kind == static_cast<uint8_t>(CollectionKind::kGraveyard);
  }
};

absl::StatusOr<CatalogRecord> DecodeCatalogRecord(Bytes name, Bytes value);
// Whether what differs in two encoded records, if anything, is root and count.
bool DiffersInRootAndCountOnly(Bytes encoded, Bytes other);
// Changes an encoded record in place. REQUIRES: `encoded` has been decoded.
void SetRootAndCount(NodeSlot root, uint64_t count, char* encoded);

// The stored bytes of a name's entry; nothing if there is none.
absl::StatusOr<std::optional<Bytes>> FindCatalogBytes(const BlockView& view,
                                                      const KeyHasher& hasher,
                                                      NodeSlot catalog_root,
                                                      Bytes name);

// All entries, graveyards included.
absl::StatusOr<std::vector<CatalogRecord>> ListCatalog(const BlockView& view,
                                                       NodeSlot catalog_root);

// Names of collections by their id, listed anew only when some were created or
// dropped. Threads: any.
class CollectionNames {
 public:
  // Empty: no such collection at `root`, or a graveyard.
  absl::StatusOr<std::string> NameOf(const BlockView& view,
                                     const CommitRecord& root, uint32_t id);

 private:
  std::mutex mutex_;
  std::optional<uint64_t> version_;  // catalog_version of names_
  absl::flat_hash_map<uint32_t, std::string> names_;
};

// The name under which a root waits for its blocks to be retired. Unique while
// the root's blocks are live.
std::string GraveyardName(NodeSlot root);

}  // namespace eve

#endif  // EVE_ENGINE_TXN_CATALOG_H_
