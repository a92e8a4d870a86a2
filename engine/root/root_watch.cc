#include "engine/root/root_watch.h"

#include <algorithm>

#include "util/failpoint.h"
#include "util/futex.h"

namespace eve {

uint64_t RootWatch::Arm() const {
  EVE_STEP("watch.before_arm");
  // seq_cst: in the one order of all such, before the caller's look at the
  // root. That holds for one who finds it odd, too (I20).
  uint64_t seen = word().load(std::memory_order_seq_cst);
  while ((seen & 1) == 0) {
    if (word().compare_exchange_weak(seen, seen | 1,
                                     std::memory_order_seq_cst)) {
      seen |= 1;
    }
  }
  EVE_STEP("watch.armed");
  return seen;
}

bool RootWatch::Sleep(uint64_t armed, uint64_t nanos) const {
  EVE_STEP("watch.sleep");
  return FutexWait(word(), armed, std::min(nanos, kLookNanos));
}

void RootWatch::WakeAll() const {
  EVE_STEP("watch.before_wake");
  // One step for everybody else: a sleeper whom nobody has woken would not be
  // met by the next commit, if that found the word even.
  if (!FutexBumpAndWakeAll(word())) {
    word().fetch_add(1, std::memory_order_seq_cst);
    FutexWakeAll(word());
  }
  EVE_STEP("watch.woken");
}

}  // namespace eve
