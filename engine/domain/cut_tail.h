// Cutting the end of the file off, where nothing is that anybody can need.
//
// Only a process that is attached alone cuts: one that is stopped before the
// system call could otherwise cut what others have grown meanwhile (P26). It
// holds the init byte from finding itself alone until the call has returned,
// and the readers' byte as well, so nobody maps or reads the end. In order:
//   1 free what the reuse rule frees;
//   2 take both bytes, find nobody else attached;
//   3 claim the free segments at the end;
//   4 move the two newest roots to slots that say the smaller size, flush;
//   5 lower the capacity;
//   6 cut the file;
//   7 release the claims.
// A death at any step leaves a file that opens with everything: nobody is
// attached then, and the next opener rebuilds the region from the file's size.
//
// Threads:    one. REQUIRES: no other thread of this process uses the domain.
// Processes:  returns 0 when another one is attached or attaching.
// Owns:       both bytes during the call.
// Lifetime:   none.
// Errors:     the system calls'. The file is whole whatever fails.
// Cost:       when it cuts: three flushes at most, and a pass of the collector.
#ifndef EVE_ENGINE_DOMAIN_CUT_TAIL_H_
#define EVE_ENGINE_DOMAIN_CUT_TAIL_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "engine/checkpoint/checkpointer.h"
#include "engine/reclaim/collector.h"
#include "engine/txn/core.h"

namespace eve {

enum class CutHow {
  kIfWorthwhile,  // an eighth of the file, or eight segments
  kAll,
};

// Returns how many bytes the file is shorter.
absl::StatusOr<uint64_t> CutTail(Core& core, Checkpointer& checkpointer,
                                 Collector& collector, CutHow how);

}  // namespace eve

#endif  // EVE_ENGINE_DOMAIN_CUT_TAIL_H_
