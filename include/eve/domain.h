// A Domain is one memory-mapped file of named persistent collections.
//
// Threads:    every method may be called concurrently without locking.
// Processes:  any number may open the same file, read it and write it at once.
//             Not usable in a fork() child: methods fail there, reopen.
// Owns:       shares the instance of its file with all other handles of this
//             process; the last one to go detaches.
// Lifetime:   handles, collections and snapshots keep the instance alive, in
//             any order of destruction.
// Errors:     absl::Status. A damaged file is kDataLoss, never an abort.
// Cost:       reads take no lock and make no system call.
#ifndef EVE_DOMAIN_H_
#define EVE_DOMAIN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "eve/internal/map_access.h"
#include "eve/options.h"
#include "eve/snapshot.h"
#include "eve/stats.h"
#include "eve/transaction.h"
#include "eve/watch.h"

namespace eve {

class Domain {
 public:
  Domain() = default;

  // Opens the domain at `path`, creates it if `options` allow, or joins the
  // processes that have it open. Opening a file twice in a process gives the
  // same instance, with the options of the first: later ones are not looked at,
  // but a read-only instance is not given to somebody who wants to write.
  //
  //   kNotFound            missing, and options.create is false
  //   kInvalidArgument     not a domain, a directory, or a bad option
  //   kFailedPrecondition  another format version or build, or a lock file
  //                        that does not belong to the file
  //   kDataLoss            a checksum failed and no older root is intact
  //   kPermissionDenied    try options.read_only
  //   kResourceExhausted   full disk, or too many processes
  //   kDeadlineExceeded    another process has been opening it for 10 s, or
  //                        cutting the file while it opens, compacts or closes
  //                        it alone: mostly it is stopped
  static absl::StatusOr<Domain> Open(std::string_view path,
                                     const DomainOptions& options = {});

  // The collection of that name, created if it is missing.
  // Collection<Map<std::string, int64_t>>("stock").
  //   kFailedPrecondition  it exists with another kind or other types
  //   kInvalidArgument     empty name, or above 255 bytes, or a zero byte
  //   kNotFound            missing, and the domain is read-only
  template <class C>
  absl::StatusOr<C> Collection(std::string_view name) {
    absl::StatusOr<internal::CollectionRef> ref =
        OpenCollection(name, C::kKind, C::KeyTypeName(), C::ValueTypeName());
    if (!ref.ok()) return ref.status();
    return C(*std::move(ref));
  }
  // Removes the collection; its blocks are retired in the background, or as
  // DomainOptions::background says.
  //   kNotFound  no such collection
  absl::Status Drop(std::string_view name);
  absl::StatusOr<std::vector<CollectionInfo>> Collections() const;

  // Runs `fn` on the newest version and publishes its writes as one atomic
  // step over all collections. `fn` runs again from the start whenever another
  // writer has changed a collection that it read or wrote; values read through
  // the transaction die when it returns. If `fn` returns an error, nothing is
  // published and that error is returned as is. OK means visible to all
  // processes; durable as options say.
  //
  // Under kSync the commit is published before it is flushed: kUnavailable,
  // "published and everybody can see it", then says that it may not survive a
  // power failure. Do not repeat it. After a failed flush later ones are
  // refused with kFailedPrecondition before they write anything.
  //
  // Lock-free, not wait-free: someone always progresses. Who keeps losing is
  // let through, unless a run of `fn` takes seconds: others wait 4 seconds for
  // it at most, so a longer one may lose to short ones for ever. Read in a
  // snapshot before it, or bound it by `options`.
  //
  //   kAborted             max_attempts reached
  //   kDeadlineExceeded    deadline passed
  //   kResourceExhausted   disk full, max_bytes or max_pinned_bytes reached.
  //                        Tried to make room; runs `fn` again if there is
  //                        some. Erasing has room set aside
  //                        (docs/durability.md)
  //   kFailedPrecondition  the domain was opened read-only
  // REQUIRES: not called inside another Swap() on this thread.
  absl::StatusOr<Commit> Swap(absl::FunctionRef<absl::Status(Transaction&)> fn,
                              const SwapOptions& options = {});

  // A pinned snapshot of the newest version.
  absl::StatusOr<Snapshot> Now() const;

