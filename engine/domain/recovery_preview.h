// RecoveryPreview: what the next process to open a domain would find in it.
//
// Threads:    a function; any thread.
// Processes:  never writes, neither to the domain nor to its lock file, and
//             takes no lock that another process would wait for. While others
//             have the domain open the figures are of a moment. The page cache
//             stays as it is, but where it is compared with the device the
//             kernel writes back first what waits for that.
// Owns:       nothing.
// Lifetime:   none.
// Errors:     as Domain::Open() before it comes to recovery. What recovery
//             itself would say is in the preview.
// Cost:       that of a recovery, without the whole check that this may want;
//             without a lock file of this boot also a read of what is cached.
#ifndef EVE_ENGINE_DOMAIN_RECOVERY_PREVIEW_H_
#define EVE_ENGINE_DOMAIN_RECOVERY_PREVIEW_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace eve {

struct RecoveryPreview {
  struct Slot {
    uint32_t index = 0;
    uint64_t incarnation = 0;
    uint64_t version = 0;
    uint32_t extents = 0;    // listed, and flushed with it
    absl::Status judgement;  // OK: it leads to an intact root
  };
  // The lock file, with respect to adopting what it names.
  enum class Region : uint8_t {
    kNone,  // there is none, or it is of another build, file or boot
    // A flush failed: only acknowledged slots count. An opener drops the cache
    // first, and is refused where somebody's mapping keeps the rest of it.
    kPoisoned,
    kIntact,   // its root is that of the chosen slot, or newer and taken
    kRefused,  // of this file and boot, but its root is not to be trusted
  };

  bool attached = false;    // an opener joins the others and recovers nothing
  std::vector<Slot> slots;  // whole ones, newest first
  std::vector<uint32_t> damaged_slots;  // of no version that one could tell
  Region region = Region::kNone;
  // The page cache has what the disk has not, and no lock file of this file and
  // boot says why: what the slots and blocks are on disk is not known here, for
  // only to drop the cache would show it. Nothing is chosen then.
  bool is_cache_stale = false;
  std::string refusal;  // of a newer root that the lock file names; empty: none
  std::optional<uint64_t> chosen_version;  // nothing: it would not open
  std::optional<uint32_t> chosen_slot;     // nothing: the lock file's root
  // Why everything is read before it is taken; empty: it is not.
  std::string why_whole_check;
  std::string error;  // why it would not open
};

absl::StatusOr<RecoveryPreview> PreviewRecovery(const std::string& path);

}  // namespace eve

#endif  // EVE_ENGINE_DOMAIN_RECOVERY_PREVIEW_H_
