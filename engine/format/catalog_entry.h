// CatalogEntry: what the catalog, a trie of names, stores for a collection.
//
// Threads:    immutable once published.
// Processes:  as above.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     none.
// Cost:       none.
#ifndef EVE_ENGINE_FORMAT_CATALOG_ENTRY_H_
#define EVE_ENGINE_FORMAT_CATALOG_ENTRY_H_

#include <cstdint>

#include "engine/format/layout.h"
#include "engine/format/node_layout.h"

namespace eve {

// PERSISTED. Followed by the names of the key type and of the value type.
// Collections that were dropped or cleared stay as graveyard entries, whose
// names begin with a zero byte, until all their blocks are retired.
struct CatalogEntry {
  uint32_t id;                //  0..3
  uint8_t kind;               //  4      CollectionKind
  uint8_t reserved;           //  5      zero
  uint16_t key_type_bytes;    //  6..7
  uint16_t value_type_bytes;  //  8..9
  uint16_t reserved2;         // 10..11  zero
  uint32_t reserved3;         // 12..15  zero
  NodeSlot root;              // 16..23
  uint64_t count;             // 24..31  records
};
EVE_LAYOUT(CatalogEntry, /*size=*/32, /*align=*/8);

}  // namespace eve

#endif  // EVE_ENGINE_FORMAT_CATALOG_ENTRY_H_