  // Waits until some process has published a version above `version`, for
  // `timeout` at most, and returns the newest. Versions grow by one with every
  // commit; those that come together are heard of together, and the engine's
  // own, which change no record, count as well. What has changed is told by
  // Diff() of a collection between two snapshots.
  // A process that dies or is stopped in the instant after it has published may
  // let the news come a second late. A reader that may not write the lock file
  // looks every 10 ms.
  //   kDeadlineExceeded    nothing newer was published
  //   kFailedPrecondition  read-only, and nobody has it open for writing
  absl::StatusOr<uint64_t> WaitPast(uint64_t version,
                                    absl::Duration timeout) const;
  // Calls `fn` with the newest version after there has been a commit, one call
  // at a time, from a thread of its own, until the Watch is stopped. The first
  // commits that it hears of are those after this call. `fn` may use the domain
  // in any way; if it commits, that is news, too. A version of 0 is none: the
  // watch has ended by itself, and Watch::status() says why.
  //   kFailedPrecondition  as WaitPast
  //   kResourceExhausted   the system has no thread
  absl::StatusOr<Watch> OnChange(
      std::function<void(uint64_t version)> fn) const;

  // Everything committed before the call, by any process, is on disk on
  // return.
  absl::Status Sync();
  // The newest version that survives a power failure.
  uint64_t durable_version() const;
  // Waits until durable_version() >= version, for `timeout` at most; that of a
  // transaction is Commit::version. A background thread is asked to make it
  // durable at once; without one this call does it, and what the device takes
  // for that comes on top. If the flush that it asks for fails, it says so at
  // once and does not try again: wait again, if that may pass.
  // A read-only handle asks nobody: it waits for what writers do by themselves,
  // and hears of no failure of theirs but those of kUnavailable.
  //   kDeadlineExceeded    it is not durable yet, or not even published; says
  //                        how the last flush that was asked for has failed,
  //                        if it has
  //   kUnavailable         a flush has failed: it will not be; or stopped
  //                        processes hold all commit slots, which is told
  //                        after 30 s, if the timeout is longer, with their
  //                        ids: let them go on, or kill them, and wait again
  //   kFailedPrecondition  read-only, and nobody has it open for writing
  //   any other            as of Sync(): the flush was not begun, for want of
  //                        a place for one snapshot more (kResourceExhausted),
  //                        or because a commit slot cannot be read
  absl::Status WaitDurable(uint64_t version, absl::Duration timeout) const;

  // Folds the accounting and frees what no pin and no durable root can see.
  // Normally done in the background.
  absl::Status Reclaim();

  // Moves what lives into as few segments as hold it, at the low end of the
  // file, while others read and write; gives the rest back. What readers hold
  // stays until they go. Takes two checkpoints or more.
  //   kCancelled  the progress callback said so; what was done stays done
  absl::Status Compact(const CompactOptions& options = {});

  // Writes the newest version to a file, while others read and write: a domain
  // that can be opened. It gets its name when all of it is on disk and has been
  // verified, block by block; whatever fails leaves nothing. What is copied is
  // pinned meanwhile, as by a snapshot.
  //   kAlreadyExists       `path` exists, and options.overwrite is false
  //   kFailedPrecondition  somebody has it open
  //   kInvalidArgument     it is this domain
  //   kDataLoss            this domain is damaged, or the copy is
  //   kResourceExhausted   full disk
  //   kCancelled           the progress callback said so
  absl::StatusOr<BackupResult> Backup(std::string_view path,
                                      const BackupOptions& options = {}) const;
  // The same bytes to a pipe or socket, without gaps: holes are zeroes. What is
  // read is verified on the way; that all has arrived is for the other end to
  // see (eve check). With options.compact it is packed in a file without a name
  // first, in the folder $TMPDIR or /tmp, which needs the room for it; it goes
  // out when all of it has been verified, of a failure before that nothing.
  absl::StatusOr<BackupResult> BackupTo(
      int descriptor, const BackupOptions& options = {}) const;

  absl::StatusOr<DomainStats> Stats() const;
  // Every attached process with its pins and what they hold, by slot; then, if
  // there are such, an entry for other readers without a slot and one for this
  // process without one.
  absl::StatusOr<std::vector<ReaderInfo>> Readers() const;

  // Syncs (unless read-only) and lets go of this handle. The error, if any, is
  // that of the last checkpoint. Destruction does the same, silently.
  absl::Status Close();

  bool is_open() const { return impl_ != nullptr; }

 private:
  explicit Domain(std::shared_ptr<internal::DomainImpl> impl)
      : impl_(std::move(impl)) {}
  absl::StatusOr<internal::CollectionRef> OpenCollection(
      std::string_view name, std::string_view kind, std::string key_type,
      std::string value_type);

  std::shared_ptr<internal::DomainImpl> impl_;
};

}  // namespace eve

#endif  // EVE_DOMAIN_H_
