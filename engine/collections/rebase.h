// Rebasing: what a transaction has changed is put on top of what another has
// changed meanwhile, without doing either again.
//
// Both began with the same root. Whatever slots only one of them has set are
// taken over as they are, with all that hangs below; only nodes that lie above
// changes of both are looked at. So it costs about the depth of the structure,
// however much either has changed: a put that has lost its race changes two or
// three nodes again, a batch that has lost to a put no more.
//
// It is a three-way merge of nodes, as version control does it with folders.
//
// Threads:    the one that owns the store.
// Processes:  both older roots are published and pinned; the third is this
//             transaction's alone.
// Owns:       nothing.
// Lifetime:   one transaction.
// Errors:     none: what cannot be rebased, damage among it, is left to a rerun
//             of the transaction.
// Cost:       for each node above changes of both: a pass over three nodes, one
//             copied, and its checksum.
#ifndef EVE_ENGINE_COLLECTIONS_REBASE_H_
#define EVE_ENGINE_COLLECTIONS_REBASE_H_

#include "engine/collections/node_store.h"
#include "engine/format/node_layout.h"

namespace eve {

// A store whose blocks are complete, with checksums, and can be changed again
// until they are published.
class AmendableStore : public NodeStore {
 public:
  // The bytes of a block that this transaction has placed; null for others.
  // Amended() must follow when they have been changed.
  virtual char* Amend(Offset offset) = 0;
  virtual void Amended(Offset offset) = 0;
  // Takes a Retire() of the same block back.
  virtual void Unretire(Offset offset, uint64_t bytes) = 0;
};

// Makes `ours`, this transaction's edit of `base`, its edit of `newest`, which
// is another's edit of `base`. False: both have changed the same leaf, one of
// the three is no inner node, or a node of a tree that both have changed has
// other separators now; `ours` is then of no use any more.
//
// REQUIRES: `ours` has its changes from puts, erasures and moves that depended
// on nothing but the records they name.
bool HamtRebase(AmendableStore& store, NodeSlot base, NodeSlot newest,
                NodeSlot ours);
bool TreeRebase(AmendableStore& store, NodeSlot base, NodeSlot newest,
                NodeSlot ours);

}  // namespace eve

#endif  // EVE_ENGINE_COLLECTIONS_REBASE_H_
