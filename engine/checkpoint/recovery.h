// Recovery: what the first opener does before anybody may write.
//
// It chooses the newest root that can be trusted: the live one that the last
// region held, if that region belongs to this file and boot and every segment
// that changed since the durable root verifies by its sum (P23); else the
// newest durable one whose record and accounting verify (P22, P24). Nothing
// that a valid slot may need is written to on the way, so a crash in recovery
// leaves what was there before; the region becomes joinable as the last step.
//
// Threads:    one, under the exclusive init byte.
// Processes:  one.
// Owns:       nothing after it returns.
// Lifetime:   none.
// Errors:     kDataLoss: no slot's root verifies, or the file was truncated;
//             the message names offsets. kResourceExhausted.
// Cost:       reads 16 slots, the accounting and the newest records; with a
//             live root also the bytes written since the last checkpoint; of a
//             file that is not known everything.
#ifndef EVE_ENGINE_CHECKPOINT_RECOVERY_H_
#define EVE_ENGINE_CHECKPOINT_RECOVERY_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/file/block_view.h"
#include "engine/file/file.h"
#include "engine/file/shared_region.h"
#include "engine/format/accounting_row.h"
#include "engine/format/commit_slot.h"
#include "engine/format/superblock.h"

namespace eve {

struct RecoveryContext {
  const File* file = nullptr;
  const Superblock* superblock = nullptr;
  uint64_t salt = 0;
  BlockView view;  // limited to the file's size
  uint64_t file_bytes = 0;
  // Reads everything that a root reaches; called before recovery settles for a
  // root that is not the newest slot's, or is of a file that is not known. May
  // be empty.
  std::function<absl::Status(Offset record)> verify_fallback;
  // See WhyUnknown(). Empty: it is known.
  std::string why_unknown;
  // Takes the file out of this process's page tables, so that the page cache
  // can drop it. May be empty.
  std::function<void()> drop_pages;
  // Makes the file's name durable: who gave it that may have died or failed
  // before he did so. May be empty.
  std::function<absl::Status()> sync_name;
};

// A root that may be opened.
struct RootCandidate {
  Offset record;
  uint64_t version = 0;
  std::vector<AccountingRow> rows;   // exact
  bool is_live = false;              // from the region, not from a slot
  uint32_t slot = kCommitSlotCount;  // that names it, if one does
  std::string note;                  // why newer slots were rejected
  // Why all that it reaches is to be read first: it is older than what the
  // reuse rule kept, as far as one can tell (P24), or of a file that is not
  // known. Empty: it need not be.
  std::string why_verify;
};

// The valid slots, newest (incarnation, version) first; of one version, those
// without a list of extents first. `damaged`, if given, gets the numbers of
// those that fail their checksum and were written once: nobody can tell which
// version they had.
absl::StatusOr<std::vector<CommitSlot>> ReadCommitSlots(
    const File& file, const Superblock& superblock,
    std::vector<uint32_t>* damaged = nullptr);

// The root that the slot names, if its record, chain and accounting verify, all
// that the slot lists is there, and its segments lie inside the file.
absl::StatusOr<RootCandidate> JudgeSlot(const RecoveryContext& context,
                                        const CommitSlot& slot);

// The newest slot whose list, record, chain and accounting verify and whose
// segments lie inside the file. kDataLoss if there is none, or if the file has
// become shorter than a slot says that was flushed with its size: one without a
// list, or of a version up to `promised`, which a region of this boot knows to
// be durable. The `damaged` slots may have been newer than any (P24).
absl::StatusOr<RootCandidate> ChooseDurableRoot(
    const RecoveryContext& context, const std::vector<CommitSlot>& slots,
    const std::vector<uint32_t>& damaged, uint64_t promised);

// If it says why, reads all that it reaches, and adds that to the note.
// Segments that only a rejected root protected may have been reused since: what
// is older than the two newest slots is read whole (P24). So is what may be a
// copy: the version before may be any, an empty one even.
absl::Status ReadIfDoubtful(const RecoveryContext& context,
                            const RootCandidate& chosen, std::string* note);

// The newest version that this region knows to be durable, if it is that of the
// newest slot; else 0. REQUIRES: the region is of this file and boot.
uint64_t PromisedVersion(const SharedRegion& region,
                         const std::vector<CommitSlot>& slots);

// The region's root, if it may be adopted on top of `durable`. `slots`: all
// valid ones. If it may not, and is newer than that or
// cannot be read, `refusal` says which it is and why. kUnavailable: the device
// cannot read it now. REQUIRES: the region is of this file and boot.
absl::StatusOr<std::optional<RootCandidate>> TryAdoptLiveRoot(
    const RecoveryContext& context, const SharedRegion& region,
    const std::vector<CommitSlot>& slots, const RootCandidate& durable,
    std::string* refusal);

// After a failed flush, or a death before one, the cache may show slots, and
// what they list, that are not on disk: leaves those that were acknowledged.
// REQUIRES: the region is of this file and boot.
void DropUnacknowledged(const SharedRegion& region,
                        std::vector<CommitSlot>& slots);

// After a death with a flush announced: whether that flush had failed, so that
// the cache shows what the device has not. Compares what the region's root and
// its slots say beyond what was acknowledged. REQUIRES: the region is of this
// file and boot.
absl::StatusOr<bool> DiedInFailedFlush(const RecoveryContext& context,
                                       const SharedRegion& region,
                                       const std::vector<CommitSlot>& slots);

// Whether the region was written for this file, in this boot. Where that cannot
// be told now, nothing must be concluded: it may have the newest commits.
absl::StatusOr<bool> RegionBelongs(const SharedRegion& region,
                                   const RecoveryContext& context);
// If it does but for its layout, which is another build's: what to say of the
// live root that nobody looks for in it. Else empty.
absl::StatusOr<std::string> WhyOtherBuild(const SharedRegion& region,
                                          const RecoveryContext& context);

// Empty if the lock file says, whichever boot it is of, that this file was
// opened under its name, and last so: it names its inode, its domain and the
// incarnation of its newest slot, or the one before (an opener died). Else it
// may be a copy that was taken while others wrote, of which blocks may be
// younger than the slots; then it says what is not so. `region`: null if there
// is no lock file.
absl::StatusOr<std::string> WhyUnknown(const SharedRegion* region,
                                       const RecoveryContext& context,
                                       const std::vector<CommitSlot>& slots);

struct Recovered {
  Offset root;
  uint64_t version = 0;
  uint64_t incarnation = 0;
  bool adopted_live = false;
  std::string note;  // for people: what was chosen and why
};

// All of it: choose, checkpoint the choice, rebuild the region. Sets ready.
// REQUIRES: the exclusive init byte, and that nobody is attached.
absl::StatusOr<Recovered> RecoverAndRebuild(RecoveryContext context,
                                            const SharedRegion& region);

}  // namespace eve

#endif  // EVE_ENGINE_CHECKPOINT_RECOVERY_H_
