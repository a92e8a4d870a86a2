// Core: what a transaction needs of an attached domain, in one place.
//
// Threads:    the parts are thread-safe as their headers say.
// Processes:  the region is shared; the rest is this process's.
// Owns:       the parts, wired together by the domain layer.
// Lifetime:   outlives every snapshot and transaction of the domain.
// Errors:     none.
// Cost:       none.
#ifndef EVE_ENGINE_TXN_CORE_H_
#define EVE_ENGINE_TXN_CORE_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "engine/alloc/segment_source.h"
#include "engine/alloc/segment_table.h"
#include "engine/collections/hash.h"
#include "engine/epoch/process_slots.h"
#include "engine/epoch/reader_cells.h"
#include "engine/epoch/writers_turn.h"
#include "engine/file/block_view.h"
#include "engine/file/file.h"
#include "engine/file/mapping.h"
#include "engine/file/shared_region.h"
#include "engine/format/superblock.h"
#include "engine/root/frozen_root.h"
#include "engine/root/root_slot.h"

namespace eve {

struct Core {
  std::string path;
  File file;
  File device;  // the same for direct reads, where there are such; of writers
  Superblock superblock;
  uint64_t salt = 0;
  KeyHasher hasher;
  bool read_only = false;
  bool verify_reads = false;

  Mapping read_mapping;
  Mapping write_mapping;
  Mapping staging_mapping;  // see Attempt::Staging; may be missing
  BlockView view;           // all that is mapped; see FileView()
  SharedRegion region;
  ForkGuard fork_guard;

  std::unique_ptr<RootSlot> root;
  std::unique_ptr<ProcessSlots> slots;
  std::unique_ptr<ReaderCells> cells;     // null: unpinned reader (P25)
  std::unique_ptr<WritersTurn> turn;      // null in read-only domains
  std::unique_ptr<SegmentTable> table;    // null in read-only domains
  std::unique_ptr<SegmentSource> source;  // null in read-only domains
  uint64_t incarnation = 0;
  std::string recovery_note;  // what this process chose as the first opener
  FrozenRoot frozen;

  // Whether it is read-only, and nobody has been seen who has it open. The
  // region and what belongs to it are somebody's to change while it is.
  bool is_frozen() const { return frozen.is_current(); }

  // Segments that may be read without leaving the file. A record's own count
  // may be higher if the file was cut since. None in a forked child, which has
  // no region, and whose pins protect nothing.
  uint64_t FileSegments() const {
    if (fork_guard.IsForkedChild()) return 0;
    return is_frozen() ? frozen.segments() : region.capacity();
  }

  // What may be looked at: all that the file has room for. Whoever follows an
  // offset from the file goes by it, because behind the end of the file is what
  // ends the process (SIGBUS), and a damaged offset may lead there. To be asked
  // for after the root was pinned: others let the file grow before they publish
  // what is there.
  BlockView FileView() const {
    return BlockView{
        view.base, std::min(view.limit_units, FileSegments() * kSegmentUnits)};
  }

  // For who would wait for writers. REQUIRES: it is frozen.
  absl::Status NobodyWrites() const {
    const std::string why_not = frozen.lookout->why_not();
    return absl::FailedPreconditionError(
        path + ": opened read-only, and nobody writes" +
        (why_not.empty() ? "" : ", as far as can be seen: " + why_not));
  }

  absl::Status CheckUsable() const {
    if (fork_guard.IsForkedChild()) {
      return absl::FailedPreconditionError(
          path + ": opened before fork(); open it again in the child");
    }
    return absl::OkStatus();
  }
};

}  // namespace eve

#endif  // EVE_ENGINE_TXN_CORE_H_
