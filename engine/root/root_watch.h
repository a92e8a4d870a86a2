// RootWatch: waiting for the next commit of any process, without looking again
// and again.
//
// The watch word is odd while somebody waits. Who wants to wait makes it odd,
// then looks at the root, then sleeps for as long as the word is what it was.
// Who has published looks at the word, and if it is odd makes it even and wakes
// all sleepers, in one system call. So either the waiter sees the new root or
// the committer the odd word (I20).
//
// Threads:    any.
// Processes:  one word of the region. The death of one that waits leaves it
//             odd, which costs the next commit a system call; that of one that
//             has published leaves sleepers to the next commit, or to their
//             own look after kLookNanos.
// Owns:       nothing.
// Lifetime:   shorter than the region's.
// Errors:     none.
// Cost:       of a commit while nobody waits: one load.
#ifndef EVE_ENGINE_ROOT_ROOT_WATCH_H_
#define EVE_ENGINE_ROOT_ROOT_WATCH_H_

#include <atomic>
#include <cstdint>

#include "engine/file/shared_region.h"
#include "util/clock.h"

namespace eve {

class RootWatch {
 public:
  // A sleeper that nobody wakes looks by itself: who has published may be dead
  // or stopped before it has woken anybody, and nobody else commit.
  static constexpr uint64_t kLookNanos = kNanosPerSecond;

  explicit RootWatch(const SharedRegion* region) : region_(region) {}

  // To be called after a commit.
  void Announce() const {
    // seq_cst: in the one order of all such, behind the swap of the root.
    if ((word().load(std::memory_order_seq_cst) & 1) != 0) WakeAll();
  }

  // To be called before one looks whether there is something to wait for.
  // Returns what to sleep on. REQUIRES: the region may be written.
  uint64_t Arm() const;
  // Returns when there has been a commit since Arm(), after `nanos` or
  // kLookNanos, or for no reason. False: the time is over.
  bool Sleep(uint64_t armed, uint64_t nanos) const;
  // Whoever sleeps looks.
  void WakeAll() const;

 private:
  SharedWord& word() const { return region_->words().watch; }

  const SharedRegion* region_;
};

}  // namespace eve

#endif  // EVE_ENGINE_ROOT_ROOT_WATCH_H_
