// Attaching to look only: as one of those who have the domain open, pinned, or
// where nobody has, on the newest durable root, until somebody opens it to
// write (P25).
//
// Threads:    AttachReader: one. LateJoiner: any.
// Processes:  any number at once. What nobody recovers is not recovered here:
//             the data file is never written.
// Owns:       fills a Core with what it opened.
// Lifetime:   death at any step drops the locks.
// Errors:     see Domain::Open. Who cannot join those who came later goes on
//             with what it has, tries again, and the statistics say why.
// Cost:       AttachReader: some ten system calls; and a reading of the whole
//             file where that may be a copy.
#ifndef EVE_ENGINE_DOMAIN_ATTACH_READER_H_
#define EVE_ENGINE_DOMAIN_ATTACH_READER_H_

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/checkpoint/recovery.h"
#include "engine/txn/core.h"

namespace eve {

// Opens the lock file, and joins those who are there. If nobody is, the core is
// frozen, and has a LateJoiner.
absl::Status AttachReader(Core& core);

// Finds those who opened the domain after a reader had: joins them, or, when
// they have gone again, takes the root that they left.
class LateJoiner : public WriterLookout {
 public:
  // REQUIRES: the readers' byte of the data file, shared, as long as the core
  // is frozen.
  explicit LateJoiner(Core* core) : core_(core) {}

  // What a look finds in a region. Who recovers what a dead one has left may
  // put the same root word back, in an incarnation of its own.
  struct Sight {
    uint64_t root = 0;
    uint64_t incarnation = 0;
    bool operator==(const Sight&) const = default;
  };

  // The lock file is mapped; `seen` when the root was chosen.
  void SetRegion(bool is_writable, Sight seen);
  // It may not be read: who writes is never seen.
  void Deny() { is_denied_ = true; }
  // The root that is shown from now on.
  void Freeze(const RootCandidate& root, uint64_t segments);

  // Cost: a load; without a lock file a system call. If somebody has come, some
  // ten, and the end of a recovery that is under way, for a second at most;
  // once that was in vain nobody waits again.
  void Look(bool also_idle) override;
  void DropPins() override;
  std::string why_not() const override;

 private:
  bool HasNews() const;
  absl::Status MapRegion();
  absl::Status Follow(bool has_news);
  absl::Status CheckStillNamed();
  absl::Status LockInit(bool has_news);
  absl::Status TakeWhatWasLeft(Sight sight);
  void SetSeen(Sight seen);
  absl::Status JoinThem();

  Core* core_;
  mutable std::mutex mutex_;
  // Of the region that is mapped; null: none is.
  std::atomic<RegionHeader*> header_{nullptr};
  std::atomic<SharedWord*> root_word_{nullptr};
  std::atomic<bool> is_denied_{false};
  bool is_writable_ = false;
  bool has_waited_ = false;             // for a recovery, in vain
  std::atomic<uint64_t> seen_root_{0};  // at the last look
  std::atomic<uint64_t> seen_incarnation_{0};
  bool has_newer_ = false;   // that wants recovery
  uint64_t not_before_ = 0;  // of MonotonicNanos(), after a failure
  uint64_t backoff_nanos_ = 0;
  std::vector<Offset> roots_;           // that snapshots may show
  std::vector<SharedRegion> replaced_;  // their words may still be looked at
  std::string why_not_;
};

}  // namespace eve

#endif  // EVE_ENGINE_DOMAIN_ATTACH_READER_H_
