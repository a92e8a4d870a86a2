// Figures about a domain, for people and programs.
//
// Threads:    value types.
// Processes:  counters are summed over all attached processes.
// Owns:       its strings.
// Lifetime:   none.
// Errors:     none.
// Cost:       Domain::Stats() walks the accounting: O(segments).
#ifndef EVE_STATS_H_
#define EVE_STATS_H_

#include <cstdint>
#include <string>

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
  uint64_t segments = 0;
  uint64_t segments_free = 0;
  uint64_t segments_claimed = 0;
  uint64_t segments_sealed = 0;

  uint64_t processes = 0;  // attached now
  uint64_t pins = 0;
  uint64_t oldest_pin = 0;  // a version; 0: none

  uint64_t commits = 0;
  uint64_t conflicts = 0;  // closures that ran again
  uint64_t restamps = 0;   // lost races repaired without that
  uint64_t folds = 0;
  uint64_t segments_freed = 0;
  uint64_t checkpoints = 0;
  uint64_t bytes_committed = 0;

  // How much of this process's two views is mapped with 2-MiB pages.
  uint64_t mapped_bytes = 0;
  uint64_t huge_mapped_bytes = 0;
  std::string io_engine;  // "plain": write-back by fdatasync
  // What was opened, if this process was the first: "durable version 7", and
  // why newer ones were not. Empty in processes that joined.
  std::string recovery;
  bool poisoned = false;  // a flush failed: nothing new becomes durable
};

}  // namespace eve

#endif  // EVE_STATS_H_
