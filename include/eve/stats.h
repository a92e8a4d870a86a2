// Figures about a domain, for people and programs.
//
// Threads:    value types.
// Processes:  counters are summed over all processes since the first of those
//             that share the domain opened it, the dead ones too.
// Owns:       its strings.
// Lifetime:   none.
// Errors:     none.
// Cost:       Domain::Stats() and Readers() walk the accounting: O(segments +
//             commits since the last fold). They pin nothing when they return.
#ifndef EVE_STATS_H_
#define EVE_STATS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace eve {

struct CollectionInfo {
  std::string name;
  std::string kind;  // "map", "ordered_map", "sorted_set" or "multi_map"
  std::string key_type;
  std::string value_type;  // empty in sets
  uint64_t count = 0;
};

struct DomainStats {
  uint64_t version = 0;
  uint64_t durable_version = 0;
  uint64_t folded_version = 0;
  uint64_t incarnation = 0;
  uint64_t collections = 0;

  uint64_t file_bytes = 0;  // apparent size
  uint64_t disk_bytes = 0;  // blocks in use
  uint64_t live_bytes = 0;  // reachable from the newest version
  uint64_t fill_bytes = 0;  // written in segments that hold anything live
  uint64_t dead_bytes = 0;  // written, not live, in segments that are not free
  uint64_t free_bytes = 0;  // room in free segments, on the disk or not
  // Of dead_bytes, in segments without live bytes: what a reader keeps from
  // being reused, and what only the durable roots do, until the next
  // checkpoints. Dead bytes beside live ones are neither.
  uint64_t pinned_bytes = 0;
  uint64_t durable_held_bytes = 0;
  uint64_t segments = 0;
  uint64_t segments_free = 0;
  uint64_t segments_claimed = 0;
  uint64_t segments_sealed = 0;

  uint64_t processes = 0;  // attached now
  uint64_t pins = 0;
  uint64_t oldest_pin = 0;      // a version; 0: none
  uint64_t oldest_pin_lag = 0;  // how many versions it is behind
  // Another reader, without a process slot: it holds everything.
  bool has_unpinned_reader = false;

  uint64_t commits = 0;
  uint64_t attempts = 0;   // runs of closures that came to a race: won or lost
  uint64_t conflicts = 0;  // lost races after which it would run again
  uint64_t restamps = 0;   // lost races repaired without that
  uint64_t replays = 0;    // and by carrying puts over to what changed
  uint64_t turns = 0;      // writers that kept losing asked to be let through
  uint64_t waits = 0;      // transactions that waited for one of these
  uint64_t folds = 0;
  uint64_t segments_freed = 0;
  uint64_t checkpoints = 0;
  uint64_t bytes_committed = 0;
  uint64_t blocks_moved = 0;  // live ones, out of segments to be reused
  uint64_t bytes_moved = 0;
  uint64_t bytes_punched = 0;  // given back to the file system
  // bytes_committed by what of it was not moving; 1.0: nothing was moved.
  double write_amplification = 1.0;

  // How much of this process's two views is mapped with 2-MiB pages.
  uint64_t mapped_bytes = 0;
  uint64_t huge_mapped_bytes = 0;
  // Checkpoints and commits under way, in all processes; of the one that has
  // been at it for longest: how long, and what it set out to write.
  uint64_t flushes = 0;
  uint64_t flush_ns = 0;
  uint64_t flush_bytes = 0;
  // Of the file, what is in memory and not on the disk yet, if the kernel can
  // tell (cachestat(2), Linux 6.5).
  uint64_t dirty_bytes = 0;
  bool knows_dirty_bytes = false;
  // How the last checkpoint, of any process, was written: "io_uring", "plain"
  // calls, or "none" yet.
  std::string io_engine;
  // What was opened, if this process was the first: "durable version 7", and
  // why newer ones were not. Empty in processes that joined.
  std::string recovery;
  bool poisoned = false;  // a flush failed: nothing new becomes durable
};

// What a pinned version keeps from being reused: segments without live bytes
// that it can see.
struct PinInfo {
  uint32_t cell = 0;     // of its process
  uint64_t version = 0;  // of a range the lowest that it may become
  uint64_t lag = 0;      // versions behind the newest
  uint64_t held_bytes = 0;
  uint64_t alone_bytes = 0;  // of these, what nothing else holds
  // A reader that is about to pin. It cannot hold anything for long.
  bool is_range = false;
};

// An attached process, whether it reads or writes.
struct ReaderInfo {
  uint32_t slot = 0;
  uint32_t pid = 0;  // as it sees itself: another one in another container
  bool is_self = false;
  // Instead of a process: readers that may not write the lock file, or that
  // came before all writers and have not joined them yet. They have no slot and
  // no pins, and while one is attached nothing is reused.
  bool is_unpinned = false;
  uint64_t alone_bytes = 0;   // what only its pins hold
  uint64_t lag = 0;           // of its oldest pin
  std::vector<PinInfo> pins;  // the oldest first

  // Counters of its slot, with those of dead processes that had it before.
  uint64_t commits = 0;
  uint64_t conflicts = 0;
  uint64_t restamps = 0;
  uint64_t bytes_committed = 0;
  uint64_t bytes_moved = 0;
};

// A pin that keeps much from being reused; see DomainOptions.
struct SlowReader {
  uint32_t slot = 0;
  uint32_t pid = 0;
  bool is_self = false;
  PinInfo pin;
};

}  // namespace eve

#endif  // EVE_STATS_H_
