// Checkpointer: makes the newest commit survive a power failure.
//
// A synchronous commit takes one flush: its slot lists what was written since
// the durable version before (dirty_extents.h) and goes out together with it.
// All else, and commits that wrote too much for a list, flush the data first.
//
// States of a checkpoint, in order (P16); what a death after each leaves:
//   1 slot's lock byte taken   the kernel releases it
//   2 newest root pinned       the pin is ignored
//   3 pending[slot] announced  honoured until somebody takes the slot over
//   4 write-back begun         as 3; left out with a list, and so is 5
//   5 data flushed             as 3
//   6 slot page written        as 3; it may reach the disk at any later time,
//                              so whoever takes the slot finishes it (P17)
//   7 slot flushed             as 6
//   8 durable[slot] raised     as 6: finishing again changes nothing
//   9 pending cleared, byte released
//
// Steps 4, 5 and 7 go through io_uring where that is allowed (write_back.h).
// What has one flush makes a plain call, which is as quick; and a slot is
// written by one, because that ends before the kernel drops the lock byte of a
// process that is killed in it.
//
// Threads:    any method may be called concurrently.
// Processes:  any number checkpoint at once, in different slots.
// Owns:       nothing between calls.
// Lifetime:   shorter than the core's.
// Errors:     a failed flush is final: the domain is poisoned in all processes
//             (kUnavailable), because the kernel forgets what it lost. While
//             all slots are in use a checkpoint waits; kUnavailable when none
//             of their owners has got on for a while, as when they are stopped;
//             it names them.
// Cost:       one or two fdatasync calls and one 4-KiB write.
#ifndef EVE_ENGINE_CHECKPOINT_CHECKPOINTER_H_
#define EVE_ENGINE_CHECKPOINT_CHECKPOINTER_H_

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/checkpoint/dirty_extents.h"
#include "engine/checkpoint/dirty_ranges.h"
#include "engine/checkpoint/durable_state.h"
#include "engine/checkpoint/slot_keeper.h"
#include "engine/epoch/flusher_turn.h"
#include "engine/file/write_back.h"
#include "engine/format/commit_slot.h"
#include "engine/root/pinned_root.h"
#include "engine/txn/core.h"

namespace eve {

class Checkpointer {
 public:
  static constexpr absl::Duration kSlotPatience = absl::Seconds(30);

  explicit Checkpointer(Core* core, absl::Duration patience = kSlotPatience)
      : core_(core),
        slots_(
            core, patience, [this] { return FlushFile(); },
            [this](const CommitSlot* page) { return CheckDevice(page); }),
        turn_(&core->region, core->slots.get()),
        write_back_(&core->file) {}

  // Makes everything durable that was committed before the call, with two
  // flushes. One thread at a time works, and the others find that their version
  // became durable meanwhile.
  absl::Status Run();

  // Makes `version`, which is published, durable, and everything else that is
  // published by then; with one flush if possible. Who flushes does it for all
  // threads and processes that wait here, and none waits after `until` for
  // another (kDeadlineExceeded); its own flush takes what the device takes.
  absl::Status Commit(uint64_t version,
                      absl::Time until = absl::InfiniteFuture());
  // Waits until `version` is durable by what others do.
  //   kDeadlineExceeded  it is not at `until`, or when `is_over` says so, which
  //                      is asked at each beat and each second
  absl::Status Wait(
      uint64_t version, absl::Time until,
      absl::FunctionRef<bool()> is_over = [] { return false; }) const;
  // The same for one that never takes a slot.
  //   kUnavailable  stopped processes have them all
  absl::Status WaitForOthers(uint64_t version, absl::Time until);

  // Names the newest durable root in a slot without a list, so that what rots
  // in an extent from now on costs no commit. Flushes once, if there is need.
  absl::Status Settle();

  // Before the file is cut to `file_bytes`: moves the two newest durable roots
  // to slots that say no more than that, and flushes. A death in between leaves
  // both roots in a valid slot each. REQUIRES: nobody else is attached (P26).
  absl::Status ShortenSlots(uint64_t file_bytes);

  uint64_t durable_version() const { return ReadDurableVersion(core_->region); }
  // Whether this process has the slot's byte: the kernel does not say so of
  // one's own.
  bool HasSlot(uint32_t slot) { return slots_.IsMine(slot); }
  // Lets go of what would keep the parent's resources in a forked child.
  void AbandonInChild() { write_back_.CloseInChild(); }

 private:
  absl::Status FlushFile();
  // Somebody died in a flush, or is in one since before this process came
  // (flush_death.h): whether the device has what is published and not durable,
  // and, if there is one, the slot and all that it lists, of which the caller
  // has the byte. Poisons the domain if not.
  absl::Status CheckDevice(const CommitSlot* page);
  // kDataLoss: it has not.
  absl::Status LookAtDevice(const CommitSlot* page);
  // The newest durable root; version 0 and no rows if it cannot be read.
  struct Durable {
    uint64_t version = 0;
    std::vector<AccountingRow> rows;
  };
  Durable ReadDurable() const;
  // The steps of a checkpoint, each of which poisons the domain if it fails.
  absl::Status StepOfCheckpoint(absl::FunctionRef<absl::Status()> step);
  // Takes what will be written back out of the page tables, at once instead of
  // page by page, which would interrupt readers (Mapping::DropPages).
  void DropPagesOf(const std::vector<ByteRange>& ranges,
                   uint64_t file_bytes) const;
  absl::Status FlushData(const std::vector<ByteRange>& ranges,
                         uint64_t file_bytes);
  absl::Status WriteSlotAndFlush(uint32_t slot, const CommitSlot& page);
  // False: somebody else has done it.
  absl::StatusOr<bool> FlushForAll(uint64_t version, uint64_t deadline);
  // Lets those publish who are about to: what comes a little later would wait
  // for a whole flush more.
  void Gather() const;
  // Of the newest root, in a slot that the caller has taken. False: it was
  // durable already.
  absl::StatusOr<bool> WriteNewest(uint32_t slot, bool may_list);
  absl::Status WriteCheckpoint(uint32_t slot, const PinnedRoot& root);
  absl::Status WriteTogether(uint32_t slot, const PinnedRoot& root,
                             absl::Span<const CommitExtent> extents);
  absl::StatusOr<CommitSlot> MakePage(uint32_t slot, const PinnedRoot& root,
                                      absl::Span<const CommitExtent> extents);
  // Writes a copy of `page`, which is durable, without its list. Not flushed.
  absl::Status CopySlot(uint32_t to, const CommitSlot& page,
                        uint64_t file_bytes);
  absl::StatusOr<CommitSlot> ReadDurableSlot(uint32_t slot,
                                             uint64_t version) const;
  absl::Status WipeSlots(const std::vector<uint32_t>& slots);

  Core* core_;
  SlotKeeper slots_;
  DirtyExtents dirty_{core_};
  FlusherTurn turn_;
  std::atomic<uint64_t> group_{1};  // commits that the last flush took
  // The file has had that many bytes since. Not asked for in each commit: after
  // stat(2) the next write gives the inode a new time, and the flush writes it.
  std::atomic<uint64_t> known_bytes_{0};
  std::mutex run_mutex_;
  // A file description tells of an error once: who flushes after a thread that
  // was told must see what that one made of it.
  std::mutex flush_mutex_;
  WriteBack write_back_;  // under flush_mutex_
  DirtyRanges ranges_;    // under ranges_mutex_
  std::mutex ranges_mutex_;
};

}  // namespace eve

#endif  // EVE_ENGINE_CHECKPOINT_CHECKPOINTER_H_
