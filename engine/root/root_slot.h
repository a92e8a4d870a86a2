// RootSlot: the one word that says what the newest commit is.
//
// Threads:    any.
// Processes:  any; a commit is one compare-and-swap here, and wakes who waits
//             for it (RootWatch).
// Owns:       all accesses to the root word, after the first opener's.
// Lifetime:   shorter than the region's.
// Errors:     none.
// Cost:       one load; or one compare-and-swap and, if it wins, one load of a
//             line that nobody writes while nobody waits.
#ifndef EVE_ENGINE_ROOT_ROOT_SLOT_H_
#define EVE_ENGINE_ROOT_ROOT_SLOT_H_

#include <atomic>

#include "engine/file/shared_region.h"
#include "engine/format/offset.h"
#include "engine/root/root_watch.h"

namespace eve {

class RootSlot {
 public:
  explicit RootSlot(const SharedRegion* region) : region_(region) {}

  // acquire: everything that the commit wrote is visible; pairs with Publish.
  // seq_cst, so that it stays behind the range pin in BeginPin (I3).
  Offset Load() const {
    return Offset{region_->words().root.load(std::memory_order_seq_cst)};
  }

  // Publishes `next` if the newest commit still is `expected`. The caller has
  // pinned `expected`, so its offset cannot have been reused meanwhile (I2).
  // release: pairs with Load.
  bool TryPublish(Offset expected, Offset next) {
    uint64_t seen = expected.units;
    if (!region_->words().root.compare_exchange_strong(
            seen, next.units, std::memory_order_seq_cst)) {
      return false;
    }
    RootWatch(region_).Announce();
    return true;
  }

  // The first opener's, before the region is ready.
  void Reset(Offset record) {
    region_->words().root.store(record.units, std::memory_order_seq_cst);
  }

 private:
  const SharedRegion* region_;
};

}  // namespace eve

#endif  // EVE_ENGINE_ROOT_ROOT_SLOT_H_
