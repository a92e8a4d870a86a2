// The catalog, the collections that it names, and the graveyards.
//
// Threads:    one at a time.
// Processes:  the root is pinned, or nobody writes.
// Owns:       nothing.
// Lifetime:   within one VerifyDomain().
// Errors:     into the log.
// Cost:       that of walking all tries.
#ifndef EVE_ENGINE_VERIFY_VERIFY_CATALOG_H_
#define EVE_ENGINE_VERIFY_VERIFY_CATALOG_H_

#include "engine/verify/verify_chain.h"
#include "engine/verify/verify_trie.h"

namespace eve::verify {

// Walks the catalog of `root` and everything that it names.
void WalkCollections(const TrieWalk& walk, const ReadRecord& root,
                     VerifyReport& report);

}  // namespace eve::verify

#endif  // EVE_ENGINE_VERIFY_VERIFY_CATALOG_H_
